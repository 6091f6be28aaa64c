"""Configs against numbers typed from the papers' fact sheets: typed.py."""

import importlib
import pathlib
import sys
import types

import jax
import numpy as np
import pytest

import config_lib
import experiment as experiment_lib
import train_lib
import zoo
from configs import default
from errors import UserError
from recipe import schedules

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import typed

IMAGENET = 1_281_167
# The same for all ImageNet files.
SHARED = ('smoke',)
FAKE = {'shape': (224, 224, 3), 'num_classes': 10, 'examples': 4}
# file:argument -> rates at these steps, for schedules by steps.
RATES = {
  # LeNet-5, Section III-B: passes 1-2, 3-5, 6-8, 9-12, 13-20.
  'lenet5:optimizer=sdlm': (
    {
      0: 5e-4, 119_999: 5e-4, 120_000: 2e-4, 299_999: 2e-4, 300_000: 1e-4,
      479_999: 1e-4, 480_000: 5e-5, 719_999: 5e-5, 720_000: 1e-5,
    },
    60_000,
  ),
  'alexnet:variant=bvlc_alexnet': (
    {
      99_970: 1e-2, 100_030: 1e-3, 199_970: 1e-3, 200_030: 1e-4,
      299_970: 1e-4, 300_030: 1e-5, 399_970: 1e-5, 400_030: 1e-6,
    },
    IMAGENET,
  ),
  'alexnet:schedule=step': (
    {250_000: 1e-2, 260_000: 1e-3, 520_000: 1e-4, 800_000: 1e-5},
    IMAGENET,
  ),
  'googlenet:': (
    {320_000: 0.01, 320_500: 0.0096, 640_700: 0.009216},
    IMAGENET,
  ),
  'resnet_cifar:': (
    {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001},
    50_000,
  ),
}  # fmt: skip
# file:argument -> iterations of a paper or a solver, images an iteration.
LENGTHS = {
  'alexnet:variant=bvlc_alexnet': (450_000, 256),
  'vgg:': (370_000, 256),  # Section 3.1
  'googlenet:': (10_000_000, 32),  # bvlc_googlenet: max_iter
  'resnet:': (600_000, 256),  # Section 3.4
  'resnet_cifar:': (64_000, 128),  # Section 4.2
}


def config_of(text):
  name, _, arg = text.partition(':')
  return importlib.import_module(f'configs.{name}').get_config(arg)


def flat(section, path=''):
  """Returns {'section.field': value} of a config as a dict."""
  found = {}
  for name, value in section.items():
    if isinstance(value, dict) and value:
      found |= flat(value, f'{path}{name}.')
    else:
      found[f'{path}{name}'] = value
  return found


@pytest.mark.parametrize(
  'text', [*(f'{name}:' for name in typed.PAPERS), *typed.ARGUMENTS]
)
def test_every_field_of_a_recipe_is_the_typed_one(text):
  found, expected = flat(config_of(text).to_dict()), typed.fields_of(text)
  wrong = {
    field: f'{found.get(field)} instead of {expected.get(field)}'
    for field in found.keys() | expected.keys()
    if (field in found, found.get(field))
    != (field in expected, expected.get(field))
  }
  assert wrong == {}


def test_every_default_is_the_typed_one():
  assert flat(default.get_config().to_dict()) == typed.DEFAULTS


def test_every_argument_that_changes_a_recipe_is_typed():
  words = {
    (text.partition(':')[0], word)
    for text in typed.ARGUMENTS
    for word in text.partition(':')[2].split(',')
  }
  for name in typed.PAPERS:
    module = importlib.import_module(f'configs.{name}')
    for key, argument in module.get_arguments().items():
      if key in ('variant', 'data', 'pod'):  # of many only what differs
        continue
      for value in argument.values[1:] or ['']:
        word = f'{key}={value}' if value else key
        assert (name, word) in words or word in SHARED


@pytest.mark.parametrize('text', LENGTHS)
def test_length_is_that_of_the_papers_iterations(text):
  config, (iterations, batch) = config_of(text), LENGTHS[text]
  examples = 50_000 if 'cifar' in text else IMAGENET
  assert config.train.batch_size == batch
  found = config_lib.training_length(config).steps(examples, batch)
  # Epochs have two places; those of bvlc_googlenet are whole ones.
  assert found == pytest.approx(iterations, rel=2e-3 if batch == 32 else 1e-4)


@pytest.mark.parametrize('text', RATES)
def test_rates_before_and_after_each_drop(text):
  config, (rates, examples) = config_of(text), RATES[text]
  batch = config.train.batch_size
  fields = dict(config.schedule)
  for field, value in config_lib.schedule_durations(config).items():
    many = isinstance(value, list)
    steps = [d.steps(examples, batch) for d in (value if many else [value])]
    fields[field] = steps if many else steps[0]
  rate = schedules.create(
    learning_rate=config.optimizer.learning_rate, **fields
  )
  found = [float(rate.by_step(step)) for step in rates]
  np.testing.assert_allclose(found, list(rates.values()), rtol=1e-5)


# VGG, Section 3.1: A -> 256 -> 384 -> jitter.
CHAIN = {
  'vgg:variant=vgg_a': (None, 1e-2),
  'vgg:': ('vgg_a', 1e-2),
  'vgg:variant=vgg_a,scale=384': ('vgg_a trained at S = 256', 1e-3),
  'vgg:scale=384': ('vgg_d trained at S = 256', 1e-3),
  'vgg:variant=vgg_e,scale=jitter': ('vgg_e trained at S = 384', 1e-3),
  'vgg:scale=384,start=glorot': (None, 1e-2),
  'vgg:scale=jitter,start=glorot': (None, 1e-2),
}


@pytest.mark.parametrize('text', CHAIN)
def test_vggs_chain_of_starts(text):
  config, (before, rate) = config_of(text), CHAIN[text]
  assert config.optimizer.learning_rate == rate
  assert (before or '') in config.init_required
  assert bool(config.init_required) == bool(before)
  assert bool(config.init_layers) == (text == 'vgg:')
  config.update_from_flattened_dict(
    {'data.name': 'fake', 'data.options': FAKE, 'model.width': 0.02}
  )
  config.data.geometry = config.data.eval_geometry = {'name': 'none'}
  store = types.SimpleNamespace(restore_latest=lambda _: None)
  start = train_lib.starting_state
  if before:
    with pytest.raises(UserError, match=f'starts from .*{before}.*init_from'):
      start(experiment_lib.create_experiment(config), store)
  else:
    assert start(experiment_lib.create_experiment(config), store)


def test_the_same_map_norm_of_alexnets_source():
  source = zoo.create('alexnet_source')
  (norm,) = [row for row in source.rows if row[0] == 'norm2_map']
  # cuda-convnet's same-map kernels add 1; layers-145: scale 0.001, size 5.
  assert (norm.k, norm.alpha, norm.beta) == (1, 0.001 / 25, 0.75)


@pytest.mark.parametrize(
  'text',
  [f'{name}:smoke,data=fake' for name in ('alexnet', 'resnet')]
  + ['alexnet:variant=bvlc_alexnet,smoke,data=fake']
  + ['resnet_cifar:data=fake', 'resnet_cifar:variant=plain56_cifar,data=fake'],
)
def test_configs_build_an_experiment(text):
  experiment = experiment_lib.create_experiment(config_of(text))
  assert experiment.steps > 0
  assert jax.tree.leaves(experiment.optimizer.init({'a': {'kernel': 1.0}}))


def test_unknown_variants_are_refused():
  with pytest.raises(UserError, match="Did you mean 'resnet50'"):
    config_of('resnet:variant=resnet5')


@pytest.mark.parametrize(
  ('text', 'fields', 'word'),
  [
    (
      'googlenet:data=fake',
      {'data.options.shape': (96, 96, 3), 'data.image_size': 96},
      'at least 209x209 to train; 31 with aux_heads=False',
    ),
    (
      'resnet:variant=resnet18,data=fake',
      {'train.batch_size': 48},
      'a batch of 48 images is not a multiple of bn_group 32',
    ),
  ],
)
def test_what_can_be_evaluated_but_not_trained_is_refused(text, fields, word):
  config = config_of(text)
  config.update_from_flattened_dict(fields)
  experiment = experiment_lib.create_experiment(config)
  with pytest.raises(UserError, match=word):
    experiment_lib.check_training(experiment)
