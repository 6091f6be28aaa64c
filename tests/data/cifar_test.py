"""CIFAR's archives, binary and Python; pickles that would run code."""

import hashlib
import io
import os
import pickle
import shutil
import struct
import tarfile

import numpy as np
import pytest

from data import cifar, sources
from errors import UserError

PARTS = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']


def batch_of(part):
  rng = np.random.default_rng(PARTS.index(part))
  data = rng.integers(0, 256, (4, 3072), np.uint8)
  return data, rng.integers(0, 10, 4).tolist()


def binary(part):
  data, labels = batch_of(part)
  return b''.join(bytes([n]) + row.tobytes() for n, row in zip(labels, data))


def modern(part):
  """As Python 3 and the NumPy that is installed write it."""
  data, labels = batch_of(part)
  return pickle.dumps({b'data': data, b'labels': labels}, protocol=4)


def original(part):
  """As Python 2 with NumPy 1 wrote the real files, opcode by opcode."""

  def text(value):
    return b'U' + bytes([len(value)]) + value

  data, labels = batch_of(part)
  array = (
    b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85'
    + text(b'b') + b'tR(K\x01K\x04M\x00\x0c\x86cnumpy\ndtype\n(' + text(b'u1')
    + b'K\x00K\x01tR(K\x03' + text(b'|') + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff'
    + b'\xffK\x00tb\x89T' + struct.pack('<i', data.size) + data.tobytes()
    + b'tb'
  )  # fmt: skip
  numbers = b''.join(b'K' + bytes([n]) for n in labels)
  return (
    b'\x80\x02}(' + text(b'batch_label') + text(b'batch 1') + text(b'data')
    + array + text(b'labels') + b'](' + numbers + b'eu.'
  )  # fmt: skip


def check(directory):
  train, test = (
    sources.create('cifar10', s, str(directory)) for s in ('train', 'test')
  )
  assert (len(train), len(test)) == (20, 4)
  assert train.class_names[6] == 'frog'
  assert train.image_shape == (32, 32, 3)
  data = np.concatenate([batch_of(p)[0] for p in PARTS[:5]])
  labels = np.concatenate([batch_of(p)[1] for p in PARTS[:5]])
  got = train.batch(np.array([0, 5, 19]))
  assert got['label'].tolist() == labels[[0, 5, 19]].tolist()
  # Red is the first plane, rows of 32.
  assert got['image'][1, 2, 7].tolist() == [
    data[5, 1024 * c + 32 * 2 + 7] for c in range(3)
  ]
  assert got['image'].dtype == np.uint8


@pytest.mark.parametrize('content', [binary, modern, original])
def test_unpacked_and_archived(tmp_path, content):
  end = '.bin' if content is binary else ''
  kind = 'bin' if content is binary else 'py'
  folder = tmp_path / f'cifar-10-batches-{kind}'
  folder.mkdir()
  for part in PARTS:
    (folder / f'{part}{end}').write_bytes(content(part))
  check(folder)
  check(tmp_path)
  archive = tmp_path / ('cifar-10-binary.tar.gz' if end else
                        'cifar-10-python.tar.gz')  # fmt: skip
  with tarfile.open(archive, 'w:gz') as tar:
    tar.add(folder, folder.name)
  for file in folder.iterdir():
    file.unlink()
  check(tmp_path)
  check(archive)


def hundred(split, kind):
  """Returns pixels, both labels and a file of a small CIFAR-100."""
  rng = np.random.default_rng(split == 'test')
  data = rng.integers(0, 256, (6, 3072), np.uint8)
  fine, coarse = [99, 0, 42, 1, 26, 39], [13, 4, 8, 1, 13, 5]
  if kind == 'binary':  # <1 x coarse label><1 x fine label><3072 x pixel>
    rows = zip(coarse, fine, data)
    content = b''.join(bytes([c, f]) + row.tobytes() for c, f, row in rows)
  else:
    content = pickle.dumps(
      {b'filenames': [b'a.png'] * 6, b'batch_label': b'b', b'data': data,
       b'fine_labels': fine, b'coarse_labels': coarse}, 4,
    )  # fmt: skip
  return data, fine, coarse, content


@pytest.mark.parametrize('kind', ['binary', 'python'])
def test_the_hundred_classes_and_the_twenty(tmp_path, kind):
  folder = tmp_path / f'cifar-100-{kind}'
  folder.mkdir()
  end = '.bin' if kind == 'binary' else ''
  for split in ('train', 'test'):
    (folder / f'{split}{end}').write_bytes(hundred(split, kind)[3])
    (folder / 'fine_label_names.txt').write_text('not read\n')
  archive = tmp_path / f'cifar-100-{kind}.tar.gz'
  with tarfile.open(archive, 'w:gz') as tar:
    tar.add(folder, folder.name)
  alone = tmp_path / 'alone'
  alone.mkdir()
  shutil.copy(archive, alone)
  for place in (tmp_path, folder, archive, alone):
    for split in ('train', 'test'):
      data, fine, coarse, _ = hundred(split, kind)
      source = sources.create('cifar100', split, str(place))
      batch = source.batch(np.arange(6))
      planes = batch['image'].transpose(0, 3, 1, 2).reshape(6, 3072)
      np.testing.assert_array_equal(planes, data)
      assert batch['label'].tolist() == fine
      assert [source.class_names[i] for i in fine] == [
        'worm', 'apple', 'leopard', 'aquarium_fish', 'crab', 'keyboard',
      ]  # fmt: skip
      other = sources.create('cifar100', split, str(place), labels='coarse')
      assert other.batch(np.arange(6))['label'].tolist() == coarse
      assert [other.class_names[i] for i in coarse[:3]] == [
        'non-insect_invertebrates', 'fruit_and_vegetables', 'large_carnivores',
      ]  # fmt: skip
      assert (source.num_classes, other.num_classes) == (100, 20)
      packed = place in (archive, alone)
      digest = hashlib.md5(archive.read_bytes()).hexdigest()
      assert [digest in note for note in source.notes] == [True] * packed


def test_the_sites_own_archive_needs_no_word(tmp_path, monkeypatch):
  archive = tmp_path / 'cifar-100-python.tar.gz'
  with tarfile.open(archive, 'w:gz') as tar:
    content = hundred('test', 'python')[3]
    info = tarfile.TarInfo('cifar-100-python/test')
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
  digest = hashlib.md5(archive.read_bytes()).hexdigest()
  known = cifar._CIFAR100._replace(archives={archive.name: digest})
  monkeypatch.setattr(cifar, '_CIFAR100', known)
  assert sources.create('cifar100', 'test', str(tmp_path)).notes == ()


@pytest.mark.parametrize(
  ('files', 'options', 'message'),
  [
    ({}, {}, r'neither cifar-100-binary.tar.gz nor .* all of test unpacked'),
    ({'test.bin': b'x' * 3073}, {}, 'cifar100: 3,073 bytes, .* of 3,074'),
    ({'test': modern('test_batch')}, {}, 'test is not a batch of cifar100'),
    ({}, {'labels': 'corse'}, "labels 'corse' .* Did you mean 'coarse'"),
  ],
)
def test_what_is_not_the_hundred_classes_is_named(
  tmp_path, files, options, message
):
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  with pytest.raises(UserError, match=message):
    sources.create('cifar100', 'test', str(tmp_path), **options)


def test_the_hundred_classes_without_a_directory():
  with pytest.raises(
    UserError, match=r"'cifar100' needs data.dir: .* cifar-100-python.tar.gz of"
  ):
    sources.create('cifar100', 'train')


def test_a_directory_may_be_called_as_a_file(tmp_path):
  place = tmp_path / 'x.bin'
  place.mkdir()
  for part in PARTS:
    (place / part).write_bytes(modern(part))
  check(place)


class Evil:
  """What an attacker would put into an archive."""

  def __reduce__(self):
    return os.mkdir, ('owned',)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (pickle.dumps(Evil()), r'asks for posix\.mkdir'),
    (pickle.dumps({b'data': Evil(), b'labels': []}, 4), 'posix'),
    (b'cbuiltins\neval\n(S"1"\ntR.', r'asks for builtins\.eval'),
    (b'cnumpy\nload\n(S"x"\ntR.', r'asks for numpy\.load'),
    (original('test_batch')[:-900], 'not a batch'),
    (pickle.dumps({b'labels': [1]}), 'not a batch'),
    (pickle.dumps({b'labels': [1], b'data': np.zeros((1, 9), np.uint8)}, 4),
     r'data are uint8 \(1, 9\)'),
  ],
)  # fmt: skip
def test_pickles_that_ask_for_more_or_are_damaged_are_refused(
  tmp_path, monkeypatch, content, message
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'test_batch').write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    sources.create('cifar10', 'test', str(tmp_path))
  assert 'test_batch' in str(error.value)
  assert not (tmp_path / 'owned').exists()


def test_bad_archives_are_named(tmp_path):
  def refused(message, directory=tmp_path):
    with pytest.raises(UserError, match=message):
      sources.create('cifar10', 'test', str(directory))

  refused('needs data.dir', '')
  refused('neither cifar-10-binary.tar.gz nor')
  (tmp_path / 'test_batch.bin').write_bytes(binary('test_batch')[:-1])
  refused('not a multiple of 3,073')
  (tmp_path / 'test_batch.bin').unlink()
  archive = tmp_path / 'cifar-10-binary.tar.gz'
  archive.write_bytes(b'\x1f\x8bnothing')
  refused('cannot be read')
  with tarfile.open(archive, 'w:gz') as tar:
    info = tarfile.TarInfo('cifar-10-batches-bin/readme.html')
    tar.addfile(info, io.BytesIO())
  refused('has no test_batch')
