"""Data sets of TFDS, stored as ArrayRecord and read without TensorFlow."""

import os
import pathlib
from typing import Any

import numpy as np

from errors import UserError, closest
from runtime import storage

_PREPARE = (
  'It must be prepared as ArrayRecord: python -m tools.prepare_imagenet for '
  'imagenet2012, or tfds build --file_format=array_record (needs TensorFlow, '
  'once)'
)


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
      "Slices are written as 'train[:90%]'"
    ) from error
  return built.info.features, records


class TfdsSource:
  """A split whose images all have one shape."""

  def __init__(self, records: Any, label: Any, image_shape: tuple):
    self._records = records
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
