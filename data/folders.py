"""A folder of photographs, in the layouts that people have.

    DIR/train/CLASS/NAME.jpg          .jpg, .jpeg, .png, in any case
    DIR/val/CLASS/NAME.jpg            or all of them in DIR/val, with a file of
    DIR/val.txt                       labels, see `_LABEL_FILES`

Classes are the folders of DIR/train, sorted. A file of labels has a line an
image, 'NAME CLASS' with a comma, a tab or spaces between; the extension of the
name may be missing, more columns are ignored and so is a first line of titles
(Kaggle's LOC_val_solution.csv). The class is a folder's name or its number,
from 0. Or it has one column, of classes, in the order of the sorted names.
"""

import itertools
import os
import pathlib
import re

import numpy as np

from data.photos import Photo
from errors import UserError, closest
from runtime import storage

_EXTENSIONS = ('.jpg', '.jpeg', '.png')
_LABEL_FILES = (
  'val.txt',
  'val.csv',
  'val_labels.txt',
  'val_labels.csv',
  'labels.txt',
  'labels.csv',
  'LOC_val_solution.csv',
)


class _Folder:
  """Files and their labels."""

  def __init__(self, root, names, labels, class_names):
    self._root, self._names = root, names
    self._labels = np.asarray(labels, np.int32)
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)

  def __len__(self):
    return len(self._names)

  def read(self, indices):
    """See `photos.Photos`."""
    photos = []
    for i in indices:
      path = self._root / self._names[i]
      photos.append(
        Photo(path.read_bytes(), int(self._labels[i]), self._names[i])
      )
    return photos

  def count_classes(self) -> np.ndarray:
    """See `sources.Source`."""
    return np.bincount(self._labels, minlength=self.num_classes)


def folder(
  split: str,
  directory: str,
  train_folder: str = 'train',
  test_folder: str = 'val',
  labels: str = '',
) -> _Folder:
  """Photographs of one split; see the module's docstring.

  Args:
    split: 'train' or 'test'.
    directory: holds the folders of both splits.
    train_folder: the one to train on.
    test_folder: the one to evaluate on.
    labels: file of the labels of a test folder without classes, in
      `directory`; empty: the first of the usual names.

  Raises:
    UserError: names the folder, file or line.
  """
  root = storage.local(directory)
  if not directory or not root.is_dir():
    raise UserError(f"data.dir '{directory}' is not a directory")
  classes = _subfolders(root / train_folder)
  if not classes:
    raise UserError(
      f'{root / train_folder} has no folders: photographs belong into '
      f'{train_folder}/CLASS/NAME.jpg'
    )
  if split == 'train':
    return _by_class(root, train_folder, classes, classes)
  present = _subfolders(root / test_folder)
  if present:
    return _by_class(root, test_folder, present, classes)
  return _flat(root, test_folder, classes, labels)


def _entries(place):
  try:
    with os.scandir(place) as entries:
      return [e for e in entries if not e.name.startswith('.')]
  except OSError as error:
    raise UserError(f'{place} cannot be listed: {error.strerror}') from None


def _subfolders(place):
  return sorted(e.name for e in _entries(place) if e.is_dir())


def _images(place):
  names = (e.name for e in _entries(place))
  return sorted(n for n in names if n.lower().endswith(_EXTENSIONS))


def _by_class(root, part, present, classes):
  numbers = {name: i for i, name in enumerate(classes)}
  names, labels = [], []
  for name in present:
    if name not in numbers:
      raise UserError(
        f"{root / part / name}: '{name}' is no class of the training split."
        f'{closest(name, classes[:1000])}'
      )
    images = _images(root / part / name)
    names += [f'{part}/{name}/{image}' for image in images]
    labels += [numbers[name]] * len(images)
  return _checked(root, part, names, labels, classes)


def _checked(root, part, names, labels, classes):
  if not names:
    raise UserError(
      f'{root / part} holds no photographs ({", ".join(_EXTENSIONS)})'
    )
  return _Folder(root, names, labels, classes)


def _flat(root, part, classes, file):
  images = _images(root / part)
  if not images:
    raise UserError(
      f'{root / part} holds neither folders of classes nor photographs'
    )
  path = _find_labels(root, part, file)
  label_of = _read_labels(path, images, classes)
  for image in images:
    if image not in label_of:
      raise UserError(f'{path} has no label for {part}/{image}')
  names = [f'{part}/{image}' for image in images]
  return _checked(root, part, names, [label_of[i] for i in images], classes)


def _find_labels(root, part, file):
  if file:
    if (root / file).is_file():
      return root / file
    raise UserError(f"data.options.labels '{file}' is not a file in {root}")
  for place, name in itertools.product((root, root / part), _LABEL_FILES):
    if (place / name).is_file():
      return place / name
  raise UserError(
    f'{root / part} has no folders of classes, and there is no file of labels '
    f'({", ".join(_LABEL_FILES)}): set data.options.labels'
  )


def _read_labels(path, images, classes):
  """Returns the class number by the name of the image."""
  rows = [
    re.split(r'[,;\s]+', line.strip())
    for line in path.read_text().splitlines()
    if line.strip()
  ]
  numbers = {name: i for i, name in enumerate(classes)}
  if rows and all(len(row) == 1 for row in rows):
    return _by_order(path, [row[0] for row in rows], images, numbers)
  of_stem = {pathlib.PurePath(i).stem: i for i in images}
  labels: dict[str, int] = {}
  known = {*images, *of_stem}
  for line, row in enumerate(rows, 1):
    name = pathlib.PurePath(row[0]).name
    if name not in known:
      if line == 1:  # titles
        continue
      raise UserError(f"{path}, line {line}: there is no image '{row[0]}'")
    if len(row) < 2:
      raise UserError(f"{path}, line {line}: '{row[0]}' has no class")
    image = of_stem.get(name, name)
    label = _class_number(path, line, row[1], numbers)
    if labels.setdefault(image, label) != label:
      raise UserError(f"{path}, line {line}: '{row[0]}' has two classes")
  return labels


def _by_order(path, column, images, numbers):
  if len(column) != len(images):
    raise UserError(
      f'{path} has {len(column)} labels in one column, but there are '
      f'{len(images)} images'
    )
  if column[0] not in numbers:
    # The development kit's ground truth counts classes in an order of its own.
    raise UserError(
      f"{path} has one column, and '{column[0]}' is no class: write 'NAME "
      "CLASS' lines, or the names of the classes in the order of the images"
    )
  return {
    image: _class_number(path, line, name, numbers)
    for line, (image, name) in enumerate(zip(sorted(images), column), 1)
  }


def _class_number(path, line, text, numbers):
  if text in numbers:
    return numbers[text]
  if text.isdecimal() and int(text) < len(numbers):
    return int(text)
  raise UserError(
    f"{path}, line {line}: '{text}' is neither a class nor a number below "
    f'{len(numbers)}'
  )
