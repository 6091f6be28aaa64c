"""Data sets of TFDS, stored as ArrayRecord and read without TensorFlow."""

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from data.ahead import ahead
from errors import UserError, closest
from runtime import storage
from runtime.progress import Progress

_PREPARE = (
  'It must be prepared as ArrayRecord: python -m tools.prepare_imagenet for '
  'imagenet2012, or tfds build --file_format=array_record (needs TensorFlow, '
  'once)'
)
_CHUNK = 256  # examples that a thread reads at once


def directory_of(builder: str, directory: str) -> pathlib.Path | None:
  """Returns where a data set of TFDS is prepared; None where it is not.

  Args:
    builder: name with optional config and version, as 'mnist:3.0.1'.
    directory: TFDS's data_dir; empty for its default.
  """
  place = _data_dir(directory) / builder.partition(':')[0].partition('/')[0]
  return place if place.is_dir() and any(place.iterdir()) else None


def _data_dir(directory):
  usual = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  try:
    return storage.local(directory or usual)
  except UserError as error:
    raise UserError(f"data.dir '{directory}': {error}") from None


def open_split(builder: str, directory: str, split: str, raw: bool) -> tuple:
  """Returns (features, records) of a split, TFDS's own objects.

  What TFDS says where it cannot read is for its developers ("already prepared"
  where nothing is): it is looked into, and not passed on.

  Args:
    builder: name with optional config and version, as 'mnist:3.0.1'.
    directory: TFDS's data_dir; empty for its default.
    split: TFDS's name, slices allowed.
    raw: whether the images stay encoded, as bytes.

  Raises:
    UserError: nothing there, not as ArrayRecord, or no such split.
  """
  where = f"data.dir '{directory or _data_dir(directory)}'"
  if directory_of(builder, directory) is None:
    there = sorted(p.name for p in _data_dir(directory).glob('[a-z]*'))
    raise UserError(
      f"{where} holds no data set '{builder}' of TFDS."
      f'{closest(builder, there)} {_PREPARE}'
    )
  import tensorflow_datasets as tfds  # noqa: PLC0415  takes a second

  decoders = {'image': tfds.decode.SkipDecoding()} if raw else None
  try:
    built = tfds.builder(builder, data_dir=directory or None)
    stored, splits = built.info.file_format, built.info.splits
  except Exception as error:
    raise UserError(
      f"{where}: TFDS cannot open '{builder}' there ({type(error).__name__}). "
      f'{_PREPARE}'
    ) from error
  if not splits:
    raise UserError(
      f"{where}: of '{builder}' there is no finished version "
      f'{built.info.version}. {_PREPARE}'
    )
  if stored and stored.value != 'array_record':
    raise UserError(
      f"{where}: '{builder}' is stored there as {stored.value}, which only "
      f'TensorFlow reads at random. {_PREPARE}'
    )
  try:
    records = built.as_data_source(split, decoders=decoders)
  except Exception as error:
    raise UserError(
      f"{where}: '{builder}' has no split '{split}'.{closest(split, splits)} "
      'Set data.options.train_split or test_split; slices are written as '
      "'train[:90%]'"
    ) from error
  return built.info.features, records


@functools.lru_cache(maxsize=2)  # two splits may be parts of one
def labels(builder: str, directory: str, split: str) -> np.ndarray:
  """Returns the class of each example, int32 [N]; reads the whole split.

  No image is decoded. Raises UserError as `open_split`, whose arguments it has.
  """
  _, records = open_split(builder, directory, split, raw=True)
  starts = range(0, len(records), _CHUNK)

  def fetch(start):
    numbers = range(start, min(start + _CHUNK, len(records)))
    return [int(e['label']) for e in records.__getitems__([*numbers])]

  found: list[int] = []
  with Progress(len(records), quiet=jax.process_index() != 0) as progress:
    for some in ahead(fetch, starts, -1):
      found += some
      progress.add(len(some))
  return np.array(found, np.int32)


class TfdsSource:
  """A split whose images all have one shape.

  Args:
    records: of TFDS, decoded.
    label: its feature.
    image_shape: of all images.
    read_labels: see `parts.selectable`.
  """

  def __init__(
    self,
    records: Any,
    label: Any,
    image_shape: tuple,
    read_labels: Callable[[], np.ndarray],
  ):
    self._records, self.read_labels = records, read_labels
    self.class_names = tuple(label.names)
    self.num_classes = label.num_classes
    self.image_shape = image_shape

  def __len__(self):
    return len(self._records)

  def batch(self, indices, positions=None):
    """See `sources.Source`."""
    del positions
    examples = self._records.__getitems__([int(i) for i in indices])
    return {
      'image': np.stack([e['image'] for e in examples]),
      'label': np.array([e['label'] for e in examples], np.int32),
    }

  def count_classes(self):
    """See `sources.Source`."""
    return
