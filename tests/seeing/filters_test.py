"""Kernels of the first layer, and their numbers by loops."""

import numpy as np
import pytest
from conftest import random_variables

import zoo
from evaluation.scoring import Network
from seeing import filters
from seeing.filters import Filters

KERNELS = np.random.default_rng(0).normal(size=(6, 4, 5, 3)).astype('f')


def network(name, **fields):
  module = zoo.create(name, **fields)
  shape = zoo.image_shape(name)
  variables = random_variables(module, shape)
  return Network('', module, variables, lambda x: x, shape[0], 10), variables


@pytest.mark.parametrize(
  ('name', 'layer', 'shape', 'towers'),
  [
    ('lenet5', 'C1', (6, 5, 5, 1), 1),
    ('alexnet', 'conv1', (24, 11, 11, 3), 2),
    ('alexnet_merged', 'conv1', (24, 11, 11, 3), 1),
    ('resnet20_cifar', 'conv1', (16, 3, 3, 3), 1),
  ],
)
def test_kernels_are_those_that_meet_the_image(name, layer, shape, towers):
  narrow = {} if name in ('lenet5', 'resnet20_cifar') else {'width': 0.25}
  net, variables = network(name, num_classes=10, **narrow)
  found = filters.of_network(net, 'rgb', shape[-1])
  assert (found.layer, found.kernels.shape) == (layer, shape)
  assert found.towers == towers
  (own,) = [
    np.asarray(leaf)
    for leaf in _leaves(variables['params'][layer])
    if leaf.ndim == 4
  ]
  for k in range(shape[0]):
    np.testing.assert_array_equal(found.kernels[k], own[:, :, :, k])
  swapped = filters.of_network(net, 'bgr', shape[-1]).kernels
  for c in range(shape[-1]):
    np.testing.assert_array_equal(
      swapped[..., c], found.kernels[..., shape[-1] - 1 - c]
    )


def _leaves(tree):
  if not isinstance(tree, dict):
    return [tree]
  return [leaf for value in tree.values() for leaf in _leaves(value)]


def test_numbers_are_those_of_a_loop():
  kernels = KERNELS.copy()
  kernels[1] *= 1e-3  # dead
  kernels[2] = 0
  kernels[4] = kernels[4, :, :, :1]  # grey
  told = filters.told(Filters('x', kernels, 2))
  rms = [np.sqrt(np.mean(k.astype('d') ** 2)) for k in kernels]
  np.testing.assert_allclose(told.rms, rms)
  assert told.dead == 2 / 6
  assert told.largest == pytest.approx(max(rms) / np.median(rms))
  shares = []
  for k in kernels.astype('d'):
    common = sum(3 * np.mean(weight) ** 2 for row in k for weight in row)
    shares.append(1 - common / np.sum(k**2) if k.any() else np.nan)
  assert shares[4] == pytest.approx(0)
  expected = [np.mean(shares[:2]), np.mean(shares[3:])]
  np.testing.assert_allclose(told.colour, expected)
  assert not filters.told(Filters('x', kernels[..., :1], 1)).colour.size


def test_random_kernels_share_a_third_and_opposite_channels_nothing():
  many = np.random.default_rng(1).normal(size=(400, 5, 5, 3))
  assert filters.colourfulness(many) == pytest.approx(2 / 3, abs=0.01)
  opposite = many[..., :1] * np.array([1.0, -1.0, 0.0])
  assert filters.colourfulness(opposite) == pytest.approx(1)
  assert filters.colourfulness(np.zeros((2, 3, 3, 3))) == 0


def test_one_scale_for_all_or_for_each_its_own_deviation():
  kernels = KERNELS * np.array([1, 1, 1, 1, 1, 10], 'f')[:, None, None, None]
  shown = filters.brightness(kernels)
  assert (shown.min(), shown.max()) == (0, 1)
  low, high = kernels.min(), kernels.max()
  np.testing.assert_allclose(shown, (kernels - low) / (high - low), atol=1e-6)
  apart = filters.brightness(kernels, standardize=True)
  plain = filters.brightness(KERNELS, standardize=True)
  np.testing.assert_allclose(apart, plain, atol=1e-5)
  assert len({f'{k.std():.4f}' for k in apart}) == 1
  assert not filters.brightness(np.zeros((2, 3, 3, 1)), True).any()


def test_kernels_lie_in_full_rows_with_gaps_of_a_pixel():
  assert [filters.per_row(n) for n in (96, 64, 6, 20, 7, 1)] == [
    16, 8, 3, 5, 7, 1,
  ]  # fmt: skip
  found = filters.mosaic(KERNELS[:5], 3)
  assert found.shape == (9, 17, 3)
  np.testing.assert_array_equal(found[5:, 6:11], KERNELS[4])
  assert np.isnan(found[4]).all()
  assert np.isnan(found[:, 5]).all()
