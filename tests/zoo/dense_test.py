"""Dense evaluation: the classifier slid over a larger map of features."""

import functools

import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo

# Side of the window of features that the classifier sees.
WINDOWS = {
  'alexnet': 6, 'bvlc_alexnet': 6, 'alexnet_owt': 6, 'zfnet': 6, 'zfnet512': 6,
  'vgg_a': 7, 'googlenet': 7, 'resnet18': 7,
}  # fmt: skip


def features_and_scores(name, network, variables, images):
  branches = ('1x1', '3x3', '5x5', 'pool_proj')
  last = {
    'googlenet': [f'inception_5b_{b}' for b in branches],
    'resnet18': ['conv5_2'],
  }.get(name, ['pool5'])
  apply = functools.partial(
    network.apply,
    capture_intermediates=lambda module, method: (
      module.name in last and method == '__call__'
    ),
    mutable=['intermediates'],
  )
  scores, seen = jax.jit(apply)(variables, images)
  seen = seen['intermediates']
  features = [np.asarray(seen[layer]['__call__'][0]) for layer in last]
  features = np.maximum(np.concatenate(features, -1), 0)  # after the ReLU
  return features, np.asarray(scores)


def classify(params, window):
  """The classifier as papers draw it: flattened features, matrices."""
  linear = {k: v for k, v in params.items() if k in ('fc6', 'fc7', 'fc8')}
  if not linear:
    x = window.mean((0, 1))
    (last,) = (params[k] for k in ('fc', 'classifier') if k in params)
    return x @ np.asarray(last['kernel'])[0, 0] + last['bias']
  x = window.reshape(-1)
  for layer in linear.values():
    kernel = np.asarray(layer['kernel'])
    x = x @ kernel.reshape(-1, kernel.shape[-1]) + layer['bias']
    if layer is not linear['fc8']:
      x = np.maximum(x, 0)
  return x


@pytest.mark.parametrize('name', WINDOWS)
def test_scores_are_those_of_the_classifier_at_every_window(name):
  side = WINDOWS[name]
  native = zoo.image_shape(name)[0]
  network = zoo.create(name, num_classes=5, width=0.05)
  variables = random_variables(network, (native, native, 3))
  for height, width in ((native, native), (256, 320)):
    images = jax.random.normal(jax.random.key(1), (2, height, width, 3))
    features, scores = features_and_scores(name, network, variables, images)
    rows, columns = (n - side + 1 for n in features.shape[1:3])
    expected = np.array([
      [
        [
          classify(variables['params'], image[i : i + side, j : j + side])
          for j in range(columns)
        ]
        for i in range(rows)
      ]
      for image in features
    ])  # fmt: skip
    if height == native:
      assert (rows, columns) == (1, 1)
      expected = expected[:, 0, 0]
    else:
      assert (rows, columns) != (1, 1)
    np.testing.assert_allclose(
      scores, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )
