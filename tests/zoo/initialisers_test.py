"""Parameters before the first step are drawn as each paper says."""

import jax
import numpy as np
import pytest
from conftest import cases

import zoo

# Typed from the fact sheets: layer -> standard deviation and bias.
GAUSSIAN = {
  # AlexNet, Section 5: 0.01; biases 1 in conv2, 4, 5 and the hidden FC layers.
  'alexnet': {
    'conv1': (0.01, 0), 'conv2': (0.01, 1), 'conv3': (0.01, 0),
    'conv4': (0.01, 1), 'conv5': (0.01, 1), 'fc6': (0.01, 1),
    'fc7': (0.01, 1), 'fc8': (0.01, 0),
  },
  # ZFNet, Section 3.1: 1e-2 and 0.
  'zfnet': dict.fromkeys(('conv1', 'conv3', 'conv5', 'fc7'), (0.01, 0)),
  # VGG, Section 3.1: variance 1e-2 and 0.
  'vgg_a': dict.fromkeys(('conv1_1', 'conv3_2', 'fc6', 'fc8'), (0.1, 0)),
  # ResNet, Section 3.4, as He et al. 2015: sqrt(2 / fan-in).
  'resnet18': {
    'conv1': ((2 / 147) ** 0.5, None), 'conv2_1/a': ((2 / 576) ** 0.5, None),
    'conv5_2/b': ((2 / 4608) ** 0.5, None),
  },
}  # fmt: skip


@pytest.mark.parametrize('name', cases(GAUSSIAN, ['resnet18']))
def test_standard_deviations_and_biases(name):
  # Those of ResNet depend on the width; the others are constants.
  width = 1.0 if name == 'resnet18' else 0.25
  network = zoo.create(name, width=width)
  shape = (1, *zoo.image_shape(name))
  params = network.lazy_init(
    jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32)
  )['params']
  for layer, (std, bias) in GAUSSIAN[name].items():
    found = params
    for part in layer.split('/'):
      found = found[part]
    kernel = np.asarray(found['kernel'])
    error = 4 / np.sqrt(kernel.size)  # four standard errors
    assert abs(kernel.mean()) < error * std
    assert abs(kernel.std() / std - 1) < error
    # Gaussian, not uniform: 4.55 % beyond two deviations, none of a uniform.
    beyond = (np.abs(kernel) > 2 * std).mean()
    assert abs(beyond - 0.0455) < 4 * np.sqrt(0.0455 * 0.9545 / kernel.size)
    if bias is None:
      assert 'bias' not in found
      assert (found['bn']['scale'] == 1).all()
    else:
      assert (found['bias'] == bias).all()


def test_a_plain_net_with_shortcuts_is_refused():
  with pytest.raises(ValueError, match='with them it is resnet34'):
    zoo.create('plain34', shortcut='B')


@pytest.mark.slow
def test_equal_blocks_as_a_loop_change_nothing():
  images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
  results = []
  for scan in (False, True):
    network = zoo.create(
      'resnet32_cifar', width=0.25, num_classes=10, bn_group=4, scan=scan
    )
    variables = network.lazy_init(jax.random.key(0), images)
    logits, new = jax.jit(
      lambda v, network=network: network.apply(
        v, images, train=True, mutable=['batch_stats']
      )
    )(variables)
    results.append((variables, logits, new))
  assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
    *results,
  )
