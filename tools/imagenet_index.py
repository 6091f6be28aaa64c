"""Where each image of ImageNet lies: in a tar at an offset, or in a folder.

Only headers are read. Tars may hold a tar a class, as ImageNet's own training
set does, or folders.
"""

import array
import os
import pathlib
import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from errors import UserError, closest
from runtime import storage

COUNTS = {'train': 1_281_167, 'validation': 50_000}
_EXTENSIONS = ('.jpeg', '.jpg', '.png')
_VALIDATION_NAME = re.compile(r'ILSVRC2012_val_(\d{8})')


class Entry(NamedTuple):
  """An image: the part of a file, or a file of its own where offset is -1."""

  name: str
  label: int
  container: str  # a tar, or a folder
  offset: int
  size: int

  def read(self) -> bytes:
    """Returns its content; raises OSError."""
    if self.offset < 0:
      return pathlib.Path(self.container, self.name).read_bytes()
    with open(self.container, 'rb') as file:
      file.seek(self.offset)
      return file.read(self.size)


class Index:
  """Entries, in columns: 1.3 million objects would take 0.5 GB."""

  def __init__(self):
    self.names: list[str] = []
    self.ignored = 0  # files that are no images by name
    self.excluded = 0
    self._containers: list[str] = []
    self._columns = {c: array.array('q') for c in Entry._fields[1:]}

  def __len__(self):
    return len(self.names)

  @property
  def labels(self) -> np.ndarray:
    """int64 [N]."""
    return np.frombuffer(self._columns['label'], np.int64)

  @property
  def sizes(self) -> np.ndarray:
    """int64 [N], bytes."""
    return np.frombuffer(self._columns['size'], np.int64)

  def __getitem__(self, number: int) -> Entry:
    label, container, offset, size = (
      column[number] for column in self._columns.values()
    )
    name = self.names[number]
    return Entry(name, label, self._containers[container], offset, size)

  def add(self, name, label, container, offset, size):
    """Adds an image."""
    if not self._containers or self._containers[-1] != container:
      self._containers.append(container)
    self.names.append(name)
    values = (label, len(self._containers) - 1, offset, size)
    for column, value in zip(self._columns.values(), values):
      column.append(value)


class Labels:
  """Class numbers of ImageNet, from the lists that ship with TFDS."""

  def __init__(self, words: Sequence[str], validation: Sequence[str]):
    """Takes the WordNet ids in order, and those of the validation images."""
    self.words, self._validation = words, validation
    self._numbers = {word: i for i, word in enumerate(words)}

  def of_class(self, word: str, where: str) -> int:
    """Returns the number of a WordNet id; raises UserError."""
    if word not in self._numbers:
      raise UserError(
        f"{where}: '{word}' is no class of ImageNet.{closest(word, self.words)}"
        ' A folder with other classes needs no preparation: data.name=folder'
      )
    return self._numbers[word]

  def of_validation(self, name: str, where: str) -> int:
    """Returns the number of a validation image by its name."""
    match = _VALIDATION_NAME.match(name)
    number = int(match[1]) if match else 0
    if not 0 < number <= len(self._validation):
      raise UserError(
        f"{where}: '{name}' is no validation image of ImageNet "
        '(ILSVRC2012_val_000NNNNN.JPEG), nor in a folder of its class'
      )
    return self._numbers[self._validation[number - 1]]


def build(place: str, split: str, labels: Labels, exclude: set[str]) -> Index:
  """Returns the index of a tar or a folder.

  Args:
    place: its path.
    split: 'train' or 'validation'.
    labels: of ImageNet.
    exclude: names of images to leave out.

  Raises:
    UserError: names the file that is missing, truncated or has no class.
  """
  path = storage.local(place)
  index = Index()
  if path.is_dir():
    found = _walk(path)
  elif path.is_file():
    found = _tar(path)
  else:
    raise UserError(f'{place} is neither a file nor a directory')
  for word, name, container, offset, size in found:
    if name.startswith('.') or not name.lower().endswith(_EXTENSIONS):
      index.ignored += 1
    elif name in exclude:
      index.excluded += 1
    else:
      where = f'{container}:{name}'
      if split == 'validation' and not re.fullmatch(r'n\d{8}', word):
        label = labels.of_validation(name, where)
      else:
        label = labels.of_class(word, where)
      index.add(name, label, container, offset, size)
  if not len(index):
    raise UserError(f'{place} holds no images ({", ".join(_EXTENSIONS)})')
  return index


def _walk(place) -> Iterator[tuple[str, str, str, int, int]]:
  """Yields (class, name, container, offset, size) of all files, sorted."""
  for folder, folders, files in os.walk(place, followlinks=True):
    folders.sort()
    word = pathlib.PurePath(folder).name if folder != str(place) else ''
    for name in sorted(files):
      size = os.stat(os.path.join(folder, name)).st_size
      yield word, name, folder, -1, size


def _tar(path) -> Iterator[tuple[str, str, str, int, int]]:
  end = path.stat().st_size
  try:
    with open(path, 'rb') as file, tarfile.open(fileobj=file, mode='r:') as tar:
      for member in tar:
        if not member.isfile():
          continue
        name = pathlib.PurePath(member.name)
        if member.offset_data + member.size > end:
          raise tarfile.ReadError(f'{member.name} is cut off')
        if name.suffix != '.tar':
          word = name.parent.name
          yield word, name.name, str(path), member.offset_data, member.size
          continue
        stop = member.offset_data + member.size
        for inner in _inner(path, member.offset_data, stop, member.name):
          at = inner.offset_data
          file_name = pathlib.PurePath(inner.name).name
          yield name.stem, file_name, str(path), at, inner.size
  except (tarfile.TarError, OSError) as error:
    raise UserError(
      f'{path} is no whole tar: {error}. Compare its size and checksum with '
      "those of image-net.org's page"
    ) from None


def _inner(path, start, stop, name):
  """Yields the files of a tar inside a tar; their offsets are of the outer."""
  with open(path, 'rb') as file:
    file.seek(start)
    with tarfile.open(fileobj=file, mode='r:') as tar:
      for member in tar:
        if member.offset_data + member.size > stop:
          raise tarfile.ReadError(f'{name} in it is cut off')
        if member.isfile():
          yield member
