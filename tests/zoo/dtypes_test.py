"""Parameters are float32 whatever JAX's default is."""

import jax
import numpy as np
import pytest

import zoo


@pytest.fixture
def x64():
  jax.config.update('jax_enable_x64', True)
  jax.clear_caches()  # some remember the integers of the other width
  yield
  jax.config.update('jax_enable_x64', False)
  jax.clear_caches()


@pytest.mark.parametrize(
  'name',
  ['lenet5', 'lenet5_modern', 'alexnet', 'vgg_a', 'googlenet', 'resnet18_v1_5'],
)
def test_with_double_precision_parameters_stay_float32(x64, name):
  network = zoo.create(name, num_classes=10)
  image = jax.ShapeDtypeStruct((1, *zoo.image_shape(name)), np.float32)
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  found = {
    jax.tree_util.keystr(path): leaf.dtype
    for path, leaf in leaves
    if leaf.dtype != np.float32
  }
  assert not found
