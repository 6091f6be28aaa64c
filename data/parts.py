"""Which examples of a data set a run trains on, by `data.options` of any.

    per_class=15    so many images of each class
    draw=1          others than those of draw 0

The examples of a class are ordered by the SHA-256 of the draw and of what names
an example: its file, or its number in the data set. So the same ones are taken
in every run, process and version, whatever the seed of the run; of one draw,
fewer are a part of more; and a file that is added moves no other one.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from data import listing, photos
from errors import UserError


def selectable(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function of `sources.SOURCES` that takes these options as well.

  Args:
    function: (split, directory, **options) -> a source or photographs, which
      have `read_labels()`: the class of each example, int [N]; they may have
      `names()`, what names each.
  """

  @functools.wraps(function)
  def select(
    split: str,
    directory: str,
    *,
    per_class: int = 0,
    draw: int = 0,
    **options: Any,
  ) -> Any:
    _check(per_class, draw)
    whole = function(split, directory, **options)
    if split == 'train' and per_class:
      return _few_of_each(whole, per_class, draw)
    return whole

  added = inspect.signature(select, follow_wrapped=False).parameters.values()
  own = inspect.signature(function)
  select.__signature__ = own.replace(  # type: ignore[attr-defined]
    parameters=[
      *own.parameters.values(),
      *(p for p in added if p.kind == p.KEYWORD_ONLY),
    ]
  )
  return select


def _check(per_class, draw):
  for field, value in (('per_class', per_class), ('draw', draw)):
    if value < 0:
      raise UserError(f'data.options.{field} is {value}: at least 0')
  if draw and not per_class:
    raise UserError(
      f'data.options.draw is {draw}: it says which images of a class are '
      'taken; set data.options.per_class, how many'
    )


def _few_of_each(whole, per_class, draw):
  labels = _labels(whole)
  counts = np.bincount(labels, minlength=whole.num_classes)
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
  ranks = _ranks(labels, _digests(f'draw {draw}', whole))
  note = f'{per_class} images of each class, draw {draw}'
  return _part(whole, np.flatnonzero(ranks < per_class), labels, note)


def _labels(whole):
  """Returns the class of each example."""
  if not hasattr(whole, 'read_labels'):
    raise UserError(
      'data.options.per_class needs a source that knows the class of each '
      'example: give it the method read_labels'
    )
  return whole.read_labels()


def _digests(purpose: str, whole: Any) -> np.ndarray:
  """Returns a uint64 an example, of its purpose and of what names it."""
  names: Iterable = range(len(whole))
  if hasattr(whole, 'names'):
    names = whole.names()
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

  def __init__(self, whole, indices, labels, notes):
    self._whole, self._indices = whole, indices
    self._labels = labels[indices]
    self.notes = notes
    self.class_names, self.num_classes = whole.class_names, whole.num_classes

  def __len__(self):
    return len(self._indices)

  def count_classes(self):
    """See `sources.Source`."""
    return np.bincount(self._labels, minlength=self.num_classes)


class _PartOfImages(_Part):
  def __init__(self, whole, indices, labels, notes):
    super().__init__(whole, indices, labels, notes)
    self.image_shape = whole.image_shape

  def batch(self, indices, positions=None):
    """See `sources.Source`."""
    return self._whole.batch(self._indices[indices], positions)


class _PartOfPhotos(_Part):
  def read(self, indices):
    """See `photos.Photos`."""
    return self._whole.read(self._indices[indices])


def _part(whole, indices, labels, note):
  kind = _PartOfPhotos if isinstance(whole, photos.Photos) else _PartOfImages
  notes = (
    *photos.notes(whole),
    f'{len(indices):,} of {len(whole):,} images: {note}',
  )
  return kind(whole, indices, labels, notes)
