"""Where examples come from: random access, a length, a class count, names.

A source is one split of a data set:

    len(source)                 number of examples
    source.num_classes          int
    source.class_names          tuple of str, one a class
    source.image_shape          (height, width, channels) of every image
    source.batch(indices, positions)
                                {'image': uint8 [B, H, W, C],
                                 'label': int32 [B]}

`batch` takes any array of indices in [0, len). Positions are those in the
endless sequence of training: where a source crops at random, a crop is a
function of (seed, position). Sources in memory have no use for them, and answer
by one vectorised look-up: a Python call per example costs about 30
microseconds, as much as LeNet-5 itself.

Photographs of many sizes, `folder` and `imagenet2012`, become a source by a
geometry that cuts crops of one size: `photos.Cropped`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from data import cifar, folders, mnist, parts, photos
from data.arrays import ArraySource
from errors import UserError, select

_FAKE_BYTES = 1 << 26  # of distinct images


class Source(Protocol):
  """One split; see the module's docstring."""

  num_classes: int
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]

  def __len__(self) -> int: ...

  def batch(
    self, indices: np.ndarray, positions: np.ndarray | None = None
  ) -> dict[str, np.ndarray]:
    """Returns the examples at `indices`, in their order."""
    ...

  def count_classes(self) -> np.ndarray | None:
    """Returns the examples of each class; None: not known without reading."""
    ...


class _Fake(ArraySource):
  """A few images, again and again, with labels of their own."""

  def __init__(self, images, labels, class_names):
    super().__init__(images, labels[: len(images)], class_names)
    self.labels = labels.astype(np.int32)

  def batch(self, indices, positions=None):
    """See `Source`."""
    del positions
    image = self.images[indices % len(self.images)]
    return {'image': image, 'label': self.labels[indices]}


def fake(
  split: str,
  directory: str,
  shape: tuple[int, int, int] = (28, 28, 1),
  num_classes: int = 10,
  examples: int = 4096,
) -> ArraySource:
  """Noise with random labels: for speed without input, never for results.

  At most 64 MB of it: of (224, 224, 3), 445 images repeat.
  """
  del directory
  rng = np.random.default_rng(split == 'train')
  distinct = min(examples, max(_FAKE_BYTES // int(np.prod(shape)), 1))
  images = rng.integers(0, 256, (distinct, *shape), np.uint8)
  labels = rng.integers(0, num_classes, examples)
  return _Fake(images, labels, [str(i) for i in range(num_classes)])


class _Renumbered:
  """A source whose class i is class `numbers[i]`; -1: it has no examples."""

  def __init__(self, source, numbers, class_names):
    self._source = source
    self.notes = photos.notes(source)
    self._new = np.asarray(numbers, np.int32)
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)

  def __len__(self):
    return len(self._source)

  def count_classes(self):
    """See `Source`."""
    counts = self._source.count_classes()
    if counts is None:
      return None
    found = np.zeros(self.num_classes, counts.dtype)
    there = self._new >= 0
    found[self._new[there]] = counts[there]
    return found


class _RenumberedImages(_Renumbered):
  def __init__(self, source, numbers, class_names):
    super().__init__(source, numbers, class_names)
    self.image_shape = source.image_shape

  def batch(self, indices, positions=None):
    """See `Source`."""
    batch = self._source.batch(indices, positions)
    return {**batch, 'label': self._new[batch['label']]}


class _RenumberedPhotos(_Renumbered):
  def read(self, indices):
    """See `photos.Photos`."""
    return [
      photo._replace(label=int(self._new[photo.label]))
      for photo in self._source.read(indices)
    ]

  def keys(self, indices):
    """See `photos.keys`."""
    return photos.keys(self._source, indices)


def check_classes(
  here: Sequence[str], there: Sequence[str], owner: str, way_out: str
) -> None:
  """Raises UserError unless two sets of class names are equal; names the first.

  Args:
    here: of the data.
    there: of what was trained.
    owner: what that is, for a person.
    way_out: what to do.
  """
  new, gone = sorted(set(here) - set(there)), sorted(set(there) - set(here))
  if not new and not gone:
    return
  found = [f"'{new[0]}' is not one of those"] if new else []
  found += [f"'{gone[0]}' of those is not in the data"] if gone else []
  raise UserError(
    f'{owner} was trained on {len(there)} classes, the data have {len(here)} '
    f'others: {", ".join(found)}. {way_out}'
  )


def in_order(
  source: Source | photos.Photos, class_names: Sequence[str]
) -> Source | photos.Photos:
  """Returns a source whose labels count as `class_names`, an equal set."""
  number = {name: i for i, name in enumerate(class_names)}
  return renumbered(
    source, [number[n] for n in source.class_names], class_names
  )


def renumbered(
  source: Source | photos.Photos,
  numbers: Sequence[int],
  class_names: Sequence[str],
) -> Source | photos.Photos:
  """Returns a source whose labels count in other classes.

  Args:
    source: a split.
    numbers: of the new class, by the old one; each once. -1: no example has it.
    class_names: of the new classes.
  """
  if tuple(source.class_names) == tuple(class_names) and list(numbers) == list(
    range(len(class_names))
  ):
    return source
  if isinstance(source, photos.Photos):
    return _RenumberedPhotos(source, numbers, class_names)
  return _RenumberedImages(source, numbers, class_names)


_WHOLE: dict[str, Callable[..., Source | photos.Photos]] = {
  'mnist5k': mnist.mnist5k,
  'mnist': mnist.mnist,
  'fashion_mnist': mnist.fashion_mnist,
  'cifar10': cifar.cifar10,
  'cifar100': cifar.cifar100,
  'imagenet2012': photos.imagenet2012,
  'folder': folders.folder,
  'tfds': photos.of_tfds,
  'fake': fake,
}
SOURCES = {name: parts.selectable(whole) for name, whole in _WHOLE.items()}


def create(
  name: str, split: str, directory: str = '', **options
) -> Source | photos.Photos:
  """Returns the split 'train' or 'test' of the data set `name`.

  Args:
    name: a key of `SOURCES`.
    split: 'train' or 'test'.
    directory: `data.dir`; what it means is up to the source.
    **options: `data.options`, further arguments of the source.

  Raises:
    UserError: names the field or file, and what would help.
  """
  function = select('data.name', name, SOURCES, options, skip=2)
  return function(split, directory, **options)


def create_test(
  name: str,
  directory: str,
  class_names: Sequence[str],
  labelled: bool = True,
  **options,
) -> Source | photos.Photos:
  """Returns the split 'test' for a network whose classes are known.

  Of a folder, which names its own, nothing but the test photographs is read:
  see `folders.only_test`. Other arguments and errors as of `create`.
  """
  if name != 'folder' or any(options.get(part) for part in parts.HOLDOUTS):
    return create(name, 'test', directory, **options)
  select('data.name', name, SOURCES, options, skip=2)
  options = {k: v for k, v in options.items() if k not in parts.FIELDS}
  return folders.only_test(directory, class_names, labelled, **options)
