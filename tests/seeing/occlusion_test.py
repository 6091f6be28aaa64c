"""Occlusion against single predictions of images that NumPy has covered."""

import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo
from data import preprocess, sources
from evaluation.scoring import Network
from runtime.progress import Progress
from seeing import masking, usual_layers
from seeing.occlusion import Occluder, Square

MEAN, STD = 20.0, 200.0
SQUARE = Square(7, 6)


@pytest.fixture(scope='module')
def network():
  module = zoo.create('lenet5_modern', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  prepare = preprocess.make_prepare(32, (MEAN,), (STD,))
  return Network('', module, variables, prepare, 32, 10, scale=0.7)


@pytest.fixture(scope='module')
def image():
  source = sources.create('mnist5k', 'test')
  return np.pad(source.images[3], ((2, 2), (2, 2), (0, 0)))


def single(network, layer, x):
  """Total activity of each map, and the softmax, of one prepared image."""
  seen = zoo.activations(network.module, network.variables, x[None])
  scores = 0.7 * np.asarray(seen['output'][0, 0, 0], 'd')
  raised = np.exp(scores - scores.max())
  return np.asarray(seen[layer][0]).sum((0, 1)), raised / raised.sum()


def test_maps_are_those_of_single_predictions_of_covered_images(network, image):
  occluder = Occluder(network, 'C3', image.shape, SQUARE)
  with Progress(occluder.passes) as progress:
    found = occluder(image, progress)
    assert progress._done == occluder.passes == 1 + 6 * 6
  assert found.tops.tolist() == found.lefts.tolist() == [0, 5, 10, 15, 20, 25]
  plain = (image.astype('f') - MEAN) / STD
  activity, probabilities = single(network, 'C3', plain)
  np.testing.assert_allclose(found.plain_activity, activity, rtol=1e-4)
  np.testing.assert_allclose(found.plain_probabilities, probabilities, 1e-4)
  assert found.strongest == activity.argmax()
  for i, top in enumerate(found.tops):
    for j, left in enumerate(found.lefts):
      covered = plain.copy()
      covered[top : top + 7, left : left + 7] = 0
      activity, probabilities = single(network, 'C3', covered)
      np.testing.assert_allclose(found.activity[i, j], activity, rtol=1e-4)
      np.testing.assert_allclose(
        found.probabilities[i, j], probabilities, rtol=1e-4
      )
      assert found.answers[i, j] == probabilities.argmax()
  assert np.ptp(found.activity[..., found.strongest]) > 1


@pytest.mark.parametrize(
  ('side', 'stride', 'length', 'expected'),
  [
    (44, 16, 224, [0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180]),
    (6, 4, 16, [0, 3, 7, 10]),  # rather closer than beyond the border
    (5, 5, 15, [0, 5, 10]),
    (5, 9, 5, [0]),
    (1, 1, 3, [0, 1, 2]),
  ],
)
def test_places_go_from_border_to_border(side, stride, length, expected):
  assert Square(side, stride).places(length).tolist() == expected


def test_the_usual_square_is_a_part_of_the_image():
  assert Square.of(224, 300) == (44, 16)
  assert Square.of(32, 32) == (6, 2)
  assert Square.of(3, 3) == (1, 1)


def test_a_square_larger_than_the_image_and_an_unknown_layer(network):
  with pytest.raises(ValueError, match=r'33 pixels does not fit .* 40x32'):
    Occluder(network, 'C3', (40, 32, 1), Square(33, 2))
  with pytest.raises(ValueError, match=r"no layer 'C2'. Did you mean"):
    Occluder(network, 'C2', (32, 32, 1))(np.zeros((32, 32, 1), np.uint8))


def test_a_box_covers_its_pixels_and_none_outside():
  x = np.random.default_rng(0).normal(size=(1, 5, 6, 2)).astype('f')
  boxes = np.array([(1, 2, 3, 2), (3, 4, 9, 9), (0, 0, 0, 0)], np.int32)
  found = np.asarray(jax.jit(masking.cover)(x, boxes))
  expected = np.repeat(x, 3, 0)
  expected[0, 1:4, 2:4] = 0
  expected[1, 3:, 4:] = 0
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_grey_for_people_is_what_the_network_sees_as_zero(order):
  mean = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype('f')
  prepare = preprocess.make_prepare(4, (), (58.0, 57.0, 56.0), order, mean)
  network = Network('', None, {}, prepare, 4, 0)
  grey = masking.mean_pixels(network, (4, 4, 3))
  np.testing.assert_array_equal(grey, mean)
  image = np.full((4, 4, 3), 9, np.uint8)
  shown = masking.shown(image, (1, 0, 2, 3), grey)
  np.testing.assert_array_equal(shown[1:3, :3], mean[1:3, :3])
  shown[1:3, :3] = 9
  np.testing.assert_array_equal(shown, image)
  assert (image == 9).all()


LAYERS = {
  'lenet5': ('C3', 'C1', 'F6'),
  'alexnet': ('conv5', 'conv1', 'fc7'),
  'zfnet': ('conv5', 'conv1', 'fc7'),
  'vgg_d': ('conv5_3', 'conv1_1', 'fc7'),
  'googlenet': ('inception_5b', 'conv1', 'avgpool'),
  'resnet50': ('conv5_3', 'conv1', 'avgpool'),
  'resnet20_cifar': ('s3_3', 'conv1', 'avgpool'),
}


@pytest.mark.parametrize('name', LAYERS)
def test_layers_where_none_is_named(name):
  shapes = zoo.layer_shapes(
    zoo.create(name, num_classes=10), zoo.image_shape(name)
  )
  last, *ends = LAYERS[name]
  assert usual_layers.last_convolution(shapes) == last
  assert usual_layers.first_and_last(shapes) == tuple(ends)


def test_a_network_without_maps_or_hidden_layers():
  with pytest.raises(ValueError, match='no layer has maps'):
    usual_layers.last_convolution({'fc1': (1, 1, 9), 'fc2': (1, 1, 2)})
  with pytest.raises(ValueError, match='fewer than two hidden'):
    usual_layers.first_and_last({'fc1': (1, 1, 9), 'fc2': (1, 1, 2)})


def test_the_square_does_not_reach_beyond_a_wide_image(network):
  wide = np.zeros((32, 44, 1), np.uint8)  # a map of scores
  found = Occluder(network, 'C3', wide.shape, Square(20, 12))(wide)
  assert (found.tops.tolist(), found.lefts.tolist()) == ([0, 12], [0, 12, 24])
  assert found.probabilities.shape == (2, 3, 10)
