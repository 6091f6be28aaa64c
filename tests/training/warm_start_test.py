"""Parameters from elsewhere; statistics computed anew after training."""

import dataclasses
import json
import shutil

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import make_config, make_shallow
from pod import record

import experiment as experiment_lib
import train_lib
from configs import resnet_cifar
from errors import UserError
from evaluation import networks
from runtime import checkpoints
from training import warm_start
from training.state import abstract_state, create_state
from training.statistics import batches_of, recompute_statistics
from zoo import weights
from zoo.batch_norm import BatchNorm


def test_some_layers_come_from_a_checkpoint(finished):
  workdir, _ = finished
  config = make_config(init_from=str(workdir), init_layers=('C1', 'F6'), seed=7)
  experiment = experiment_lib.create_experiment(config)
  fresh = create_state(experiment)
  state, _ = warm_start.start_from(experiment, fresh)
  source = warm_start.load_variables(experiment, str(workdir))['params']
  for name, layer in state.params.items():
    origin = source if name in ('C1', 'F6') else fresh.params
    jax.tree.map(np.testing.assert_array_equal, layer, origin[name])
  config.init_layers = ('pool9',)
  with pytest.raises(UserError, match=r"no layer 'pool9'\. Known: C1, C3"):
    warm_start.start_from(experiment, fresh)


def test_layers_without_a_source_are_refused(tmp_path):
  config = make_config(init_layers=('C1',))
  with pytest.raises(UserError, match=r'set --config\.init_from'):
    train_lib.train_and_evaluate(config, str(tmp_path))


@pytest.mark.slow
def test_a_file_of_weights_evaluates_as_the_checkpoint_it_came_from(
  finished, tmp_path
):
  workdir, _ = finished
  experiment = experiment_lib.create_experiment(make_config())
  variables = warm_start.load_variables(experiment, str(workdir))
  file = tmp_path / 'lenet5.npz'
  weights.save(str(file), variables)
  config = make_config(init_from=str(file))
  ours = train_lib.evaluate_only(config, str(tmp_path / 'none'))
  config = make_config(init_from=str(workdir))
  theirs = train_lib.evaluate_only(config, str(tmp_path / 'none'))
  for result in (ours, theirs):
    del result['images_per_second']
  # Of weights without a record nobody knows what they were trained on.
  assert ours == {**theirs, 'test_set': 'mnist5k test'}
  state, notes = warm_start.start_from(
    experiment_lib.create_experiment(make_config(init_from=str(file))),
    create_state(experiment),
  )
  jax.tree.map(np.testing.assert_array_equal, state.params, variables['params'])
  assert notes == [f'parameters from {file}']


def test_what_was_done_to_a_file_of_weights_is_said(tmp_path):
  file = tmp_path / 'half.npz'
  experiment = experiment_lib.create_experiment(
    make_config(init_from=str(file))
  )
  state, half = create_state(experiment), jax.numpy.float16
  weights.save(
    str(file), {'params': jax.tree.map(lambda x: x.astype(half), state.params)}
  )
  _, notes = warm_start.start_from(experiment, state)
  assert notes[1] == f'{file}: float16 as float32'


class Normalised(nn.Module):
  """A linear layer of each pixel, normalised; its mean is ten scores."""

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.Dense(10, use_bias=False, name='dense')(images)
    return BatchNorm(group=4, name='bn')(x, train).mean((1, 2))


def small_resnet(**fields):
  config = resnet_cifar.get_config('smoke,data=fake')
  config.data.options.update(shape=(8, 8, 3), examples=16)
  config.update_from_flattened_dict(
    {
      'data.image_size': 8, 'train.augment': 'none',
      'train.augment_options': {}, 'train.batch_size': 8, **fields,
    }
  )  # fmt: skip
  return config


@pytest.mark.parametrize('keep', [0.5, 0.0])
def test_statistics_are_means_over_batches_of_what_is_evaluated(keep):
  """Of the average where there is one: GoogLeNet, Section 6, evaluates it."""
  config = small_resnet(**{
    'seed': 3, 'train.average': keep, 'train.statistics_batches': 3,
  })  # fmt: skip
  experiment = dataclasses.replace(
    experiment_lib.create_experiment(config), module=Normalised()
  )
  state = create_state(experiment)
  kernel = np.asarray(state.params['dense']['kernel'], np.float64)
  if keep:
    state = state._replace(average=jax.tree.map(lambda x: 2 * x, state.params))
    kernel = 2 * kernel
  old = jax.tree.map(lambda x: x + 100, state.model_state)
  state = state._replace(model_state=old)
  found = recompute_statistics(experiment, state)
  rng = [np.random.default_rng([3, epoch]) for epoch in (0, 1)]
  order = np.concatenate([r.permutation(16) for r in rng])[: 3 * 8]
  images = experiment.train_source.batch(order)['image'].astype('d')
  pixels = (images - config.data.mean) / config.data.std @ kernel
  groups = pixels.reshape(6, 4 * 8 * 8, 10)
  statistics = found.model_state['batch_stats']['bn']
  expected = {'mean': groups.mean((0, 1)), 'var': groups.var(1).mean(0)}
  for name, value in expected.items():
    np.testing.assert_allclose(statistics[name], value, rtol=1e-3, atol=1e-4)
  for kept in ('params', 'average', 'opt_state', 'step'):
    assert getattr(found, kept) is getattr(state, kept)


@pytest.mark.slow
def test_the_last_step_computes_statistics_and_evaluates_with_them(
  trained_resnet,
):
  config, place = trained_resnet
  experiment = experiment_lib.create_experiment(config)
  store = checkpoints.Checkpoints(place / 'checkpoints', 2, 1)
  state, _ = store.restore_latest(abstract_state(experiment))
  store.close()
  fresh = jax.tree.map(np.zeros_like, state.model_state)
  again = recompute_statistics(experiment, state._replace(model_state=fresh))
  jax.tree.map(
    np.testing.assert_array_equal, again.model_state, state.model_state
  )
  result = train_lib.evaluate_only(config, str(place))
  last = record(place)[-1]
  assert (last['step'], last['eval/count']) == (3, result['count'])
  assert result['loss'] == last['eval/loss']


def test_a_small_data_set_is_passed_over_twice_at_most():
  """ResNet's 200 batches would be 33 passes over 96 images."""
  config = small_resnet(**{'train.statistics_batches': 200})
  config.data.options.examples = 90
  assert batches_of(experiment_lib.create_experiment(config)) == 23
  config.train.statistics_batches = 5
  assert batches_of(experiment_lib.create_experiment(config)) == 5


@pytest.fixture(scope='module', autouse=True)
def shallow():
  """ResNet-20 has a block a stage."""
  with pytest.MonkeyPatch.context() as patch:
    make_shallow(patch, 'resnet20_cifar', (1, 1, 1))
    yield


@pytest.fixture(scope='module')
def trained_resnet(tmp_path_factory):
  """The config and workdir of three steps of a small ResNet with an average."""
  config = small_resnet(**{
    'model.width': 0.25, 'train.average': 0.5, 'train.steps': 3,
    'train.statistics_batches': 1, 'train.batch_size': 32,
  })  # fmt: skip
  config.data.options.examples = 64
  place = tmp_path_factory.mktemp('resnet')
  train_lib.train_and_evaluate(config, str(place))
  return config, place


@pytest.mark.slow
def test_what_is_evaluated_comes_along_too(trained_resnet):
  """The average starts at what is loaded, and so do batch statistics."""
  config, place = trained_resnet
  experiment = experiment_lib.create_experiment(config)
  fresh = create_state(experiment)
  config = config.copy_and_resolve_references()
  config.init_from = str(place)
  experiment = experiment_lib.create_experiment(config)
  state, _ = warm_start.start_from(experiment, fresh)
  target = abstract_state(experiment)
  there = checkpoints.load_parameters(
    str(place), {'params': target.params, 'model_state': target.model_state}
  )
  same = np.testing.assert_array_equal
  jax.tree.map(same, state.params, there['params'])
  jax.tree.map(same, state.average, there['params'])
  jax.tree.map(same, state.model_state, there['model_state'])
  old = fresh.params['conv1']['kernel']
  assert (state.average['conv1']['kernel'] != old).any()
  found = state.model_state['batch_stats']['conv1']['bn']['mean']
  assert np.abs(found).max() > 0  # a fresh one is zero


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['evaluate', 'start', 'predict'])
@pytest.mark.parametrize('part', ['params', 'model_state'])
def test_arrays_that_are_not_those_of_the_manifest_are_refused(
  trained_resnet, tmp_path, kind, part
):
  """Orbax reads flipped bytes without a word; so here a digest is changed."""
  config, place = trained_resnet
  copy = tmp_path / 'copy'
  shutil.copytree(place, copy)
  step = max((copy / 'checkpoints').glob('[0-9]*'))
  file = step / 'manifest' / 'metadata'
  content = json.loads(file.read_text())
  del content['sha256']
  if part == 'params' and kind != 'start':
    part = 'average'  # what is evaluated
  name = next(n for n in content['arrays'] if n.startswith(f'.{part}'))
  content['arrays'][name]['sha256'] = '0' * 64
  file.write_text(json.dumps(checkpoints._sealed(content)))
  config = config.copy_and_resolve_references()
  experiment = experiment_lib.create_experiment(config)
  config.init_from = str(copy)
  start = experiment_lib.create_experiment(config)
  with pytest.raises(UserError, match=r'digest of .* does not match'):
    {
      'evaluate': lambda: warm_start.load_variables(experiment, str(copy)),
      'start': lambda: warm_start.start_from(start, create_state(start)),
      'predict': lambda: networks.load(config, str(copy), 10),
    }[kind]()
