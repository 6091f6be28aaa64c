"""CIFAR-10: 50,000 and 10,000 pictures of 32x32, from the original archives.

www.cs.toronto.edu/~kriz/cifar.html offers a binary and a Python version. Both
are read, as archives (.tar.gz) or unpacked. The Python version is a pickle,
which may run code: an unpickler reads it that knows the few names these files
need, and refuses every other.
"""

import io
import pathlib
import pickle
import tarfile
import zlib

import numpy as np

from data.arrays import ArraySource
from errors import UserError
from runtime import storage

_NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
_PARTS = {
  'train': [f'data_batch_{i}' for i in range(1, 6)],
  'test': ['test_batch'],
}
_FOLDERS = ('cifar-10-batches-bin', 'cifar-10-batches-py')
_ARCHIVES = ('cifar-10-binary.tar.gz', 'cifar-10-python.tar.gz')
_PIXELS = 3 * 32 * 32  # a plane a channel, red first


def cifar10(split: str, directory: str) -> ArraySource:
  """CIFAR-10.

  Args:
    split: 'train' or 'test'.
    directory: holds an archive or what it unpacks to; may be either itself.

  Raises:
    UserError: neither is there, or a file is damaged or holds code.
  """
  if not directory:
    raise UserError(
      "data.name 'cifar10' needs data.dir: a directory with "
      f'{" or ".join(_ARCHIVES)} of www.cs.toronto.edu/~kriz/cifar.html'
    )
  labels, images = zip(
    *(
      _read_pickle(name, content)
      if '.bin' not in name
      else _read_binary(name, content)
      for name, content in _files(storage.local(directory), split)
    )
  )
  planes = np.concatenate(images).reshape(-1, 3, 32, 32)
  return ArraySource(
    np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
    np.concatenate(labels),
    _NAMES,
    directory,
  )


def _files(place, split):
  """Yields (name, content) of the files of a split."""
  for folder in (place, *(place / name for name in _FOLDERS)):
    for end in ('.bin', ''):
      paths = [folder / f'{part}{end}' for part in _PARTS[split]]
      if all(path.is_file() for path in paths):
        yield from ((str(path), path.read_bytes()) for path in paths)
        return
  for archive in (place, *(place / name for name in _ARCHIVES)):
    if archive.is_file():
      yield from _archived(archive, split)
      return
  raise UserError(
    f"data.dir '{place}' holds neither {' nor '.join(_ARCHIVES)} nor all of "
    f'{_PARTS[split][0]}{"" if split == "test" else ", ..."} unpacked'
  )


def _archived(archive, split):
  found = {}
  try:
    with tarfile.open(archive) as tar:
      for member in tar:
        stem, _, end = pathlib.PurePath(member.name).name.partition('.')
        if stem in _PARTS[split] and end in ('', 'bin') and member.isfile():
          content = tar.extractfile(member)
          assert content is not None  # it is a file
          found[stem] = (f'{archive}:{member.name}', content.read())
  except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
    raise UserError(f'{archive} cannot be read: {error}') from None
  for part in _PARTS[split]:
    if part not in found:
      raise UserError(f'{archive} has no {part}')
    yield found[part]


def _read_binary(name, content):
  """A byte of label and 3,072 of pixels, again and again."""
  if not content or len(content) % (1 + _PIXELS):
    raise UserError(
      f'{name} is not a batch of CIFAR-10: {len(content):,} bytes, not a '
      f'multiple of {1 + _PIXELS:,}'
    )
  rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
  return rows[:, 0], rows[:, 1:]


class _Unpickler(pickle.Unpickler):
  """Rebuilds NumPy arrays; every other name is refused."""

  _RECONSTRUCT = np.zeros(1).__reduce__()[0]
  _KNOWN = {  # noqa: RUF012
    # As Python 2 with NumPy 1 wrote it, and as NumPy 2 would.
    ('numpy.core.multiarray', '_reconstruct'): _RECONSTRUCT,
    ('numpy._core.multiarray', '_reconstruct'): _RECONSTRUCT,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
  }

  def find_class(self, module, name):
    """Returns a known class, or raises UnpicklingError."""
    try:
      return self._KNOWN[module, name]
    except KeyError:
      raise pickle.UnpicklingError(
        f'it asks for {module}.{name}, which CIFAR-10 does not need'
      ) from None


def _read_pickle(name, content):
  try:
    batch = _Unpickler(io.BytesIO(content), encoding='bytes').load()
    labels, images = np.asarray(batch[b'labels'], np.int32), batch[b'data']
    if images.dtype != np.uint8 or images.shape != (len(labels), _PIXELS):
      raise ValueError(f'data are {images.dtype} {images.shape}')
  except Exception as error:  # noqa: BLE001  damaged pickles raise any kind
    raise UserError(
      f'{name} is not a batch of CIFAR-10: {error or type(error).__name__}'
    ) from None
  return labels, images
