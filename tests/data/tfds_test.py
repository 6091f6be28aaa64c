"""Data sets of TFDS, that these tests make: arrays, photographs, parts."""

import functools
import importlib
import io
import sys

import numpy as np
import pytest
from photographs import encode
from PIL import Image

from configs import resnet
from data import photos, sources
from errors import UserError
from experiment import create_source


@pytest.mark.slow
def test_tfds_array_record_without_tensorflow(tmp_path):
  import tensorflow_datasets as tfds  # noqa: PLC0415  slow

  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (12, 28, 28), np.uint8)

  class TinyDigits(tfds.core.GeneratorBasedBuilder):
    """Twelve digits."""

    VERSION = tfds.core.Version('1.0.0')
    pkg_dir_path = tmp_path  # this test is not an installed package

    def _info(self):
      return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(shape=(28, 28, 1)),
            'label': tfds.features.ClassLabel(num_classes=10),
          }
        )
      )

    def _split_generators(self, manager):
      del manager
      return {
        'train': self._generate(range(8)),
        'test': self._generate(range(8, 12)),
      }

    def _generate_examples(self, numbers):
      return self._generate(numbers)

    def _generate(self, numbers):
      for i in numbers:
        png = io.BytesIO()
        Image.fromarray(images[i]).save(png, 'png')
        yield i, {'image': io.BytesIO(png.getvalue()), 'label': i % 10}

  builder = TinyDigits(data_dir=tmp_path, file_format='array_record')
  builder.download_and_prepare()
  options = {'builder': 'tiny_digits', 'train_split': 'train[:50%]'}
  train = sources.create('tfds', 'train', str(tmp_path), **options)
  test = sources.create('tfds', 'test', str(tmp_path), **options)
  assert (len(train), len(test)) == (4, 4)
  assert train.num_classes == 10
  assert train.image_shape == (28, 28, 1)
  seen = {images[i].tobytes(): i % 10 for i in range(12)}
  batch = test.batch(np.array([3, 0, 0, 1, 2]))
  assert batch['image'].dtype == np.uint8
  assert [seen[i.tobytes()] for i in batch['image']] == batch['label'].tolist()
  assert 'tensorflow' not in sys.modules
  for split, builder, message in (
    ('train', 'tiny_digit', "'tiny_digit' of TFDS. Did you mean 'tiny_digits'"),
    ('nope', 'tiny_digits', r"no split 'nope'. Known: train, test"),
    ('train', 'tiny_digits:2.0.0', "cannot open 'tiny_digits:2.0.0'"),
  ):
    with pytest.raises(UserError, match=message) as error:
      sources.create(
        'tfds', 'train', str(tmp_path), builder=builder, train_split=split
      )
    assert '\n' not in str(error.value)


@pytest.mark.slow
def test_photographs_of_tfds_are_cropped_as_others(tmp_path):
  import tensorflow_datasets as tfds  # noqa: PLC0415  slow

  class Pictures(tfds.core.GeneratorBasedBuilder):
    """Six pictures of two kinds and many sizes, without names of files."""

    VERSION = tfds.core.Version('1.0.0')
    pkg_dir_path = tmp_path

    def _info(self):
      label = tfds.features.ClassLabel(names=['dark', 'bright'])
      image = tfds.features.Image(encoding_format='jpeg')
      return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict({'image': image, 'label': label})
      )

    def _split_generators(self, manager):
      del manager
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      for i in range(6):
        image = np.full((70 + i, 90 - i, 3), 200 * (i % 2), np.uint8)
        yield i, {'image': io.BytesIO(encode(image)), 'label': i % 2}

  Pictures(data_dir=tmp_path, file_format='array_record').download_and_prepare()
  config = resnet.get_config()
  config.data.update(name='tfds', dir=str(tmp_path), image_size=64)
  config.data.options = {'builder': 'pictures'}
  config.data.geometry.update(smallest=64, largest=70)
  source = create_source(config, 'train')
  assert source.class_names == ('dark', 'bright')
  batch = source.batch(np.arange(6))
  assert batch['image'].shape == (6, 64, 64, 3)
  bright = batch['image'].mean((1, 2, 3)) > 100
  np.testing.assert_array_equal(bright, batch['label'] == 1)
  names = photos.keys(source, np.array([4, 2]))
  assert names == ['example 4', 'example 2']


@pytest.fixture(scope='module')
def stored(tmp_path_factory):
  """A directory with 'squares', 20 + 4 images of one size, of three classes."""
  import tensorflow_datasets as tfds  # noqa: PLC0415  slow

  place = tmp_path_factory.mktemp('tfds')

  class Squares(tfds.core.GeneratorBasedBuilder):
    """Of the classes 'a', 'b' and 'c' there are 10, 6 and 4."""

    VERSION = tfds.core.Version('1.0.0')
    pkg_dir_path = place

    def _info(self):
      label = tfds.features.ClassLabel(names=['a', 'b', 'c'])
      image = tfds.features.Image(shape=(32, 32, 3))
      return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict({'image': image, 'label': label})
      )

    def _split_generators(self, manager):
      del manager
      return {
        'train': self._generate_examples([0] * 10 + [1] * 6 + [2] * 4),
        'test': self._generate_examples([0, 1, 2, 0]),
      }

    def _generate_examples(self, labels):
      for i, label in enumerate(labels):
        image = np.full((32, 32, 3), (10 * i, 255 - 10 * i, 80 * label))
        png = io.BytesIO(encode(image.astype(np.uint8), 'PNG'))
        yield i, {'image': png, 'label': label}

  Squares(data_dir=place, file_format='array_record').download_and_prepare()
  return place


@pytest.mark.slow
def test_images_of_one_size_are_photographs_where_a_recipe_says_so(stored):
  options = {'builder': 'squares', 'test_split': 'test'}
  plain = sources.create('tfds', 'test', str(stored), **options)
  assert photos.keys(plain, np.array([3, 1])) == ['3', '1']
  options['photographs'] = True
  (photo,) = sources.create('tfds', 'test', str(stored), **options).read([2])
  assert photo.label == 2
  np.testing.assert_array_equal(
    np.asarray(Image.open(io.BytesIO(photo.encoded)))[0, 0], (20, 235, 160)
  )


@pytest.mark.slow
def test_parts_of_a_set_of_tfds(stored):
  create = functools.partial(
    sources.create, 'tfds', directory=str(stored), builder='squares'
  )
  whole = create('train')
  labels = whole.batch(np.arange(20))['label']
  np.testing.assert_array_equal(whole.read_labels(), labels)
  rest, held_out = (create(split, holdout=10) for split in ('train', 'test'))
  assert held_out.count_classes().tolist() == [5, 3, 2]
  assert rest.count_classes().tolist() == [5, 3, 2]
  seen = [
    image.tobytes()
    for part in (rest, held_out)
    for image in part.batch(np.arange(10))['image']
  ]
  assert len(set(seen)) == 20
  few = create('train', per_class=2, photographs=True)
  assert [p.label for p in few.read(np.arange(6))].count(2) == 2
  assert few.count_classes().tolist() == [2, 2, 2]
  with pytest.raises(UserError, match="'c' has 4; take at most 4"):
    create('train', per_class=5)
  assert len(create('test', per_class=2)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  ['alexnet', 'zfnet', 'vgg', 'googlenet', 'resnet', 'resnet_cifar', 'lenet5'],
)
def test_every_config_takes_a_set_of_tfds(stored, name):
  config = importlib.import_module(f'configs.{name}').get_config('data=tfds')
  config.data.update(dir=str(stored))
  config.data.options.builder = 'squares'
  side = 32 if name in ('resnet_cifar', 'lenet5') else 224
  train, test = (create_source(config, split) for split in ('train', 'test'))
  assert (len(train), len(test)) == (20, 4)
  assert train.class_names == ('a', 'b', 'c')
  batch = test.batch(np.arange(4))
  assert batch['image'].shape == (4, side, side, 3)
  # A square stays what it is, however large: its third channel is its class.
  blue = batch['image'][..., 2].mean((1, 2))
  np.testing.assert_allclose(blue, 80 * batch['label'], atol=3)
  assert train.batch(np.arange(20))['image'].shape == (20, side, side, 3)


@pytest.mark.slow
def test_images_of_one_size_need_no_geometry_unless_asked(stored):
  config = resnet.get_config('data=tfds')
  config.data.dir = str(stored)
  config.data.options = {'builder': 'squares'}
  with pytest.raises(
    UserError, match=r'none, or data.options.photographs=True'
  ):
    create_source(config, 'train')


def test_a_set_of_tfds_needs_a_name():
  config = resnet.get_config('data=tfds')
  with pytest.raises(UserError, match=r'--config.data.options.builder=NAME'):
    create_source(config, 'train')
