"""The mean image, `data.mean_image`, and the copy that a workdir keeps of it.

AlexNet, Section 2, ZFNet, Section 3, and ResNet, Sections 3.4 and 4.2, subtract
"the mean activity over the training set from each pixel". It is part of a
network as its parameters are: where a workdir holds a copy, its content counts,
and the file that it was is not needed any more.

`python -m tools.data_mean` computes one.
"""

import hashlib
import io
import pathlib

import numpy as np
from ml_collections import ConfigDict

from errors import UserError, one_line
from runtime import storage, workdir

NAME = 'mean_image.npy'  # in a workdir


def read(path: str | pathlib.Path, size: int) -> np.ndarray:
  """Returns a mean image, float32 [size, size, C], R, G, B of 0 to 255.

  Args:
    path: of the .npy file.
    size: `data.image_size`.

  Raises:
    UserError: not there, of another form, or not finite.
  """
  where, way_out = f"data.mean_image '{path}'", 'see tools/data_mean.py'
  try:
    content = storage.path(path).read_bytes()
    image = np.load(io.BytesIO(content), allow_pickle=False)
  except Exception as error:  # noqa: BLE001  of NumPy's parser, many kinds
    raise UserError(
      f'{where} cannot be read: {one_line(error)}; {way_out}'
    ) from None
  wanted = f'float32 [{size}, {size}, channels]'
  if not isinstance(image, np.ndarray):
    raise UserError(f'{where} is an archive, not one array {wanted}; {way_out}')
  if (
    image.dtype != np.float32
    or image.ndim != 3
    or image.shape[:2] != (size,) * 2
  ):
    raise UserError(
      f'{where} is {image.dtype} {list(image.shape)}: {wanted} for '
      f'data.image_size {size}; {way_out}'
    )
  if not ((image >= 0) & (image <= 255)).all():
    raise UserError(
      f'{where} has values that are not finite or not of 0 to 255; {way_out}'
    )
  return image


def of_config(config: ConfigDict) -> np.ndarray | None:
  """Returns what `read` does for a config; None where it names no file."""
  data = config.data
  return read(data.mean_image, data.image_size) if data.mean_image else None


def as_recorded(config: ConfigDict, path: str | pathlib.Path) -> ConfigDict:
  """Returns the config with the mean image that a run was trained with.

  Args:
    config: may name no mean image, or a file that is gone since.
    path: a workdir, its checkpoints directory, or a step's in there.

  Raises:
    UserError: the file that the config names is another image.
  """
  place = workdir.containing(path)
  copy, given = place / NAME, config.data.mean_image
  if not copy.exists() and not (place / 'config.json').exists():
    return config  # a checkpoint by itself, or published weights
  gone = copy.exists() and not storage.path(given).exists()
  if given and not gone:
    check_owner(config, place)
  if not copy.exists():
    return config
  config = config.copy_and_resolve_references()
  config.data.mean_image = str(copy)
  return config


def check_owner(config: ConfigDict, place: pathlib.Path) -> None:
  """Compares the mean image of a config with that of a workdir, by content.

  Raises:
    UserError: they differ, or only one of them has any.
  """
  copy, given = place / NAME, config.data.mean_image
  mine = of_config(config)
  theirs = read(copy, config.data.image_size) if copy.exists() else None
  if mine is None or theirs is None:
    same = mine is theirs
  else:
    same = np.array_equal(mine, theirs)
  if not same:
    there = copy if copy.exists() else ''
    raise UserError(
      f"data.mean_image '{given}' is not the mean image of the run in {place}: "
      f"set it to '{there}', or choose another --workdir"
    )


def record(config: ConfigDict, place: pathlib.Path) -> None:
  """Keeps the mean image of a config in a workdir."""
  image = of_config(config)
  if image is None:
    (place / NAME).unlink(missing_ok=True)  # of a start without checkpoints
    return
  write(place / NAME, image)


def write(path: pathlib.Path, image: np.ndarray) -> None:
  """Writes a mean image as `read` takes it; raises OSError."""
  content = io.BytesIO()
  np.save(content, image.astype(np.float32))
  storage.write(path, content.getvalue())


def digest(config: ConfigDict) -> str:
  """Returns the SHA-256 of the file, '' for none or where it is not there."""
  given = config.data.mean_image
  if not given or not (path := storage.path(given)).is_file():
    return ''
  return hashlib.sha256(path.read_bytes()).hexdigest()
