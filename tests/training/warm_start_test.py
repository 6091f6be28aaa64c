"""Parameters from elsewhere; statistics computed anew after training."""

import json
import shutil

import jax
import numpy as np
import pytest
from conftest import make_config

import experiment as experiment_lib
import train_lib
from configs import resnet_cifar
from errors import UserError
from evaluation import networks
from runtime import checkpoints
from training import warm_start
from training.state import abstract_state, create_state
from training.statistics import batches_of
from zoo import weights


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
  config.init_layers = ('c9',)
  with pytest.raises(UserError, match="no layer 'c9', but C1"):
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
  assert ours == theirs
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


@pytest.mark.slow
def test_statistics_are_means_over_batches(tmp_path):
  config = resnet_cifar.get_config('smoke,data=fake')
  config.data.options.update(shape=(8, 8, 3), examples=64)
  config.data.image_size = 8
  config.model.width = 0.25
  config.train.statistics_batches = 2
  config.train.augment = 'none'
  config.train.augment_options = {}
  train_lib.train_and_evaluate(config, str(tmp_path))
  experiment = experiment_lib.create_experiment(config)
  target = abstract_state(experiment)
  state = checkpoints.load_parameters(
    str(tmp_path), {'params': target.params, 'model_state': target.model_state}
  )
  # The 64 images are two batches: the stem sees each of them once, in
  # normalisation groups of 32. An independent form of its mean and variance:
  images = experiment.train_source.batch(np.arange(64))['image']
  kernel = np.asarray(state['params']['conv1']['kernel'])
  padded = np.pad(experiment.prepare(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
  maps = sum(
    padded[:, i : i + 8, j : j + 8] @ kernel[i, j]
    for i in range(3)
    for j in range(3)
  )
  found = state['model_state']['batch_stats']['conv1']['bn']
  np.testing.assert_allclose(
    found['mean'], maps.mean((0, 1, 2)), rtol=1e-3, atol=1e-2
  )


def test_a_small_data_set_is_passed_over_twice_at_most():
  """ResNet's 200 batches would be 33 passes over 96 images."""
  config = resnet_cifar.get_config('smoke,data=fake')
  config.data.options.update(shape=(8, 8, 3), examples=96)
  config.data.image_size = 8
  config.train.batch_size = 16
  config.train.statistics_batches = 200
  experiment = experiment_lib.create_experiment(config)
  assert batches_of(experiment) == 12
  config.train.statistics_batches = 5
  assert batches_of(experiment_lib.create_experiment(config)) == 5


@pytest.fixture(scope='module')
def trained_resnet(tmp_path_factory):
  """The config and workdir of three steps of a small ResNet with an average."""
  config = resnet_cifar.get_config('smoke,data=fake')
  config.data.options.update(shape=(8, 8, 3), examples=64)
  config.update_from_flattened_dict(
    {
      'data.image_size': 8, 'model.width': 0.25, 'train.average': 0.5,
      'train.steps': 3, 'train.statistics_batches': 0, 'train.batch_size': 32,
    }
  )  # fmt: skip
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
