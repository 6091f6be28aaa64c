"""CIFAR-10 and -100: 50,000 and 10,000 pictures of 32x32, as they are offered.

www.cs.toronto.edu/~kriz/cifar.html has a binary and a Python version of each.
Both are read, as archives (.tar.gz) or unpacked; of an archive that is not the
one there it is said. The Python version is a pickle,
which may run code: an unpickler reads it that knows the few names these files
need, and refuses every other.
"""

import hashlib
import io
import pathlib
import pickle
import tarfile
import zlib
from typing import NamedTuple

import numpy as np

from data.arrays import ArraySource
from errors import UserError, closest
from runtime import storage

_SITE = 'www.cs.toronto.edu/~kriz/cifar.html'
_PIXELS = 3 * 32 * 32  # a plane a channel, red first


class _Set(NamedTuple):
  """One of the two data sets."""

  name: str  # data.name
  parts: dict[str, list[str]]  # files of a split, '.bin' in the binary version
  folders: tuple[str, ...]  # that the archives unpack to
  archives: dict[str, str]  # MD5 by name, as the site has them
  labels: tuple[bytes, ...]  # a byte each before the pixels; keys of the pickle


_CIFAR10 = _Set(
  'cifar10',
  {
    'train': [f'data_batch_{i}' for i in range(1, 6)],
    'test': ['test_batch'],
  },
  ('cifar-10-batches-bin', 'cifar-10-batches-py'),
  {
    'cifar-10-binary.tar.gz': 'c32a1d4ab5d03f1284b67883e8d87530',
    'cifar-10-python.tar.gz': 'c58f30108f718f92721af3b95e74349a',
  },
  (b'labels',),
)
_CIFAR100 = _Set(
  'cifar100',
  {'train': ['train'], 'test': ['test']},
  ('cifar-100-binary', 'cifar-100-python'),
  {
    'cifar-100-binary.tar.gz': '03b5dce01913d631647c71ecec9e9cb8',
    'cifar-100-python.tar.gz': 'eb9058c3a382ffc7106e4002c42a8d85',
  },
  (b'coarse_labels', b'fine_labels'),
)
_NAMES = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
# fine_label_names.txt and coarse_label_names.txt of CIFAR-100.
_FINE = (
  'apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy '
  'bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee '
  'clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant '
  'flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower '
  'leopard lion lizard lobster man maple_tree motorcycle mountain mouse '
  'mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree '
  'plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea '
  'seal shark shrew skunk skyscraper snail snake spider squirrel streetcar '
  'sunflower sweet_pepper table tank telephone television tiger tractor train '
  'trout tulip turtle wardrobe whale willow_tree wolf woman worm'
).split()
_COARSE = (
  'aquatic_mammals fish flowers food_containers fruit_and_vegetables '
  'household_electrical_devices household_furniture insects large_carnivores '
  'large_man-made_outdoor_things large_natural_outdoor_scenes '
  'large_omnivores_and_herbivores medium_mammals non-insect_invertebrates '
  'people reptiles small_mammals trees vehicles_1 vehicles_2'
).split()


def cifar10(split: str, directory: str) -> ArraySource:
  """CIFAR-10.

  Args:
    split: 'train' or 'test'.
    directory: holds an archive or what it unpacks to; may be either itself.

  Raises:
    UserError: neither is there, or a file is damaged or holds code.
  """
  return _read(_CIFAR10, split, directory, 0, _NAMES)


def cifar100(split: str, directory: str, labels: str = 'fine') -> ArraySource:
  """CIFAR-100.

  Args:
    split: 'train' or 'test'.
    directory: as of `cifar10`.
    labels: 'fine', of 100 classes; 'coarse', of the 20 that these belong to.

  Raises:
    UserError: as `cifar10`; or other labels.
  """
  known = {'fine': (1, _FINE), 'coarse': (0, _COARSE)}
  if labels not in known:
    raise UserError(
      f"data.options.labels '{labels}' is unknown.{closest(labels, known)}"
    )
  return _read(_CIFAR100, split, directory, *known[labels])


def _read(data, split, directory, column, class_names):
  if not directory:
    raise UserError(
      f"data.name '{data.name}' needs data.dir: a directory with "
      f'{" or ".join(data.archives)} of {_SITE}'
    )
  files, notes = _files(data, storage.local(directory), split)
  labels, images = zip(
    *(
      _read_binary(data, name, content)
      if name.endswith('.bin')
      else _read_pickle(data, name, content)
      for name, content in files
    )
  )
  planes = np.concatenate(images).reshape(-1, 3, 32, 32)
  return ArraySource(
    np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
    np.concatenate(labels)[:, column],
    class_names,
    directory,
    notes,
  )


def _files(data, place, split):
  """Returns (name, content) of the files of a split, and notes on them."""
  for folder in (place, *(place / name for name in data.folders)):
    for end in ('.bin', ''):
      paths = [folder / f'{part}{end}' for part in data.parts[split]]
      if all(path.is_file() for path in paths):
        return [(str(path), path.read_bytes()) for path in paths], ()
  for archive in (place, *(place / name for name in data.archives)):
    if archive.is_file():
      return _archived(data, archive, split), _check_digest(data, archive)
  more = ', ...' if len(data.parts[split]) > 1 else ''
  raise UserError(
    f"data.dir '{place}' holds neither {' nor '.join(data.archives)} nor all "
    f'of {data.parts[split][0]}{more} unpacked'
  )


def _check_digest(data, archive):
  """Returns a note on an archive that is not the site's."""
  with archive.open('rb') as file:
    digest = hashlib.file_digest(file, 'md5').hexdigest()
  if digest in data.archives.values():
    return ()
  return (f'{archive} is not the archive of {_SITE}: its MD5 is {digest}',)


def _archived(data, archive, split):
  found, parts = {}, data.parts[split]
  try:
    with tarfile.open(archive) as tar:
      for member in tar:
        stem, _, end = pathlib.PurePath(member.name).name.partition('.')
        if stem in parts and end in ('', 'bin') and member.isfile():
          content = tar.extractfile(member)
          assert content is not None  # it is a file
          found[stem] = (f'{archive}:{member.name}', content.read())
  except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
    raise UserError(f'{archive} cannot be read: {error}') from None
  for part in parts:
    if part not in found:
      raise UserError(f'{archive} has no {part}')
  return [found[part] for part in parts]


def _read_binary(data, name, content):
  """A byte a label and 3,072 of pixels, again and again."""
  row = len(data.labels) + _PIXELS
  if not content or len(content) % row:
    raise UserError(
      f'{name} is not a batch of {data.name}: {len(content):,} bytes, not a '
      f'multiple of {row:,}'
    )
  rows = np.frombuffer(content, np.uint8).reshape(-1, row)
  return np.split(rows, [len(data.labels)], axis=1)


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
        f'it asks for {module}.{name}, which images do not need'
      ) from None


def _read_pickle(data, name, content):
  try:
    batch = _Unpickler(io.BytesIO(content), encoding='bytes').load()
    images = batch[b'data']
    labels = np.stack([np.asarray(batch[k], np.int32) for k in data.labels], 1)
    if images.dtype != np.uint8 or images.shape != (len(labels), _PIXELS):
      raise ValueError(f'data are {images.dtype} {images.shape}')
  except Exception as error:  # noqa: BLE001  damaged pickles raise any kind
    raise UserError(
      f'{name} is not a batch of {data.name}: {error or type(error).__name__}'
    ) from None
  return labels, images
