"""Sets of labels for ImageNet's validation images: several right answers.

ReaL (Beyer et al. 2020, "Are we done with ImageNet?"): real.json of
github.com/google-research/reassessed-imagenet, a list of 50,000 lists of
classes, in the order of the validation images' numbers; classes count in the
order of the WordNet ids. "[A prediction] is considered correct if it is
included in the set of labels"; images with an empty set are left out.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data.photos import Photo, Photos, keys, notes
from errors import UserError
from runtime import storage

_NUMBER = re.compile(r'ILSVRC2012_val_(\d{8})')
_CLASSES = 1000
_AT_ONCE = 64  # photographs in memory

Sets = list[list[int]]


def read(path: str) -> Sets:
  """Returns the classes of each validation image, the first one's first.

  Raises:
    UserError: the file is not there, or no list of lists of classes.
  """
  where = f"eval.label_sets '{path}'"
  try:
    found = json.loads(storage.local(path).read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'{where} cannot be read: {error}') from None
  form = 'a list of lists of numbers of classes, 0 to 999, as real.json is'
  if not isinstance(found, list) or not found:
    raise UserError(f'{where} is not {form}')
  for number, labels in enumerate(found, 1):
    if not isinstance(labels, list) or not all(
      type(label) is int and 0 <= label < _CLASSES for label in labels
    ):
      raise UserError(f'{where} is not {form}: entry {number} is {labels!r}')
  return found


class Labelled:
  """Validation images with sets of labels, without those that have none.

  `label_sets[i]` are the classes of photograph i, sorted; its label is the
  first of them.

  Args:
    photos: of ImageNet's validation split, or some of them.
    path: for `read`.
    numbers: of the network's class, by that in the order of WordNet ids.
    class_names: of the network.

  Raises:
    UserError: as `read`; or a photograph without a number of its own.
  """

  def __init__(
    self,
    photos: Photos,
    path: str,
    numbers: Sequence[int],
    class_names: Sequence[str],
  ):
    sets = read(path)
    names = keys(photos, np.arange(len(photos)))
    entries = _entries(names, path, len(sets))
    chosen = [sorted({numbers[n] for n in sets[entry]}) for entry in entries]
    self._photos = photos
    self._indices = np.array([i for i, c in enumerate(chosen) if c], np.int64)
    self.label_sets = [c for c in chosen if c]
    if not self.label_sets:
      raise UserError(f"eval.label_sets '{path}': no image has a label there")
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)
    several = sum(len(c) > 1 for c in self.label_sets)
    self.notes = (
      *notes(photos),
      f'labels from {path}: {len(self):,} of {len(photos):,} images have any, '
      f'{several:,} several; the others are left out',
    )

  def __len__(self):
    return len(self._indices)

  def read(self, indices: np.ndarray) -> list[Photo]:
    """See `photos.Photos`."""
    found = self._photos.read(self._indices[indices])
    return [
      photo._replace(label=self.label_sets[i][0])
      for photo, i in zip(found, indices)
    ]

  def keys(self, indices: np.ndarray) -> list[str]:
    """See `photos.keys`."""
    return keys(self._photos, self._indices[indices])

  def count_classes(self) -> None:
    """See `sources.Source`: with several labels an image, it says nothing."""
    return


def each(photos: Photos) -> Iterator[Photo]:
  """Yields the photographs in their order."""
  for start in range(0, len(photos), _AT_ONCE):
    stop = min(start + _AT_ONCE, len(photos))
    yield from photos.read(np.arange(start, stop))


def _entries(names, path, count):
  """Returns the entry of each photograph, from 0, by the number in its name."""
  found: dict[int, str] = {}
  for key in names:
    match = _NUMBER.search(key)
    number = int(match[1]) if match else 0
    if not 1 <= number <= count:
      raise UserError(
        f"eval.label_sets '{path}' goes by the numbers of ImageNet's "
        f'validation images, ILSVRC2012_val_00000001 and so on to {count}: '
        f"'{key}' has none of them"
      )
    if number in found:
      raise UserError(
        f"eval.label_sets '{path}': '{found[number]}' and '{key}' have one "
        'number; each image counts once'
      )
    found[number] = key
  return [number - 1 for number in found]


def of(source: Any) -> Sequence[Sequence[int]] | None:
  """Returns the sets of labels of a source's images; None: it has labels."""
  return getattr(getattr(source, 'photos', source), 'label_sets', None)


def best_of(
  scores: np.ndarray, label_sets: Sequence[Sequence[int]]
) -> np.ndarray:
  """Returns of each set the label of the highest score, int32 [N].

  By it, top-1 is right if the prediction is in the set, and top-5 if one of
  five is. Of equal scores the lower class counts, as in the ranking.

  Args:
    scores: [N, classes].
    label_sets: sorted, of the N images.
  """
  found: list[Any] = [
    labels[int(np.argmax(row[list(labels)]))]
    for row, labels in zip(scores, label_sets)
  ]
  return np.array(found, np.int32)
