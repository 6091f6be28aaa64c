"""Distances of features and changes with an edge, against NumPy and SciPy."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
from conftest import random_variables

import zoo
from data import preprocess, sources
from evaluation.scoring import Network
from seeing import changes, invariance


@pytest.fixture(scope='module')
def network():
  module = zoo.create('lenet5_modern', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  prepare = preprocess.make_prepare(32, (20.0,), (200.0,))
  return Network('', module, variables, prepare, 32, 10, scale=0.5)


@pytest.fixture(scope='module')
def images():
  source = sources.create('mnist5k', 'test')
  return np.pad(source.images[:3], ((0, 0), (2, 2), (2, 2), (0, 0)))


def test_distances_are_those_of_single_images(network, images):
  values = np.array([-3.0, 0.0, 5.0])
  meter = invariance.Meter(network, ('C1', 'F6'), images, [4, -1, 7])
  found = meter(invariance.moved('shift'), values)
  assert list(found.distances) == ['C1', 'F6']
  for i, image in enumerate(images):
    plain = states(network, image)
    label = plain['output'].argmax() if i == 1 else (4, None, 7)[i]
    assert meter.labels[i] == label
    for j, value in enumerate(values.astype(int)):
      now = states(network, np.roll(image, value, 0))  # the border is paper
      for layer, row in found.distances.items():
        length = np.sqrt(np.sum(plain[layer] ** 2))
        far = np.sqrt(np.sum((now[layer] - plain[layer]) ** 2))
        np.testing.assert_allclose(row[i, j], far / length, 1e-4, 1e-6)
      raised = np.exp(0.5 * now['output'] - max(0.5 * now['output']))
      np.testing.assert_allclose(
        found.probabilities[i, j], raised[label] / raised.sum(), rtol=1e-4
      )
  assert (found.distances['F6'][:, 1] == 0).all()
  assert found.distances['F6'][:, 2].min() > 0.05


def states(network, image):
  x = (image.astype('f') - 20) / 200
  seen = zoo.activations(network.module, network.variables, x[None])
  return {name: np.asarray(s, 'd').ravel() for name, s in seen.items()}


def test_features_that_are_all_zero_have_no_distance():
  plain = np.array([[0.0, 0.0], [3.0, 4.0]])
  found = invariance._relative(plain + 1, plain)
  assert np.isnan(found[0])
  np.testing.assert_allclose(found[1], 2**0.5 / 5)


def test_sweeps_are_the_papers_in_proportion():
  large, small = invariance.sweeps(224), invariance.sweeps(32)
  assert large['shift'].tolist() == list(range(-60, 61, 5))
  assert small['shift'].tolist() == list(range(-9, 10))
  for sweep in (large, small):
    assert sweep['scale'][[0, 2, -1]].tolist() == [1, 1.1, 1.8]
    assert sweep['rotate'][[0, -1]].tolist() == [0, 360]


def photo():
  rough = np.random.default_rng(0).integers(0, 256, (1, 20, 24, 3))
  smooth = cv2.GaussianBlur(rough[0].astype('f'), (0, 0), 2)
  return smooth.astype(np.uint8)[None]


@pytest.mark.parametrize(
  ('name', 'value', 'inverse'),
  [
    ('shift', 5, [[1, 0], [0, 1]]),
    ('scale', 0.7, [[1 / 0.7, 0], [0, 1 / 0.7]]),
    ('rotate', 90, [[0, 1], [-1, 0]]),
  ],
)
def test_with_an_edge_the_border_goes_on_in_colour(name, value, inverse):
  image = photo()
  found = changes.CHANGES[name](image, value, edge=True)[0]
  grid = np.stack(np.mgrid[:20, :24]).astype('d')
  middle = np.array([9.5, 11.5])[:, None, None]
  at = np.einsum('ij,jhw->ihw', np.array(inverse), grid - middle) + middle
  at[0] -= 5 * (name == 'shift')
  for channel in range(3):
    expected = scipy.ndimage.map_coordinates(
      image[0, ..., channel].astype('d'), at, order=1, mode='nearest'
    )
    assert np.abs(found[..., channel] - expected).max() < 4
  black = changes.CHANGES[name](image, value)[0]
  assert (black == 0).all(-1).any()
  assert not (found == 0).all(-1).any()
