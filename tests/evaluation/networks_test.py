"""Networks of the zoo with the variables of a file or a run."""

import jax
import numpy as np
import pytest
from conftest import ROOT

import zoo
from configs import lenet5
from data import sources
from errors import UserError
from evaluation import networks, scoring
from zoo import weights


def test_a_checkpoint_of_ours_is_loaded(finished, tmp_path):
  workdir, _ = finished
  variables = networks.load_variables('lenet5', str(workdir), num_classes=10)
  network = zoo.create('lenet5', num_classes=10)
  target = jax.eval_shape(
    network.init, jax.random.key(0), np.zeros((1, 32, 32, 1), 'f')
  )
  assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, target)
  with pytest.raises(UserError, match='does not fit'):
    networks.load_variables('lenet5_modern', str(workdir), num_classes=10)
  with pytest.raises(UserError, match='holds no checkpoint'):
    networks.load_variables('lenet5', str(tmp_path), num_classes=10)


def test_a_file_is_read_as_the_zoo_reads_it(tmp_path):
  network = zoo.create('lenet5', num_classes=10)
  variables = network.init(jax.random.key(0), np.zeros((1, 32, 32, 1), 'f'))
  weights.save(str(tmp_path / 'net.npz'), variables)
  found = networks.load_variables(
    'lenet5', str(tmp_path / 'net.npz'), num_classes=10
  )
  jax.tree.map(np.testing.assert_array_equal, found, variables)
  with pytest.raises(UserError, match='not one of the kinds'):
    networks.load_variables('lenet5', str(tmp_path / 'net.weights'))


def test_scores_count_as_in_the_loss_that_trained_them():
  """With LeNet-5's variance: `d^2` itself makes it far too sure of itself."""
  file = str(ROOT / 'published' / 'lenet5_mnist.npz')
  config = lenet5.get_config('data=mnist5k')  # knows nothing of the scale
  network = networks.load(config, file, 10)
  assert network.scale == pytest.approx(1 / 14)
  images = sources.create('mnist5k', 'test').images[:5]
  forward = jax.jit(scoring.make_forward(network), static_argnums=2)
  found = forward(network.variables, images[:, None], False)
  penalties = -network.module.apply(network.variables, network.prepare(images))
  likelihood = np.exp(-np.asarray(penalties, np.float64) / 14)
  expected = likelihood / likelihood.sum(1, keepdims=True)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
  other = lenet5.get_config('variant=lenet5_modern,data=mnist5k')
  modern = networks.load(other, file.replace('lenet5', 'lenet5_modern'), 10)
  assert modern.scale == 1.0


def test_a_run_is_seen_through_its_own_preprocessing(tmp_path):
  mine = lenet5.get_config('smoke')
  theirs = mine.copy_and_resolve_references()
  theirs.data.update(mean=(7.0,), std=(3.0,), order='bgr')
  (tmp_path / 'config.json').write_text(theirs.to_json_best_effort())
  step = tmp_path / 'checkpoints' / '00000004'
  for place in (tmp_path, step.parent, step):
    data = networks.as_trained(mine, str(place)).data
    assert (data.mean, data.std, data.order) == ((7.0,), (3.0,), 'bgr')
  assert mine.data.order == 'rgb'
  data = networks.as_trained(mine, str(tmp_path / 'none')).data
  assert (data.mean, data.std) == (mine.data.mean, mine.data.std)
