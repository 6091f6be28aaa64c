"""The grammar of config arguments, durations, and what is refused early."""

import pytest
from ml_collections import config_dict

import config_lib
import zoo
from configs import arguments, catalogue, lenet5, resnet
from configs.arguments import Argument
from errors import UserError
from experiment import create_experiment
from recipe import durations

KNOWN = {
  'variant': Argument(('a', 'b'), ''),
  'data': Argument(('mnist', 'mnist5k'), ''),
  'smoke': arguments.switch(''),
}


def test_arguments():
  parse = arguments.parse
  assert parse('', KNOWN) == {
    'variant': 'a', 'data': 'mnist', 'smoke': False,
  }  # fmt: skip
  assert parse('data=mnist5k,smoke', KNOWN) == {
    'variant': 'a', 'data': 'mnist5k', 'smoke': True,
  }  # fmt: skip


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('varian=a', "Did you mean 'variant'"),
    ('data=mnist5', "Did you mean 'mnist5k'"),
    ('smok', "Did you mean 'smoke'"),
    ('smoke=1', "write it as 'smoke'"),
    ('data', "write it as 'data=mnist'"),
    ('data=mnist,data=mnist', 'given twice'),
    ('variant=', "no variant ''"),
  ],
)
def test_bad_arguments_name_the_closest(text, message):
  with pytest.raises(UserError, match=message):
    arguments.parse(text, KNOWN)


def test_every_combination_of_arguments_makes_a_valid_config():
  known = lenet5.get_arguments()
  for variant in known['variant'].values:
    for data in known['data'].values:
      for more in ('', ',smoke', ',augment=distort', ',optimizer=sdlm'):
        if 'sdlm' in more and variant != 'lenet5':
          continue
        config = lenet5.get_config(f'variant={variant},data={data}{more}')
        config_lib.check(config, devices=1)


def test_default_is_the_paper():
  config = lenet5.get_config()
  assert config.model.name == 'lenet5'
  assert config.data.name == 'mnist'
  assert config.loss.name == 'map'
  assert config.train.epochs == 20
  assert config.train.augment == 'none'


def test_durations():
  def examples(text):
    return durations.parse(text, 'f').examples(epoch=1000, batch_size=10)

  assert examples('2 epochs') == 2000
  assert examples('0.5 epoch') == 500
  assert examples('7 steps') == examples('7') == 70
  assert examples('60_000 examples') == 60000
  d = durations.parse('1 epoch', 'f')
  assert d.steps(epoch=1000, batch_size=64) == 16  # 15.6 rounded up
  for bad in ('', '0', '-1 epochs', 'epoch', '3 days', '1.2.3 steps'):
    with pytest.raises(UserError, match=r"eval.every '"):
      durations.parse(bad, 'eval.every')


def test_steps_on_the_command_line_replace_the_files_epochs():
  config = lenet5.get_config()
  config.lock()
  config.train.steps = 7
  config_lib.apply_overrides(config, {'train.steps': 7})
  assert config_lib.training_length(config) == (7, 'steps')
  config.train.epochs = 2.0
  config_lib.apply_overrides(config, {'train.epochs': 2.0})
  assert config_lib.training_length(config) == (2.0, 'epochs')
  with pytest.raises(UserError, match='give one'):
    config_lib.apply_overrides(config, {'train.epochs': 2.0, 'train.steps': 7})


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('train.batch_size', 0, 'train.batch_size is 0'),
    ('train.batch_size', 63, '8 devices x train.microbatch 1; 64 would'),
    ('train.microbatch', 3, 'train.microbatch 3; 72 would'),
    ('train.microbatch', 0, 'train.microbatch is 0'),
    ('train.epochs', 0.0, 'train.epochs is 0.0'),
    ('train.epochs', None, 'set one of train.steps'),
    ('train.steps', 5, 'set one of train.steps'),
    ('train.log_every', 0, 'train.log_every is 0'),
    ('eval.every', '0', "eval.every '0'"),
    ('checkpoint.keep', 0, 'checkpoint.keep is 0'),
    ('checkpoint.every', 'weekly', "checkpoint.every 'weekly'"),
    ('model.name', 'lenet_5', "Did you mean 'lenet5'"),
    ('model.dtype', 'float16', 'float32 or bfloat16'),
    ('data.name', 'mnis', "Did you mean 'mnist'"),
    ('schedule.boundaries', ('soon',), 'schedule.boundaries'),
    ('seed', -1, 'seed is -1'),
  ],
)
def test_nonsense_is_refused_with_field_and_value(field, value, message):
  config = lenet5.get_config('data=mnist5k')
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=message):
    config_lib.check(config, devices=8)


def test_options_that_need_the_papers_network():
  for field, value in (('optimizer.name', 'sdlm'), ('loss.name', 'penalty')):
    config = lenet5.get_config('variant=lenet5_modern')
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=r"model.name 'lenet5'"):
      config_lib.check(config, devices=1)


def test_every_placeholder_is_typed():
  """An untyped None could not be overridden on the command line."""
  config = lenet5.get_config()
  reference = config.train.get_ref('steps')
  assert isinstance(reference, config_dict.FieldReference)
  assert reference.get_type() is int


def with_flags(config, **texts):
  """Returns the config that the command line would leave, __ for dots."""
  config = config.copy_and_resolve_references().lock()
  texts = {k.replace('__', '.'): v for k, v in texts.items()}
  config_lib.make_room(config, texts)
  config.update_from_flattened_dict(texts)
  return config


def test_a_section_has_the_fields_of_what_it_names():
  config = with_flags(
    resnet.get_config(),
    data__name='tfds', data__options__builder='mnist',
    loss__name='map', loss__j=2.0,
    train__augment='pad_crop', train__augment_options__padding=2,
    schedule__name='step', schedule__factors=(0.1,),
    schedule__boundaries=('3 epochs',), schedule__warmup='1 epochs',
    model__name='vgg_a', model__head='gap',
  )  # fmt: skip
  assert config.is_locked
  assert dict(config.data.options) == {'builder': 'mnist'}
  assert dict(config.loss) == {'name': 'map', 'j': 2.0}
  # What the old ones took, and the new ones do not, is gone.
  assert dict(config.train.augment_options) == {'padding': 2}
  assert sorted(config.schedule) == ['boundaries', 'factors', 'name', 'warmup']
  model = dict(config.model)
  assert model.pop('name') == 'vgg_a'
  assert model.pop('dtype') == 'float32'
  assert model == {**zoo.options('vgg_a'), 'head': 'gap'}
  config_lib.check(config, devices=1)


def test_options_of_a_source_can_be_set_on_every_config():
  for path in catalogue.files():
    config = with_flags(
      catalogue.load(path).get_config(),
      data__name='folder', data__options__test_folder='test',
    )  # fmt: skip
    assert dict(config.data.options) == {'test_folder': 'test'}


@pytest.mark.parametrize(
  ('field', 'message'),
  [
    ('optimizer.learning_rat', "'optimizer.learning_rat'. Did you mean 'learn"),
    ('optimizer.lr', "Did you mean 'learning_rate'"),
    ('optimizer.bias_rat', "Did you mean 'bias_rate'"),  # not in the file
    ('trian.steps', "Did you mean 'train'"),
    ('train.steps.more', r"no config field 'train.steps.more'\.$"),
    ('loss.k', 'Known: j, name'),
    ('data.options.builder', 'data.options.builder'),  # mnist takes none
    ('model.head', "no config field 'model.head'"),
  ],
)
def test_a_field_that_is_not_there_names_the_closest(field, message):
  with pytest.raises(UserError, match=message):
    config_lib.make_room(lenet5.get_config().lock(), {field: '1'})


def test_another_optimizer_is_not_taken_for_one_of_ours():
  config = lenet5.get_config()
  config.optimizer.name = 'adam'
  with pytest.raises(UserError, match='Known: momentum, sdlm'):
    create_experiment(config)


def test_usual_names_lead_to_ours():
  for word, name in (
    ('vgg11', 'vgg_a'), ('vgg13', 'vgg_b'), ('vgg16', 'vgg_d'),
    ('VGG19', 'vgg_e'), ('resnet50_cifar', 'resnet56_cifar'),
    ('inception_v1', 'googlenet'), ('lenet', 'lenet5'),
  ):  # fmt: skip
    config = lenet5.get_config('data=mnist5k')
    config.model.name = word
    with pytest.raises(UserError, match=f"Did you mean '{name}'"):
      config_lib.check(config, devices=1)
  for argument in ('vgg.py', 'resnet.py'):
    path = f'configs/{argument}'
    with pytest.raises(UserError, match="Did you mean 'vgg_d'"):
      catalogue.load(path).get_config('variant=vgg16')


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('seed', 2**32),  # would start as 0 does: JAX's keys have 32 bits
    ('seed', 2**64),
    ('data.mean', (float('nan'),)),
    ('data.std', (0.0,)),
    ('data.std', (-1.0,)),
    ('data.std', (1.0, 'wide')),
    ('loss.j', -1.0),
    ('optimizer.learning_rate', -1e-3),
    ('optimizer.learning_rate', float('inf')),
    ('optimizer.momentum', 2.0),
    ('optimizer.momentum', 1.0),
    ('optimizer.momentum', -0.1),
    ('optimizer.weight_decay', -1e-4),
    ('schedule.factors', (0.1, -0.1)),
    ('train.average', 1.0),
    ('train.aux_weight', -0.3),
    ('train.epochs', float('nan')),
    ('train.epochs', float('inf')),
    ('train.statistics_batches', -1),
    ('train.steps_per_call', 0),
    ('train.microbatch', None),
    ('eval.scales', (0,)),
    ('checkpoint.keep_best', -1),
  ],
)
def test_numbers_out_of_range_are_refused_with_the_range(field, value):
  config = lenet5.get_config('data=mnist5k')
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=f'^{field} is .*: .'):
    config_lib.check(config, devices=1)


@pytest.mark.parametrize(
  ('section', 'fields'),
  [
    ('model', {'name': 'vgg_a', 'dtype': 'float32', 'dropout': 1.5}),
    ('model', {'name': 'vgg_a', 'dtype': 'float32', 'width': -1.0}),
    ('loss', {'name': 'penalty', 'scale': 0.0}),
    ('optimizer', {'name': 'sdlm', 'learning_rate': 0.1, 'mu': -1.0}),
    ('schedule', {'name': 'plateau', 'factor': 1.0}),
    ('schedule', {'name': 'until_error', 'error': 80.0}),
  ],
)
def test_numbers_of_what_a_section_names_have_a_range_too(section, fields):
  config = lenet5.get_config('data=mnist5k')
  config[section] = fields
  *_, (field, value) = fields.items()
  with pytest.raises(UserError, match=f'^{section}.{field} is {value}: '):
    config_lib.check(config, devices=1)


def numeric(value):
  if isinstance(value, tuple | list):
    return any(numeric(v) for v in value)
  return isinstance(value, int | float) and not isinstance(value, bool)


def test_every_number_has_a_range():
  """Of the files' fields, and of the arguments of what a section names."""
  found = set()
  for path in catalogue.files():
    config = catalogue.load(path).get_config()
    flat = config.to_dict(preserve_field_references=False)
    todo = list(flat.items())
    while todo:
      field, value = todo.pop()
      if isinstance(value, dict):
        todo += [(f'{field}.{k}', v) for k, v in value.items()]
      elif numeric(value):
        found.add(field)
  for choice in config_lib._CHOICES:
    for name in choice.table:
      for p in choice.parameters(name):
        if numeric(p.default) or p.annotation in (int, float):
          found.add(f'{choice.section}.{p.name}')
  for name in zoo.names():
    found |= {f'model.{k}' for k, v in zoo.options(name).items() if numeric(v)}
  elsewhere = {
    *(f for f in found if 'geometry.' in f),  # data.crops
    'data.options.first', 'data.options.held_out',  # of the examples there are
    # Likewise: data.parts.
    'data.options.holdout', 'data.options.per_class', 'data.options.draw',
    'schedule.every', 'schedule.warmup',  # durations
    'train.augment_options.components',  # directions: any numbers
    *(f for f in found if f.startswith('optimizer.rates.')),  # optimizer.rates
  }  # fmt: skip
  assert found - elsewhere <= set(config_lib._RANGES)


def test_endless_durations_are_refused():
  with pytest.raises(UserError, match=r"eval\.every '1e999"):
    durations.parse('1e999 steps', 'eval.every')


def test_values_for_other_channels_are_refused():
  for field in ('mean', 'std'):
    config = lenet5.get_config('data=mnist5k')
    config.data[field] = (1.0, 2.0, 3.0)
    with pytest.raises(
      UserError, match=f'data.{field} has 3 values, but the images have 1 chan'
    ):
      create_experiment(config)


def test_colours_are_not_augmented_on_grey_images():
  for name in ('lighting', 'photometric'):
    config = lenet5.get_config('data=mnist5k')
    config.train.augment = name
    config.train.augment_options = {}
    with pytest.raises(UserError, match=rf"'{name}' cannot .*\(28, 28, 1\)"):
      create_experiment(config)
