"""Which examples of a data set a run takes, by `data.options` of any.

    holdout=5000    of the training set are not trained on, but evaluated
    per_class=15    of the others train on so many of each class
    draw=1          on others than those of draw 0

The examples of a class are ordered by the SHA-256 of what they are taken for
and of what names each: its file, or its number in the data set. So the same
ones are taken in every run, process and version, whatever the seed of the run;
of one draw, fewer are a part of more; and a file that is added moves few.

Of each class so many are held out as are in proportion, rounded down or up.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from data import listing, photos
from data.arrays import check_labels
from errors import UserError, closest

# Options that hold a part of the training set out; the second is `mnist`'s.
HOLDOUTS = ('holdout', 'held_out')
FIELDS = ('holdout', 'per_class', 'draw')  # 0 where they are not set
SPLITS = ('', 'holdout', 'test')  # values of eval.split


def is_held_out(options: Mapping[str, Any], split: str) -> bool:
  """Whether a part of the training set is evaluated, and not the test set.

  Args:
    options: `data.options`.
    split: `eval.split`.
  """
  return split != 'test' and any(options.get(name) for name in HOLDOUTS)


def of_split(
  options: Mapping[str, Any], split: str, evaluated: str
) -> dict[str, Any]:
  """Returns the options to read a split with.

  Args:
    options: `data.options`.
    split: 'train' or 'test'.
    evaluated: `eval.split`.

  Raises:
    UserError: `eval.split` is unknown, or nothing is held out.
  """
  if evaluated not in SPLITS:
    raise UserError(
      f"eval.split '{evaluated}' is unknown.{closest(evaluated, SPLITS[1:])}"
    )
  if evaluated == 'holdout' and not is_held_out(options, evaluated):
    raise UserError(
      "eval.split 'holdout': no images are held out; data.options.holdout says "
      'how many, in training'
    )
  left_out = HOLDOUTS if (split, evaluated) == ('test', 'test') else ()
  return {k: v for k, v in dict(options).items() if k not in left_out}


def selectable(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function of `sources.SOURCES` that takes these options as well.

  Args:
    function: (split, directory, **options) -> a source or photographs, which
      have `read_labels()`: the class of each example, int [N]; they may have
      `keys(indices)`, what names each.
  """

  @functools.wraps(function)
  def select(
    split: str,
    directory: str,
    *,
    holdout: int = 0,
    per_class: int = 0,
    draw: int = 0,
    **options: Any,
  ) -> Any:
    _check(holdout, per_class, draw, options)
    whole = function('train' if holdout else split, directory, **options)
    if not holdout and (split == 'test' or not per_class):
      return whole
    labels = _labels(whole)
    held_out = _held_out(whole, labels, holdout)
    if split == 'test':
      return _held_out_part(whole, labels, held_out)
    rest = np.flatnonzero(~held_out)
    note = f'{holdout:,} are held out' if holdout else ''
    if per_class:
      rest = _few_of_each(whole, labels, rest, per_class, draw)
      few = f'{per_class} images of each class, draw {draw}'
      note = f'{few}; {note}' if note else few
    return _part(whole, labels, rest, *photos.notes(whole), note)

  added = inspect.signature(select, follow_wrapped=False).parameters.values()
  own = inspect.signature(function)
  select.__signature__ = own.replace(  # type: ignore[attr-defined]
    parameters=[
      *own.parameters.values(),
      *(p for p in added if p.kind == p.KEYWORD_ONLY),
    ]
  )
  return select


def _check(holdout, per_class, draw, options):
  given = {'holdout': holdout, 'per_class': per_class, 'draw': draw}
  for field, value in given.items():
    if value < 0:
      raise UserError(f'data.options.{field} is {value}: at least 0')
  if draw and not per_class:
    raise UserError(
      f'data.options.draw is {draw}: it says which images of a class are '
      'taken; set data.options.per_class, how many'
    )
  if holdout and options.get('held_out'):
    raise UserError(
      f'data.options.holdout is {holdout} and data.options.held_out '
      f'{options["held_out"]}: give one, they hold out different images'
    )


def _held_out(whole, labels, number):
  """Returns which examples are held out, bool [N]."""
  if not number:
    return np.zeros(len(labels), bool)
  counts = np.bincount(labels, minlength=whole.num_classes)
  # Largest remainders; whole numbers, so that no platform rounds otherwise.
  quotas, rests = np.divmod(counts * number, len(labels))
  may = quotas + 1 < counts  # one of each class is left to train on
  more = np.argsort(np.where(may, -rests, 1), kind='stable')
  more = more[: number - quotas.sum()]
  if number >= len(labels) or not may[more].all():
    raise UserError(
      f'data.options.holdout is {number:,}, of {len(labels):,} images to train '
      'on: each class must keep one, hold fewer out'
    )
  quotas[more] += 1
  return _ranks(labels, _digests('holdout', whole)) < quotas[labels]


def _held_out_part(whole, labels, held_out):
  indices = np.flatnonzero(held_out)
  there, here = (set(x.tolist()) for x in (labels, labels[indices]))
  missing = [whole.class_names[i] for i in sorted(there - here)]
  note = 'held out of training, each class in proportion'
  if missing:
    note += f'; none of {listing.shown(missing)}'
  return _part(whole, labels, indices, note)


def _few_of_each(whole, labels, indices, per_class, draw):
  """Returns those of the indices that are taken."""
  mine = labels[indices]
  counts = np.bincount(mine, minlength=whole.num_classes)
  if counts.min() < per_class:
    fewer = [
      f"'{whole.class_names[i]}' has {counts[i]:,}"
      for i in np.flatnonzero(counts < per_class)
    ]
    most = f'; take at most {counts.min():,}' if counts.min() else ''
    raise UserError(
      f'data.options.per_class is {per_class}, but of the images to train on '
      f'{listing.shown(fewer)}{most}'
    )
  ranks = _ranks(mine, _digests(f'draw {draw}', whole)[indices])
  return indices[ranks < per_class]


def _labels(whole):
  """Returns the class of each example."""
  if not hasattr(whole, 'read_labels'):
    raise UserError(
      'data.options.holdout and per_class need a source that knows the class '
      'of each example: give it the method read_labels'
    )
  labels = whole.read_labels()
  check_labels(labels, whole.num_classes, 'the data')
  return labels


def _digests(purpose: str, whole: Any) -> np.ndarray:
  """Returns a uint64 an example, of its purpose and of what names it."""
  names: Iterable = range(len(whole))
  if hasattr(whole, 'keys'):
    names = map(listing.nfc, whole.keys(np.arange(len(whole))))
  content = b''.join(
    # Not all names of files are text.
    hashlib.sha256(f'{purpose} {n}'.encode('utf-8', 'surrogateescape')).digest()
    for n in names
  )
  return np.frombuffer(content, '>u8')[::4]


def _ranks(labels, digests):
  """Returns the place of each example among those of its class, from 0."""
  order = np.lexsort((digests, labels))
  counts = np.bincount(labels)
  first = np.cumsum(counts) - counts
  ranks = np.empty(len(labels), np.int64)
  ranks[order] = np.arange(len(labels)) - first[labels[order]]
  return ranks


class _Part:
  """Some examples of a data set, in its order."""

  def __init__(self, whole, labels, indices, notes):
    self._whole, self._indices = whole, indices
    self._labels = labels[indices]
    self.notes = notes
    self.class_names, self.num_classes = whole.class_names, whole.num_classes

  def __len__(self):
    return len(self._indices)

  def keys(self, indices):
    """See `photos.keys`."""
    return photos.keys(self._whole, self._indices[indices])

  def count_classes(self):
    """See `sources.Source`."""
    return np.bincount(self._labels, minlength=self.num_classes)


class _PartOfImages(_Part):
  def __init__(self, whole, labels, indices, notes):
    super().__init__(whole, labels, indices, notes)
    self.image_shape = whole.image_shape

  def batch(self, indices, positions=None):
    """See `sources.Source`."""
    return self._whole.batch(self._indices[indices], positions)


class _PartOfPhotos(_Part):
  def read(self, indices):
    """See `photos.Photos`."""
    return self._whole.read(self._indices[indices])


def _part(whole, labels, indices, *notes):
  """Returns these examples; `notes` come before how many they are."""
  kind = _PartOfPhotos if isinstance(whole, photos.Photos) else _PartOfImages
  *before, what = notes
  note = f'{len(indices):,} of {len(whole):,} images: {what}'
  return kind(whole, labels, indices, (*before, note))
