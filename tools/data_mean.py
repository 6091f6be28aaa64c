r"""Computes the mean of a data set: of each channel, and of each pixel.

    python -m tools.data_mean --config=configs/FILE.py:... \
      --config.data.name=folder --config.data.dir=DIR \
      [--out=mean.npy] [--images=N]

Reads the training split once, each image through the geometry of evaluation,
`data.eval_geometry`: of photographs the centre, whose mean image is the centre
of that of the resized squares. A smaller image gets the border of 0 with which
the network sees it. Prints values to paste: the mean and the standard deviation
of each channel; of RGB also the principal components, for the augmentation
`lighting`. --out is the mean image, for --config.data.mean_image.

Sums are of whole numbers, so no result depends on the order or on rounding.
--images takes so many from all over the split.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict

import experiment
from data import mean_image, preprocess
from data.ahead import ahead
from data.photos import Cropped
from data.sources import Source
from errors import UserError
from runtime import storage
from runtime.progress import Progress
from tools import command
from tools.check_data import spread

_IMAGES = flags.DEFINE_integer('images', 0, 'how many; 0: all', 0)
_CHUNK = 32  # images that a thread reads at once


class Sums(NamedTuple):
  """Sums over images, int64."""

  images: int
  pixels: np.ndarray  # [H, W, C], of values
  products: np.ndarray  # [C, C], over pixels, of values of two channels

  def plus(self, other: 'Sums') -> 'Sums':
    """Returns the sums over the images of both."""
    return Sums(
      self.images + other.images,
      self.pixels + other.pixels,
      self.products + other.products,
    )


class Statistics(NamedTuple):
  """What the sums say, in float64."""

  image: np.ndarray  # [H, W, C], mean of each pixel
  mean: np.ndarray  # [C]
  covariance: np.ndarray  # [C, C], over all pixels of all images

  @property
  def std(self) -> np.ndarray:
    """Standard deviation of each channel, [C]."""
    return np.sqrt(self.covariance.diagonal())

  def components(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns principal components, one a row, and their deviations."""
    values, vectors = np.linalg.eigh(self.covariance)
    return vectors.T[::-1], np.sqrt(values[::-1].clip(0))


def sums_of(images: np.ndarray) -> Sums:
  """Returns the sums over uint8 [N, H, W, C]."""
  flat = images.reshape(-1, images.shape[-1]).astype(np.float64)
  # Exact: every partial sum is a whole number below 2^53.
  products = (flat.T @ flat).astype(np.int64)
  return Sums(len(images), images.sum(0, dtype=np.int64), products)


def statistics(sums: Sums) -> Statistics:
  """Returns means and covariances, rounded once."""
  height, width, _ = sums.pixels.shape
  points = sums.images * height * width
  # Python's whole numbers have no largest one: nothing cancels.
  total = sums.pixels.sum((0, 1)).astype(object)
  spread_of = points * sums.products.astype(object) - np.outer(total, total)
  return Statistics(
    sums.pixels / sums.images,
    (total / points).astype(np.float64),
    (spread_of / points**2).astype(np.float64),
  )


def collect(source: Source, size: int, number: int = 0) -> Statistics:
  """Reads a split, in threads, and shows how far it is.

  Args:
    source: images of one size.
    size: of the network's input; smaller images get a border of 0.
    number: of images, from all over the split; 0: all.

  Raises:
    UserError: an image cannot be decoded, or is larger than `size`.
  """
  indices = spread(source, number or len(source))
  shape = (size, size, source.image_shape[-1])
  if max(source.image_shape[:2]) > size:
    raise UserError(
      f'data.image_size {size} is smaller than the images {source.image_shape}'
    )
  total = Sums(0, np.zeros(shape, np.int64), np.zeros(shape[-1:] * 2, np.int64))
  with Progress(len(indices)) as progress:
    for part in _parts(source, indices, size):
      total = total.plus(part)
      progress.add(part.images)
  return statistics(total)


def _parts(source, indices, size) -> Iterator[Sums]:
  def fetch(start):
    images = source.batch(indices[start : start + _CHUNK])['image']
    if images.shape[1:3] != (size, size):
      images = np.asarray(preprocess.pad_to(images, size))
    return sums_of(images)

  return ahead(fetch, range(0, len(indices), _CHUNK), -1)


def lines(found: Statistics) -> list[str]:
  """Returns what to paste, a line each."""
  said = [
    f"--config.data.mean='{_tuple(found.mean, 2)}'",
    f"--config.data.std='{_tuple(found.std, 2)}'",
  ]
  if len(found.mean) == 3:
    components, deviations = found.components()
    rows = ', '.join(_tuple(row, 5) for row in components)
    said += [
      'train.augment_options of lighting, in a config:',
      f"  'components': ({rows}),",
      f"  'deviations': {_tuple(deviations, 4)},",
    ]
  return said


def _tuple(values, places):
  text = ', '.join(f'{value:.{places}f}' for value in values)
  return f'({text}{"," * (len(values) == 1)})'


def main(config: ConfigDict, _: list[str]) -> None:
  """Does what the flags say."""
  command.check(config)
  data, out = config.data, storage.local(command.OUT.value)
  if not out.parent.is_dir():  # said before, not after an hour of reading
    raise UserError(f"--out '{out}': {out.parent} is not a directory")
  data.geometry = data.eval_geometry
  source = experiment.create_source(config, 'train')
  found = collect(source, data.image_size, _IMAGES.value)
  number = min(_IMAGES.value or len(source), len(source))
  print(f'{data.name}, train: {number:,} of {len(source):,} images')
  if isinstance(source, Cropped) and (bad := source.replaced()):
    print(
      f'{len(bad)} could not be decoded, the next ones count twice: {bad[0]}'
      + ', ...' * (len(bad) > 1)
    )
  print('\n'.join(lines(found)))
  if command.OUT.value:
    try:
      mean_image.write(out, found.image)
    except OSError as error:
      raise UserError(f'--out {out}: {error.strerror}') from None
    print(f'--config.data.mean_image={out}')


if __name__ == '__main__':
  command.run(main, [command.OUT, _IMAGES])
