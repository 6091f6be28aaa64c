"""Layers that do not learn, rates by layer, a classifier for other classes."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import (
  ROOT,
  first_batch,
  make_config,
  make_shallow,
  random_variables,
)

import config_lib
import train_lib
import zoo
from configs import finetune, resnet_cifar
from errors import UserError
from evaluation import networks
from experiment import create_experiment
from training import warm_start
from training.state import abstract_state, create_state
from training.statistics import are_due, recompute_statistics
from training.train_step import make_train_step
from zoo import batch_norm, weights

SHAPE = (16, 16, 3)
DIGITS = str(ROOT / 'published' / 'lenet5_modern_mnist.npz')


@pytest.fixture(scope='module', autouse=True)
def shallow():
  """ResNet-20 has five blocks of its nine."""
  with pytest.MonkeyPatch.context() as patch:
    make_shallow(patch, 'resnet20_cifar', (2, 2, 1))
    yield


def small_resnet(classes=10, **fields):
  """Returns ResNet-20 of a quarter's width on noise."""
  config = resnet_cifar.get_config('smoke,data=fake')
  config.data.options.update(shape=SHAPE, examples=16, num_classes=classes)
  config.train.augment_options = {}
  config.update_from_flattened_dict(
    {
      'data.image_size': 16, 'train.augment': 'none', 'train.batch_size': 8,
      'model.width': 0.25, 'model.bn_group': 4,
      **{k.replace('__', '.'): v for k, v in fields.items()},
    }
  )  # fmt: skip
  return config


def lenet(**fields):
  return make_config('smoke,variant=lenet5_modern', **fields)


def stepped(config, steps=1):
  """Returns the states before and after some steps, and the experiment."""
  experiment = create_experiment(config)
  state, batch = create_state(experiment), first_batch(experiment)
  before = jax.tree.map(np.array, state)
  step = make_train_step(experiment)
  for _ in range(steps):
    state, _ = step(state, batch)
  return before, jax.tree.map(np.array, state), experiment


def moved(before, after):
  """Returns the names of layers with any changed array."""

  def differ(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return not all(np.array_equal(x, y) for x, y in pairs)

  return {name for name in before if differ(before[name], after[name])}


@pytest.mark.parametrize('fields', [{}, {'train__microbatch': 2}])
def test_frozen_layers_and_their_statistics_stay_to_the_bit(fields):
  config = small_resnet(
    optimizer__frozen=('conv1', 's1', 's2_1'), train__average=0.9, **fields
  )
  before, after, experiment = stepped(config, steps=2)
  still = {'conv1', 's1_1', 's1_2', 's2_1'}
  assert moved(before.params, after.params) == before.params.keys() - still
  assert moved(before.average, after.average) == before.params.keys() - still
  statistics = [s.model_state['batch_stats'] for s in (before, after)]
  assert moved(*statistics) == statistics[0].keys() - still
  config.train.statistics_batches = 2
  again = recompute_statistics(experiment, after)
  assert moved(statistics[1], again.model_state['batch_stats']) == (
    statistics[0].keys() - still
  )


def test_no_statistics_are_recomputed_where_all_are_frozen():
  fields = {'train__statistics_batches': 2}
  for frozen, due in (('body', False), ('conv1', True)):
    config = small_resnet(optimizer__frozen=(frozen,), **fields)
    experiment = create_experiment(config)
    assert are_due(experiment, abstract_state(experiment)) == due


def test_the_optimizer_holds_nothing_for_what_is_frozen():
  frozen, whole = (
    abstract_state(create_experiment(small_resnet(**fields)))
    for fields in ({'optimizer__frozen': ('body',)}, {})
  )
  sizes = [
    sum(x.size for x in jax.tree.leaves(s.opt_state) if x.ndim)
    for s in (frozen, whole)
  ]
  assert sizes == [
    sum(x.size for x in jax.tree.leaves(tree))
    for tree in (whole.params['fc'], whole.params)
  ]


def test_frozen_layers_cost_no_gradient():
  def flops(**fields):
    experiment = create_experiment(lenet(**fields))
    state, batch = abstract_state(experiment), first_batch(experiment)
    lowered = make_train_step(experiment).lower(state, batch)
    return lowered.cost_analysis()['flops']

  whole, head = (flops(**f) for f in ({}, {'optimizer__frozen': ('body',)}))
  assert head < 0.45 * whole  # a third, but for what is no convolution


def test_what_learns_gets_the_same_step_as_without_frozen_layers():
  frozen = stepped(lenet(optimizer__frozen=('C1', 'C3')))[1]
  whole = stepped(lenet())[1]
  for name in ('C5', 'F6', 'output'):
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
      frozen.params[name],
      whole.params[name],
    )


def test_a_frozen_batch_norm_does_in_training_what_it_does_in_evaluation():
  norm = batch_norm.BatchNorm(group=2)
  x = np.random.default_rng(0).normal(2, 3, (4, 3, 3, 5)).astype(np.float32)
  bn = {
    'params': {'scale': jnp.arange(5.0), 'bias': jnp.ones(5)},
    'batch_stats': {'mean': jnp.full(5, 2.0), 'var': jnp.full(5, 9.0)},
  }
  marks = {batch_norm.FROZEN: {'statistics': jnp.zeros(())}}
  found, new = norm.apply(
    {**bn, **marks}, x, train=True, mutable=['batch_stats']
  )
  np.testing.assert_allclose(
    found, (x - 2) / np.sqrt(9 + 1e-5) * np.arange(5) + 1, rtol=1e-5
  )
  statistics = bn['batch_stats']
  assert not moved(statistics, new.get('batch_stats', statistics))


def test_rates_multiply_the_step_of_a_layer():
  plain = stepped(lenet())
  scaled = stepped(lenet(optimizer__rates={'head': 10.0, 'C1': 0.0}))
  for name, factor in (('output', 10), ('C1', 0), ('C3', 1)):
    steps = [
      after.params[name]['kernel'] - before.params[name]['kernel']
      for before, after, _ in (plain, scaled)
    ]
    np.testing.assert_allclose(steps[1], factor * steps[0], atol=1e-6)
    assert np.abs(steps[0]).max() > 1e-5


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """ResNet-20 of ten classes in a file."""
  config = small_resnet()
  model = dict(config.model)
  network = zoo.create(model.pop('name'), num_classes=10, **model)
  file = tmp_path_factory.mktemp('published') / 'ten.npz'
  variables = random_variables(network, SHAPE)
  weights.save(str(file), variables)
  return file, variables


def test_a_new_head_leaves_the_rest_as_it_is_in_the_file(published):
  file, there = published
  config = small_resnet(3, init_from=str(file), init_head='new')
  experiment = create_experiment(config)
  fresh = create_state(experiment)
  state, notes = warm_start.start_from(experiment, fresh)
  assert notes == [
    f'parameters from {file}, but the classifier fc: new, 3 classes (the file '
    'has 10)'
  ]
  assert not moved(state.params, {**there['params'], 'fc': fresh.params['fc']})
  assert not moved(state.model_state['batch_stats'], there['batch_stats'])


def test_layers_that_are_taken_bring_their_statistics(published):
  file, there = published
  config = small_resnet(3, init_from=str(file), init_layers=('conv1', 's2'))
  experiment = create_experiment(config)
  fresh = create_state(experiment)
  state, notes = warm_start.start_from(experiment, fresh)
  assert notes == [f'parameters from {file}, of the layers conv1, s2 only']
  taken = {'conv1', 's2_1', 's2_2'}
  for now, theirs in (
    (state.params, there['params']),
    (state.model_state['batch_stats'], there['batch_stats']),
  ):
    assert moved(now, theirs) == now.keys() - taken


def test_layers_that_are_not_taken_are_not_compared(tmp_path, published):
  _, there = published
  params = {**there['params'], 's3_1': {'a': {'kernel': np.ones((1, 1, 2, 3))}}}
  file = tmp_path / 'other.npz'
  weights.save(str(file), {**there, 'params': params})
  config = small_resnet(3, init_from=str(file), init_layers=('conv1',))
  experiment = create_experiment(config)
  state, _ = warm_start.start_from(experiment, create_state(experiment))
  assert not moved({'conv1': state.params['conv1']}, there['params'])


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({}, r'knows 10 classes, the data have 3: .*init_head=new .*\(fc\)'),
    (
      {'init_head': 'new', 'init_layers': ('conv1', 'fc')},
      r"init_layers \('conv1', 'fc'\) has the classifier \(fc\)",
    ),
    ({'init_layers': ('conv4',)}, "no layer 'conv4'. Did you mean conv1?"),
  ],
)
def test_a_classifier_that_does_not_fit_is_refused(published, fields, message):
  config = small_resnet(3, init_from=str(published[0]), **fields)
  experiment = create_experiment(config)
  with pytest.raises(UserError, match=message):
    warm_start.start_from(experiment, create_state(experiment))


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'optimizer__frozen': ('conv7',)}, "optimizer.frozen: .*'conv7'.*conv1"),
    ({'optimizer__rates': {'conv7': 2.0}}, "optimizer.rates: .*'conv7'"),
    ({'optimizer__rates': {'fc': -1.0}}, 'optimizer.rates is .*at least 0'),
    (
      {'optimizer__frozen': ('fc',), 'optimizer__rates': {'head': 2.0}},
      "optimizer.rates: 'head' does not learn",
    ),
    (
      {'optimizer__frozen': ('conv1',), 'model__scan': True},
      'frozen does not go with model.scan',
    ),
    ({'init_head': 'fresh'}, "init_head 'fresh': same or new"),
  ],
)
def test_fields_that_cannot_be_meant_are_refused_early(fields, message):
  with pytest.raises(UserError, match=message):
    create_experiment(small_resnet(**fields))


def test_a_start_from_elsewhere_wants_a_place(tmp_path):
  config = finetune.get_config('network=lenet5_modern,data=mnist5k')
  with pytest.raises(UserError, match=r'a trained lenet5_modern.*init_from'):
    train_lib.train_and_evaluate(config, str(tmp_path))


def test_the_length_follows_the_data_and_the_falls_the_length():
  def rates(examples, **fields):
    config = finetune.get_config(
      'network=resnet20_cifar,data=fake,start=scratch'
    )
    config.data.options['examples'] = examples
    config.update_from_flattened_dict(fields)
    experiment = create_experiment(config)
    last = experiment.steps
    falls = [
      step
      for step in range(1, last)
      if experiment.rate.by_step(step) != experiment.rate.by_step(step - 1)
    ]
    evaluations = [s for s in range(1, last + 1) if experiment.due('5 %', s)]
    return last, falls, len(evaluations)

  assert rates(3200) == (2000, [1200, 1700], 20)  # 20 passes
  assert rates(64) == (300, [180, 255], 20)
  assert rates(64, **{'train.min_steps': 0}) == (40, [24, 34], 20)


def test_the_head_only_from_a_published_file_and_on_from_there(tmp_path):
  """Of digits, ten of each class; what is frozen is the file's to the bit."""
  arg = 'network=lenet5_modern,data=mnist5k,learn=head'
  config = finetune.get_config(arg)
  config.init_from = file = DIGITS
  config.update_from_flattened_dict(
    {'train.min_steps': 0, 'train.epochs': None, 'train.steps': 4,
     'eval.every': '2 steps', 'checkpoint.every': '2 steps'}
  )  # fmt: skip
  train_lib.train_and_evaluate(config, str(tmp_path))
  there = weights.load('lenet5_modern', file, num_classes=10)['params']
  found = networks.load_variables(
    'lenet5_modern', str(tmp_path), num_classes=10
  )
  assert moved(there, found['params']) == {'output'}
  log = (tmp_path / 'metrics.jsonl').read_text()
  # The way on: images as recorded, whatever has become of the file.
  config.init_from, config.train.steps = '/nowhere.npz', 5
  result = train_lib.train_and_evaluate(config, str(tmp_path))
  assert result['step'] == 5
  assert (tmp_path / 'metrics.jsonl').read_text().startswith(log)


def test_images_are_prepared_as_for_the_weights(tmp_path, capsys):
  config = finetune.get_config('network=lenet5_modern,data=mnist5k,smoke')
  config.init_from = DIGITS
  train_lib.train_and_evaluate(config, str(tmp_path / 'a'))
  said = capsys.readouterr().out
  assert f'images as {config.init_from} takes them: channels rgb, mean' in said
  other = tmp_path / 'other.npz'  # with nothing beside it that would tell
  other.write_bytes(pathlib.Path(config.init_from).read_bytes())
  config.init_from = str(other)
  with pytest.raises(UserError, match=r'data\.mean is empty.*set data\.mean'):
    train_lib.train_and_evaluate(config, str(tmp_path / 'b'))


def test_another_preparation_than_the_weights_is_said(tmp_path, capsys):
  config = lenet(train__steps=1, data__mean=(7.0,))
  config.init_from = DIGITS
  train_lib.train_and_evaluate(config, str(tmp_path))
  assert 'images are prepared otherwise than for' in capsys.readouterr().out


def test_a_networks_usual_name_leads_to_ours():
  with pytest.raises(UserError, match=r"no network 'vgg16'.*mean 'vgg_d'"):
    finetune.get_config('network=vgg16')


@pytest.mark.parametrize('name', zoo.names())
def test_every_network_has_the_recipe(name):
  config = finetune.get_config(f'network={name},data=folder,learn=head')
  config_lib.check(config, devices=1)
  assert config.model.name == name
  assert config.data.image_size == zoo.image_shape(name)[0]
  assert config.loss.name == ('map' if name == 'lenet5' else 'softmax')
  assert bool(config.train.statistics_batches) == (
    'resnet' in name or 'plain' in name
  )
