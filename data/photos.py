"""Photographs as they are stored: encoded, of many sizes.

One split of such a data set:

    len(photos)                 number of photographs
    photos.num_classes          int
    photos.class_names          tuple of str, one a class
    photos.read(indices)        list of `Photo`, in the order of the indices

`Cropped` puts a geometry of `crops` in front of it, which makes it a source
like any other.
"""

import functools
import threading
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from data import tfds
from data.crops import Geometry
from errors import UserError, one_line


class Photo(NamedTuple):
  """One photograph; `key` is its name in the data set."""

  encoded: bytes
  label: int
  key: str


@runtime_checkable
class Photos(Protocol):
  """One split; see the module's docstring."""

  num_classes: int
  class_names: tuple[str, ...]

  def __len__(self) -> int: ...

  def read(self, indices: np.ndarray) -> list[Photo]:
    """Returns the photographs; raises whatever its storage raises."""
    ...

  def count_classes(self) -> np.ndarray | None:
    """See `sources.Source`."""
    ...


def notes(split: Any) -> tuple[str, ...]:
  """Returns what a person should know of photographs or a source.

  As what a folder has that is not read. Most have no `notes`.
  """
  return tuple(getattr(split, 'notes', ()))


def keys(split: Any, indices: np.ndarray) -> list[str]:
  """Returns what examples of a source or of photographs are called.

  A file's path from `data.dir`, a name in the records; where images have no
  names their index. Photographs that cannot tell without are read again.
  """
  split = split.photos if isinstance(split, Cropped) else split
  if hasattr(split, 'keys'):
    return split.keys(indices)
  if not isinstance(split, Photos):
    return [str(i) for i in indices]
  # One by one: of a whole batch all the content would be in memory.
  return [split.read(indices[i : i + 1])[0].key for i in range(len(indices))]


class _TfdsPhotos:
  """A split of TFDS with encoded images, as its ImageNet."""

  def __init__(self, builder: str, directory: str, split: str):
    features, self._records = tfds.open_split(
      builder, directory, split, raw=True
    )
    label = features['label']
    # See `parts.selectable`.
    self.read_labels = functools.partial(tfds.labels, builder, directory, split)
    self.class_names = tuple(label.names)
    self.num_classes = label.num_classes

  def __len__(self):
    return len(self._records)

  def read(self, indices):
    """See `Photos`."""
    examples = self._records.__getitems__([int(i) for i in indices])
    return [
      Photo(
        e['image'], int(e['label']), _text(e.get('file_name', f'example {i}'))
      )
      for i, e in zip(indices, examples)
    ]

  def count_classes(self):
    """See `Photos`."""
    return


def _text(value):
  return value.decode() if isinstance(value, bytes) else str(value)


_NO_IMAGENET = """\
data.name 'imagenet2012': data.dir '{directory}' holds no ImageNet. Ways on:
  its two tars    python -m tools.prepare_imagenet --out=DIR \\
                      --train_tar=ILSVRC2012_img_train.tar \\
                      --val_tar=ILSVRC2012_img_val.tar
                  then --config.data.dir=DIR
  other pictures  --config=FILE.py:data=folder --config.data.dir=DIR
                  with DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg
  a look          --config=FILE.py:data=fake,smoke    noise, no files needed"""


def imagenet2012(
  split: str,
  directory: str,
  train_split: str = 'train',
  test_split: str = 'validation',
) -> _TfdsPhotos:
  """ImageNet (ILSVRC 2012) in a TFDS directory of ArrayRecord files.

  `python -m tools.prepare_imagenet` makes one.

  Args:
    split: 'train' or 'test'.
    directory: TFDS's data_dir, which holds imagenet2012/5.1.0.
    train_split: TFDS's name of the split to train on, slices allowed.
    test_split: that of the split to evaluate on; the official test split has
      no labels.

  Raises:
    UserError: it is not there; the three ways on. Or as `tfds.open_split`.
  """
  if tfds.directory_of('imagenet2012', directory) is None:
    raise UserError(_NO_IMAGENET.format(directory=directory))
  name = train_split if split == 'train' else test_split
  return _TfdsPhotos('imagenet2012', directory, name)


def of_tfds(
  split: str,
  directory: str,
  builder: str = '',
  train_split: str = 'train',
  test_split: str = 'test',
  photographs: bool = False,
) -> '_TfdsPhotos | tfds.TfdsSource':
  """An image classification data set of TFDS, prepared as ArrayRecord.

  Args:
    split: 'train' or 'test'.
    directory: TFDS's data_dir; empty for its default.
    builder: name with optional config and version, as 'mnist:3.0.1'.
    train_split: TFDS's name of the split to train on, slices allowed.
    test_split: that of the split to evaluate on.
    photographs: whether images of one size are photographs too, which a
      geometry resizes, and do not go to the network as they are.

  Returns:
    Photographs where its images have many sizes, or as asked; else a source.

  Raises:
    UserError: as `tfds.open_split`; no builder; or it has no image and label.
  """
  if not builder:
    raise UserError(
      "data.name 'tfds' needs the name of a data set of TFDS: "
      '--config.data.options.builder=NAME, as food101 or mnist:3.0.1'
    )
  name = train_split if split == 'train' else test_split
  features, records = tfds.open_split(builder, directory, name, raw=False)
  if missing := {'image', 'label'} - set(features):
    raise UserError(
      f"data.options.builder '{builder}' has no feature "
      f'{" and no ".join(sorted(missing))}, but {", ".join(features)}'
    )
  if photographs or None in features['image'].shape:
    return _TfdsPhotos(builder, directory, name)
  return tfds.TfdsSource(
    records,
    features['label'],
    records[0]['image'].shape,
    functools.partial(tfds.labels, builder, directory, name),
  )


# What to do about a photograph of a split that cannot be decoded.
ADVICE = {
  'train': 'Mend it, or set data.on_error=skip and data.max_errors to replace '
  'such ones in training',
  'test': 'Mend it, or take it out of the data: every test image counts. '
  'python -m tools.check_data --all lists such ones',
}


class Cropped:
  """Photographs through a geometry: a source of crops of one size.

  The crop at a position is a function of (seed, position), so it does not
  depend on threads and processes. Where no positions are given, in evaluation,
  the index of the photograph stands for them.

  Args:
    photos: one split.
    geometry: from `crops.create`.
    size: side of the crops.
    seed: of the run.
    max_errors: how many photographs may fail to decode. Each is replaced by
      the next one in the data set that can be decoded, and counted. More of
      them end the run; 0 takes none.
    split: 'train' or 'test'; in the test split every one counts.
  """

  def __init__(
    self,
    photos: Photos,
    geometry: Geometry,
    size: int,
    seed: int,
    max_errors: int = 0,
    split: str = 'train',
  ):
    self.photos, self._geometry = photos, geometry
    self._advice = ADVICE[split]
    self._seed, self._max_errors = seed, max_errors
    self._lock = threading.Lock()
    self._bad: dict[str, str] = {}  # every one so far, by key
    self._replaced: list[str] = []  # keys since the last report
    self.num_classes = photos.num_classes
    self.class_names = photos.class_names
    self.notes = notes(photos)
    self.image_shape = (size, size, 3)

  def __len__(self):
    return len(self.photos)

  def batch(
    self, indices: np.ndarray, positions: np.ndarray | None = None
  ) -> dict[str, np.ndarray]:
    """Reads, decodes and crops; see `sources.Source`.

    Raises:
      UserError: a photograph cannot be decoded; names its key and index.
    """
    positions = indices if positions is None else positions
    images = np.empty((len(indices), *self.image_shape), np.uint8)
    labels = np.empty(len(indices), np.int32)
    for row, (photo, index, position) in enumerate(
      zip(self._read(indices), indices.tolist(), positions.tolist())
    ):
      images[row], labels[row] = self._example(photo, index, position)
    return {'image': images, 'label': labels}

  def count_classes(self) -> np.ndarray | None:
    """See `sources.Source`."""
    return self.photos.count_classes()

  def replaced(self) -> list[str]:
    """Returns the keys of what this process replaced since the last call."""
    with self._lock:
      keys, self._replaced = self._replaced, []
    return keys

  def _read(self, indices):
    try:
      return self.photos.read(indices)
    except Exception:  # noqa: BLE001  one by one, to find which it is
      return [None] * len(indices)

  def _example(self, photo, index, position):
    """Returns (crop, label) of a photograph, or of the next good one."""
    for number in range(index, index + len(self)):
      number %= len(self)
      key = 'unreadable'
      try:
        if photo is None:
          (photo,) = self.photos.read(np.array([number]))
        key = photo.key
        image = self._geometry(
          photo.encoded, self._generator(position), self.image_shape[0]
        )
        return image, photo.label
      except Exception as error:  # noqa: BLE001  libraries raise many kinds
        self._count(key, number, one_line(error))
      photo = None
    raise AssertionError('more errors than photographs')

  def _generator(self, position):
    # A key of its own for each (seed, position): no hashing, 8 microseconds.
    key = np.array([self._seed, position], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))

  def _count(self, key, index, reason):
    name = f'{key} (index {index})'
    with self._lock:
      self._bad[name] = reason
      bad = len(self._bad)
      if bad <= self._max_errors:
        self._replaced.append(name)
        return
    if self._max_errors:
      raise UserError(
        f'{bad} photographs could not be decoded, data.max_errors is '
        f'{self._max_errors}; the last is {name}: {reason}'
      )
    raise UserError(f'{name} cannot be decoded: {reason}. {self._advice}')
