"""Data sets of TFDS, stored as ArrayRecord and read without TensorFlow."""

from typing import Any

import numpy as np

from errors import UserError, one_line


def open_split(builder: str, directory: str, split: str, raw: bool) -> tuple:
  """Returns (features, records) of a split, TFDS's own objects.

  Args:
    builder: name with optional config and version, as 'mnist:3.0.1'.
    directory: TFDS's data_dir; empty for its default.
    split: TFDS's name, slices allowed.
    raw: whether the images stay encoded, as bytes.

  Raises:
    UserError: TFDS is not installed; nothing there, or not as ArrayRecord.
  """
  try:
    import tensorflow_datasets as tfds  # noqa: PLC0415
  except ImportError as error:
    raise UserError(
      f'data of TFDS needs a package ({error}): pip install '
      'tensorflow-datasets importlib_resources; TensorFlow is not needed'
    ) from None
  decoders = {'image': tfds.decode.SkipDecoding()} if raw else None
  try:
    built = tfds.builder(builder, data_dir=directory or None)
    stored = built.info.file_format
    if built.info.splits and stored and stored.value != 'array_record':
      raise UserError(
        f"data.dir '{directory}': '{builder}' is stored there as "
        f'{stored.value}, which only TensorFlow reads at random. Prepare it '
        'as ArrayRecord: python -m tools.prepare_imagenet for imagenet2012, '
        'or tfds build --file_format=array_record'
      )
    records = built.as_data_source(split, decoders=decoders)
  except UserError:
    raise
  except Exception as error:  # noqa: BLE001  TFDS raises many kinds
    raise UserError(
      f"TFDS's '{builder}', split '{split}', cannot be read from data.dir "
      f"'{directory}': {one_line(error, 300)}. It must be prepared as "
      'ArrayRecord: python -m tools.prepare_imagenet for imagenet2012, or '
      'tfds build --file_format=array_record'
    ) from None
  return built.info.features, records


class _TfdsSource:
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


def tfds(
  split: str,
  directory: str,
  builder: str,
  train_split: str = 'train',
  test_split: str = 'test',
) -> _TfdsSource:
  """An image classification data set of TFDS, prepared as ArrayRecord.

  Args:
    split: 'train' or 'test'.
    directory: TFDS's data_dir; empty for its default.
    builder: name with optional config and version, as 'mnist:3.0.1'.
    train_split: TFDS's name of the split to train on, slices allowed.
    test_split: that of the split to evaluate on.
  """
  name = train_split if split == 'train' else test_split
  features, records = open_split(builder, directory, name, raw=False)
  if None in features['image'].shape:
    raise UserError(
      f"data.options.builder '{builder}' has images of many sizes "
      f'{features["image"].shape}; this source takes those of one size'
    )
  return _TfdsSource(records, features['label'], records[0]['image'].shape)
