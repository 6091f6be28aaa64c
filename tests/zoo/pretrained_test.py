"""zoo.pretrained: network, variables, and how the weights want their images.

That of PyTorch's files, and values: torchvision_test.py; of what ships:
tools/publish_test.py.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo
from zoo import weight_files, weights

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 3), np.uint8)
OPTIONS = {'activation': 'tanh'}


@pytest.fixture
def file(tmp_path):
  """Weights of a network with an option, of three classes, and no record."""
  path = tmp_path / 'a.npz'
  network = zoo.create('lenet5_modern', num_classes=3, **OPTIONS)
  weights.save(str(path), random_variables(network, (32, 32, 1)))
  return path


def record(file, **data):
  """Writes what tools.publish does, beside the file."""
  folder = file.with_suffix('')
  folder.mkdir(exist_ok=True)
  config = {
    'model': {'name': 'lenet5_modern', 'dtype': 'bfloat16', **OPTIONS},
    'data': {
      'mean': [20.0], 'std': [200.0], 'order': 'rgb', 'image_size': 32,
      'mean_image': '', **data,
    },
  }  # fmt: skip
  (folder / 'config.json').write_text(json.dumps(config))
  (folder / 'classes.json').write_text('{"class_names": ["a", "b", "c"]}')
  return folder


def test_a_record_beside_a_file_has_options_classes_and_preprocessing(file):
  record(file)
  network, variables, preprocessing = zoo.pretrained('lenet5_modern', str(file))
  assert network == zoo.create('lenet5_modern', num_classes=3, **OPTIONS)
  assert variables['params']['output']['bias'].shape == (3,)
  digit = np.full((2, 28, 28, 1), 220, np.uint8)
  expected = np.full((2, 32, 32, 1), -0.1)
  expected[:, 2:-2, 2:-2] = 1
  np.testing.assert_allclose(preprocessing(digit), expected, rtol=1e-6)
  # Those that are given count.
  other = zoo.pretrained('lenet5_modern', str(file), activation='relu')
  assert other.network.activation == 'relu'


def test_images_of_unrecorded_weights_are_not_known_and_say_so(file):
  network, _, preprocessing = zoo.pretrained(
    'lenet5_modern', str(file), **OPTIONS
  )
  assert network.num_classes == 3  # as the file has
  with pytest.raises(weights.WeightsError, match=r'output/bias is \(3,\)'):
    zoo.pretrained('lenet5_modern', str(file), num_classes=4)
  with pytest.raises(ValueError, match=r'a\.npz wants its images is not known'):
    preprocessing(PIXELS)
  mine = zoo.preprocessing.Preprocessing(3, 1.0, 2.0)
  np.testing.assert_array_equal(mine(PIXELS), (PIXELS.astype('f') - 1) / 2)
  tall = np.zeros((1, 5, 2, 1), np.uint8)  # its longer side counts
  assert mine(tall).shape == tall.shape


def test_a_mean_image_is_beside_the_file_or_said_to_be_missing(file):
  folder = record(file, mean_image='mean.npy')
  preprocessing = zoo.pretrained('lenet5_modern', str(file)).preprocessing
  with pytest.raises(ValueError, match='less the mean of each pixel'):
    preprocessing(PIXELS)
  mean = np.random.default_rng(1).uniform(0, 255, (32, 32, 1)).astype('f')
  np.save(folder / 'mean_image.npy', mean)
  preprocessing = zoo.pretrained('lenet5_modern', str(file)).preprocessing
  images = np.full((1, 32, 32, 1), 9, np.uint8)
  close = {'rtol': 1e-5, 'atol': 1e-5}
  np.testing.assert_allclose(
    preprocessing(images), (9 - mean[None]) / 200, **close
  )
  larger = np.full((1, 40, 33, 1), 9, np.uint8)
  expected = np.full((1, 40, 33, 1), (9 - mean.mean()) / 200)
  np.testing.assert_allclose(preprocessing(larger), expected, **close)


def test_a_header_of_ours_is_a_record_too(file, tmp_path):
  variables = zoo.pretrained('lenet5_modern', str(file), **OPTIONS).variables
  path = str(tmp_path / 'b.safetensors')
  about = {
    'class_names': ['a', 'b', 'c'], 'image_size': 32, 'order': 'rgb',
    'image_shape': [28, 28, 1], 'mean': [20.0], 'std': [200.0],
    'mean_image': '', 'versions': {},
  }  # fmt: skip
  weight_files.save(path, 'lenet5_modern', variables, about, **OPTIONS)
  network, loaded, preprocessing = zoo.pretrained('lenet5_modern', path)
  assert network == zoo.create('lenet5_modern', num_classes=3, **OPTIONS)
  jax.tree.map(np.testing.assert_array_equal, loaded, variables)
  white = preprocessing(np.full((1, 32, 32, 1), 220, np.uint8))
  np.testing.assert_allclose(white, 1.0)


def test_a_record_of_another_network_or_a_damaged_one_is_refused(file):
  folder = record(file)
  with pytest.raises(
    weights.WeightsError, match=r'is lenet5_modern, .* lenet5'
  ):
    zoo.pretrained('lenet5', str(file))
  for text in ('{', '[]'):
    (folder / 'config.json').write_text(text)
    with pytest.raises(weights.WeightsError, match=r'config\.json cannot be'):
      zoo.pretrained('lenet5_modern', str(file))
  with pytest.raises(ValueError, match=r"No network 'alexnt'.*'alexnet'"):
    zoo.pretrained('alexnt', str(file))


TORCH = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), 1


@pytest.fixture
def no_file(monkeypatch):
  """Has any file be read, and fit."""

  class File:
    def variables(self, **_):
      return {}

  monkeypatch.setattr(weights, 'read', lambda *_, **__: File())


@pytest.mark.usefixtures('no_file')
@pytest.mark.parametrize(
  ('name', 'path', 'mean', 'std', 'step'),
  [
    ('bvlc_alexnet', 'a.onnx', (123, 117, 104), 1, -1),
    ('vgg_e', 'vgg.onnx', (123.68, 116.779, 103.939), 1, -1),
    ('vgg_d', 'vgg16.safetensors', *TORCH),
    ('vgg_d', 'timm/vgg16.tv_in1k', *TORCH),
  ],
)
def test_published_weights_see_the_channels_they_were_trained_on(
  name, path, mean, std, step
):
  network, _, preprocessing = zoo.pretrained(name, path)
  assert network == zoo.create(name)
  assert preprocessing.image_size == zoo.image_shape(name)[0]
  found = jax.jit(dataclasses.replace(preprocessing, image_size=3))(PIXELS)
  expected = ((PIXELS - np.array(mean)) / std)[..., ::step]
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures('no_file')
def test_weights_trained_with_caffes_norm_bring_it():
  assert zoo.pretrained('googlenet', 'a.onnx').network.lrn == 'caffe'
