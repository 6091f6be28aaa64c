"""Networks of the zoo with the variables of a file or a run."""

import jax
import numpy as np
import pytest

import zoo
from errors import UserError
from evaluation import networks
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
    networks.load_variables('lenet5', str(tmp_path / 'net.h5'))
