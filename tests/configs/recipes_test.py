"""Configs against numbers typed from the papers' fact sheets."""

import importlib
import types

import jax
import numpy as np
import pytest

import config_lib
import experiment as experiment_lib
import train_lib
import zoo
from errors import UserError
from recipe import schedules

IMAGENET = 1_281_167
FAKE = {'shape': (224, 224, 3), 'num_classes': 10, 'examples': 4}
# file:argument -> batch, first rate, decay, epochs.
RECIPES = {
  'alexnet:': (128, 0.01, 5e-4, 90),
  'alexnet:variant=bvlc_alexnet': (256, 0.01, 5e-4, 89.9),
  'zfnet:': (128, 0.01, 5e-4, 70),
  'vgg:': (256, 0.01, 5e-4, 73.9),
  'vgg:scale=384': (256, 0.001, 5e-4, 73.9),
  'vgg:scale=jitter': (256, 0.001, 5e-4, 73.9),
  'googlenet:': (32, 0.01, 2e-4, 250),
  'resnet:': (256, 0.1, 1e-4, 119.9),
  'resnet_cifar:': (128, 0.1, 1e-4, 64_000 * 128 / 50_000),
}
# file:argument -> rates at these steps, for schedules by steps.
RATES = {
  'alexnet:variant=bvlc_alexnet': (
    {99_990: 1e-2, 100_010: 1e-3, 200_010: 1e-4, 449_000: 1e-6},
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
_CROP = {'name': 'random_crop', 'shorter_side': 256}
GEOMETRY = {
  'alexnet:': {**_CROP, 'resize': 'area'},
  'alexnet:variant=bvlc_alexnet': {**_CROP, 'resize': 'warp'},
  'alexnet:variant=caffenet': {**_CROP, 'resize': 'warp'},
  'zfnet:': {**_CROP, 'resize': 'area'},
  'zfnet:crops=ten': {**_CROP, 'name': 'five_crops', 'resize': 'area'},
  'vgg:': {'name': 'scale_jitter', 'smallest': 256, 'largest': 256},
  'vgg:scale=jitter': {'name': 'scale_jitter', 'smallest': 256, 'largest': 512},
  'googlenet:': {
    'name': 'inception',
    'area': (0.08, 1.0),
    'aspect': (3 / 4, 4 / 3),
  },
  'resnet:': {'name': 'scale_jitter', 'smallest': 256, 'largest': 480},
}


def config_of(text):
  name, _, arg = text.partition(':')
  return importlib.import_module(f'configs.{name}').get_config(arg)


@pytest.mark.parametrize('text', RECIPES)
def test_batch_rate_decay_and_length(text):
  config = config_of(text)
  batch, rate, decay, epochs = RECIPES[text]
  optimizer, examples = (
    config.optimizer,
    50_000 if 'cifar' in text else IMAGENET,
  )
  assert config.train.batch_size == batch
  assert (optimizer.learning_rate, optimizer.weight_decay) == (rate, decay)
  assert (optimizer.momentum, optimizer.momentum_form) == (0.9, 'caffe')
  length = config_lib.training_length(config)
  found = length.steps(examples, batch) * batch / examples
  assert found == pytest.approx(epochs, abs=0.06)


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


@pytest.mark.parametrize('text', GEOMETRY)
def test_crops(text):
  config = config_of(text)
  assert config.data.geometry.to_dict() == GEOMETRY[text]
  caffe = 'bvlc' in text or 'caffenet' in text
  assert config.data.image_size == (227 if caffe else 224)
  assert config.data.eval_geometry.to_dict() == {
    'name': 'center',
    'shorter_side': 384 if 'jitter' in text else 256,
    'resize': GEOMETRY[text].get('resize', 'bilinear'),
  }


# Caffe: lr_mult 2, decay_mult 0, with which VGG was trained; AlexNet's source:
# epsB 0.02 against 0.01, no weight cost, and epsB never falls.
BIASES = {
  'alexnet:': ('kernels', 2.0, True),
  'alexnet:variant=alexnet_source': ('kernels', 2.0, False),
  'alexnet:variant=bvlc_alexnet': ('kernels', 2.0, True),
  'zfnet:': ('kernels', 2.0, None),
  'vgg:': ('kernels', 2.0, None),
  'googlenet:': ('kernels', 2.0, None),
  # "decays the weights of convolutions only": README of fb.resnet.torch.
  'resnet:': ('kernels', None, None),
  'resnet:decay=fb': ('all', None, None),
  'resnet_cifar:': ('kernels', None, None),
  'resnet_cifar:decay=fb': ('all', None, None),
}


@pytest.mark.parametrize('text', BIASES)
def test_what_decays_and_how_fast_biases_learn(text):
  optimizer = config_of(text).optimizer
  assert BIASES[text] == tuple(
    optimizer.get(f) for f in ('decay_on', 'bias_rate', 'biases_fall')
  )


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


def test_where_a_network_of_caffe_differs():
  caffe = config_of('googlenet:variant=bvlc_googlenet')
  assert caffe.data.eval_geometry.resize == 'warp'
  assert zoo.options('bvlc_googlenet')['lrn'] == 'caffe'
  assert zoo.options('googlenet')['lrn'] == 'paper'
  source = zoo.create('alexnet_source')
  (norm,) = [row for row in source.rows if row[0] == 'norm2_map']
  # cuda-convnet's same-map kernels add 1; layers-145: scale 0.001, size 5.
  assert (norm.k, norm.alpha, norm.beta) == (1, 0.001 / 25, 0.75)


def test_what_each_paper_has_of_its_own():
  plateau = {'name': 'plateau', 'factor': 0.1, 'patience': 5, 'drops': 3}
  for name in ('alexnet', 'zfnet', 'vgg', 'resnet'):
    assert config_of(f'{name}:').schedule.to_dict() == plateau
  assert config_of('zfnet:').optimizer.max_filter_rms == 0.1
  assert config_of('zfnet:').train.augment == 'flip'
  howard = config_of('googlenet:').train
  assert (howard.augment, howard.augment_options.lighting) == (
    'photometric',
    0.1,
  )
  assert config_of('resnet:').eval.corners == 'image'
  assert {config_of(f'{n}:').eval.corners for n in ('alexnet', 'zfnet')} == {
    'square'
  }
  lighting = {'std': 0.1, 'form': 'code'}
  for name in ('alexnet', 'vgg', 'resnet'):
    train = config_of(f'{name}:').train
    assert (train.augment, train.augment_options.to_dict()) == (
      'lighting',
      lighting,
    )
  assert config_of('alexnet:').model.dropout == 0.5
  google = config_of('googlenet:')
  assert google.train.aux_weight == 0.3
  assert google.train.average > 0
  assert (google.model.dropout, google.model.aux_dropout) == (0.4, 0.7)
  assert (google.optimizer.decay_on, google.optimizer.bias_rate) == (
    'kernels',
    2.0,
  )
  assert config_of('resnet:').model.bn_group == 32
  assert config_of('resnet:').train.statistics_batches > 0
  deepest = config_of('resnet_cifar:variant=resnet1202_cifar')
  cifar = config_of('resnet_cifar:variant=resnet110_cifar')
  assert deepest.schedule.to_dict() == cifar.schedule.to_dict()
  assert cifar.model.bn_group == 64
  assert cifar.train.augment_options.padding == 4
  assert (cifar.schedule.name, cifar.schedule.start, cifar.schedule.error) == (
    'until_error',
    0.1,
    0.8,
  )
  assert config_of('vgg:').init_layers == (
    'conv1_1', 'conv2_1', 'conv3_1', 'conv3_2', 'fc6', 'fc7', 'fc8',
  )  # fmt: skip
  assert config_of('vgg:variant=vgg_a').init_layers == ()


@pytest.mark.parametrize(
  ('text', 'batch', 'rate'),
  [
    ('resnet:pod=1024', 1024, 0.4),
    ('resnet:pod=8192', 8192, 3.2),
    ('alexnet:pod=2048', 2048, 0.16),
    ('zfnet:pod=2048', 2048, 0.16),
    ('vgg:pod=4096', 4096, 0.16),
    ('googlenet:pod=2048', 2048, 0.64),
  ],
)
def test_pod_scales_the_rate_with_the_batch(text, batch, rate):
  config = config_of(text)
  assert config.train.batch_size == batch
  assert config.optimizer.learning_rate == pytest.approx(rate)
  assert (config.schedule.warmup, config.model.dtype) == (
    '5 epochs',
    'bfloat16',
  )


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
