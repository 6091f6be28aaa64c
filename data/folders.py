"""A folder of photographs, in the layouts that people have.

    DIR/train/CLASS/NAME.jpg          what `listing` reads, in any case
    DIR/val/CLASS/NAME.jpg            or all of them in DIR/val, with a list of
    DIR/val.txt                       labels, see `_LABEL_FILES` and `labels`

Classes are the folders of DIR/train, sorted. Folders in a class are not read.
What is left out is counted, and `notes` says it.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from data import labels as labels_lib
from data import listing
from data.photos import Photo
from errors import UserError, closest
from runtime import storage

_LABEL_FILES = (
  'val.txt',
  'val.csv',
  'val_labels.txt',
  'val_labels.csv',
  'labels.txt',
  'labels.csv',
  'LOC_val_solution.csv',
)
# What other programs call the folders of the two splits.
_USUAL = {
  'train_folder': ('train', 'training', 'train_set', 'training_set'),
  'test_folder': (
    'val', 'valid', 'validation', 'test', 'testing', 'test_set', 'eval',
  ),
}  # fmt: skip


class _Folder:
  """Files and their labels; `notes` is what a person should know of them."""

  def __init__(self, root, names, labels, class_names, notes):
    self._root, self._names = root, names
    self._labels = np.asarray(labels, np.int32)
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)
    missing = np.flatnonzero(self.count_classes() == 0)
    if missing.size:
      absent = listing.shown([self.class_names[i] for i in missing])
      notes = [
        *notes,
        f'no photographs of {missing.size:,} of {self.num_classes:,} classes: '
        f'{absent}',
      ]
    self.notes = tuple(notes)

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

  def read_labels(self):
    """See `parts.selectable`."""
    return self._labels

  def keys(self, indices: np.ndarray) -> list[str]:
    """See `photos.keys`."""
    return [self._names[i] for i in indices]

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
  root = _root(directory)
  _check_layout(
    root, {'train_folder': train_folder, 'test_folder': test_folder}, split
  )
  found = listing.of(root / train_folder)
  classes = _classes(root / train_folder, found)
  if split == 'train':
    return _by_class(root, train_folder, found, classes)
  found = listing.of(root / test_folder)
  if not found.folders:
    return _flat(root, test_folder, found, classes, labels)
  _check_no_labels(root / test_folder, found, labels)
  return _by_class(root, test_folder, found, classes)


def only_test(
  directory: str,
  class_names: Sequence[str],
  labelled: bool = True,
  train_folder: str = 'train',
  test_folder: str = 'val',
  labels: str = '',
) -> _Folder:
  """Photographs to evaluate a network on whose classes are known.

  Classes are the folders of DIR/val; where there is no such folder, nor one
  that people call so, those of DIR. DIR/train is needed by nothing: with a list
  of labels, it tells what their names and numbers mean, else `class_names`.

  Args:
    directory: holds the folder, or is it.
    class_names: of the network.
    labelled: whether photographs without folders need a list of labels; without
      one all are of class 0.
    train_folder: may be there.
    test_folder: as of `folder`.
    labels: as of `folder`.

  Raises:
    UserError: names the folder, file or line.
  """
  root = _root(directory)
  part = _test_part(root, train_folder, test_folder)
  found = listing.of(root / part)
  if found.folders:
    _check_no_labels(root / part, found, labels)
    return _by_class(root, part, found, _distinct(root / part, found))
  if not labelled and found.photos:
    names = [_inside(part, image) for image in found.photos]
    return _Folder(
      root, names, [0] * len(names), class_names[:1], _left_out(found.left_out)
    )
  if (root / train_folder).is_dir():
    class_names = _classes(root / train_folder, listing.of(root / train_folder))
  return _flat(root, part, found, class_names, labels)


def _root(directory):
  root = storage.local(directory)
  if not directory or not root.is_dir():
    raise UserError(f"data.dir '{directory}' is not a directory")
  return root


def _test_part(root, train_folder, test_folder):
  """Returns the folder to test on; '.': photographs are right in the root."""
  if (root / test_folder).is_dir():
    return test_folder
  found = listing.of(root)
  usual = {train_folder, *itertools.chain(*_USUAL.values())}
  if (
    test_folder != 'val'
    or usual & {name.lower() for name in found.folders}
    or not (found.folders or found.photos)
    or any((root / name / test_folder).is_dir() for name in found.folders)
  ):
    _check_layout(root, {'test_folder': test_folder})
  return '.'


def _check_no_labels(place, found, labels):
  if labels:
    raise UserError(
      f"data.options.labels '{labels}' is for photographs without folders, but "
      f'{place} has {listing.shown(found.folders)}'
    )


def _check_layout(root, parts, split='test'):
  """Refuses a folder above or below the right one, or without a split."""
  missing = {k: v for k, v in parts.items() if not (root / v).is_dir()}
  if not missing or (split == 'train' and 'train_folder' not in missing):
    return  # what is evaluated may be held out of the one to train on
  found = listing.of(root)
  there = [f'folders {listing.shown(found.folders)}'] if found.folders else []
  if found.photos:
    there.append(f'{len(found.photos):,} photographs')
  expected = ' and '.join(f'{part}/CLASS/NAME.jpg' for part in parts.values())
  raise UserError(
    f"data.dir '{root}' has no {' and no '.join(missing.values())}: "
    f'{expected} {"are" if len(parts) > 1 else "is"} '
    f'expected there, and it holds {" and ".join(there) or "no photographs"}.'
    f'{_way_out(root, found.folders, parts, missing)}'
  )


def _way_out(root, folders, parts, missing):
  if len(missing) == len(parts):
    above = root.resolve().parents[:2]
    for place in (*(root / name for name in folders), *above):
      if (place / next(iter(parts.values()))).is_dir():
        return f' Set --config.data.dir={place}'
  flags = []
  for field in missing:
    for name in folders:
      if name.lower() in _USUAL[field]:
        flags.append(f'--config.data.options.{field}={name}')
        break
  if not flags and len(missing) < len(parts):
    none = '; for none: --config.data.options.holdout=N, of those in train'
    return (
      f' For another name: --config.data.options.{field}=NAME'
      f'{none * (field == "test_folder")}'
    )
  return f' Set {" ".join(flags)}' if flags else ''


def _classes(place, found):
  """Returns the names of the classes, sorted."""
  names = [listing.nfc(name) for name in found.folders]
  if not names:
    raise UserError(
      f'{place} has no folders of classes, but {len(found.photos):,} '
      f'photographs: they belong into {place.name}/CLASS/NAME.jpg'
    )
  if len(names) == 1:
    inside = listing.of(place / found.folders[0]).folders
    raise UserError(
      f"{place} has one folder only, '{names[0]}'"
      + (f', and {listing.shown(inside)} in it' if inside else '')
      + f': {place.name}/CLASS/NAME.jpg is expected, and two classes or more'
    )
  return _distinct(place, found)


def _distinct(place, found):
  """Returns the names of the classes, sorted, each once."""
  names = [listing.nfc(name) for name in found.folders]
  for name, following in itertools.pairwise(names):
    if name == following:
      raise UserError(
        f"{place} has two folders '{name}', in two forms of Unicode: merge them"
      )
  return names


def _inside(part, name):
  return name if part == '.' else f'{part}/{name}'


def _by_class(root, part, found, classes):
  numbers = {name: i for i, name in enumerate(classes)}
  names, labels, empty = [], [], []
  left_out = found.left_out
  left_out.files['beside the folders of classes'] += len(found.photos)
  for name in found.folders:
    if (number := numbers.get(listing.nfc(name))) is None:
      raise UserError(
        f"{root / part / name}: '{name}' is no class of the training split."
        f'{closest(name, classes[:1000])}'
      )
    inside = listing.of(root / part / name)
    below = sum(
      listing.count_below(root / part / name / f) for f in inside.folders
    )
    inside.left_out.files['in folders within classes'] += below
    if not inside.photos:
      empty.append(f'{name} ({inside.left_out or "empty"})')
    left_out.add(inside.left_out)
    names += [_inside(part, f'{name}/{image}') for image in inside.photos]
    labels += [number] * len(inside.photos)
  if empty:
    raise UserError(
      f'{root / part}: classes without photographs: {listing.shown(empty)}. '
      'Convert or move them, or remove the folder; what is read lies right in '
      f'the folder of its class and is {", ".join(listing.EXTENSIONS)}'
    )
  return _Folder(root, names, labels, classes, _left_out(left_out))


def _left_out(left_out):
  return [f'left out {left_out}'] if left_out else []


def _flat(root, part, found, classes, file):
  if not found.photos:
    raise UserError(
      f'{root / part} holds neither folders of classes nor photographs, but '
      f'{found.left_out or "nothing"}'
    )
  path = _find_labels(root, part, file)
  if path.parent == root / part:
    found.left_out.files[path.suffix.lower()] -= 1
  label_of = labels_lib.read(path, found.photos, classes)
  for image in found.photos:
    if image not in label_of:
      raise UserError(f'{path} has no label for {part}/{image}')
  names = [_inside(part, image) for image in found.photos]
  labels = [label_of[image] for image in found.photos]
  notes = [f'labels from {path}', *_left_out(found.left_out)]
  return _Folder(root, names, labels, classes, notes)


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
