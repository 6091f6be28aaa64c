"""The kernels of the first layer: AlexNet's Figure 3, ZFNet's Figure 6."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

import zoo
from evaluation.scoring import Network
from zoo.chain import Chain, Conv

DEAD = 0.01  # of the largest RMS
_PER_ROW = {96: 16}  # as cuda-convnet's shownet.py draws them; else a square


class Filters(NamedTuple):
  """Kernels of the first layer, as they meet an image.

  Args:
    layer: its name.
    kernels: float32 [K, h, w, C], channels as those of images: R, G, B.
    towers: parts of the network that see each other's kernels no more, each
      with K / towers of them, in order.
  """

  layer: str
  kernels: np.ndarray
  towers: int


class Told(NamedTuple):
  """What ZFNet's Section 4.1 and AlexNet's Figure 3 look at, as numbers."""

  rms: np.ndarray  # float64 [K]: root of the mean square of a kernel
  dead: float  # share of kernels below 1 % of the largest RMS
  largest: float  # RMS over the median
  colour: np.ndarray  # float64 [towers]: see `colourfulness`; of grey: empty


def of_network(network: Network, order: str, channels: int) -> Filters:
  """Returns the kernels of the first layer that has some.

  Args:
    network: with its variables.
    order: of the channels that it takes: 'rgb', 'bgr'.
    channels: of an image.

  Raises:
    ValueError: the first layer with parameters is no convolution of images.
  """
  shape = (network.image_size, network.image_size, channels)
  params = network.variables['params']
  layers = [n for n in zoo.layer_shapes(network.module, shape) if n in params]
  found = [k for k in _kernels(params[layers[0]]) if k.ndim == 4]
  if len(found) != 1 or found[0].shape[2] != channels:
    raise ValueError(f'{layers[0]} is no convolution of images')
  kernels = np.asarray(found[0], np.float32).transpose(3, 0, 1, 2)
  if order == 'bgr':
    kernels = kernels[..., ::-1]
  return Filters(layers[0], kernels, towers(network.module))


def _kernels(params: Mapping[str, Any]) -> Iterator[np.ndarray]:
  """Yields what is called a kernel, also of a convolution inside a block."""
  for name, value in params.items():
    if isinstance(value, Mapping):
      yield from _kernels(value)
    elif name == 'kernel':
      yield value


def towers(module: nn.Module) -> int:
  """Returns in how many parts conv2 sees the maps of conv1: AlexNet's GPUs."""
  if not isinstance(module, Chain):
    return 1
  rows = [row for row in module.rows if isinstance(row, Conv)]
  return rows[1].groups


def told(filters: Filters) -> Told:
  """Returns the numbers of kernels; of none that is not zero, no ratio."""
  rms = np.sqrt(np.square(filters.kernels, dtype='d').mean((1, 2, 3)))
  parts = np.split(filters.kernels, filters.towers)
  grey = filters.kernels.shape[-1] == 1
  return Told(
    rms,
    float((rms < DEAD * rms.max()).mean()),
    float(rms.max() / np.median(rms)) if np.median(rms) else np.inf,
    np.array([] if grey else [colourfulness(part) for part in parts]),
  )


def colourfulness(kernels: np.ndarray) -> float:
  """Returns the mean share of a kernel's energy that is not grey.

  The grey part of a weight is the mean over its channels; energy is the sum of
  squares. 0: all channels are equal; 2/3: three that have nothing in common, as
  random ones; 1: they add up to 0 everywhere. Kernels of zeros do not count.

  Args:
    kernels: float [K, h, w, C].
  """
  kernels = kernels.astype('d')
  rest = kernels - kernels.mean(-1, keepdims=True)
  energy = np.square(kernels).sum((1, 2, 3))
  alive = energy > 0
  shares = np.square(rest).sum((1, 2, 3))[alive] / energy[alive]
  return float(shares.mean()) if alive.any() else 0.0


def brightness(kernels: np.ndarray, standardize: bool = False) -> np.ndarray:
  """Returns float32 [K, h, w, C] from 0 to 1, by one minimum and maximum.

  Args:
    kernels: float [K, h, w, C].
    standardize: each kernel alone comes to mean 0 and deviation 1 before, so
      that weak ones are seen as well.
  """
  if standardize:
    axes = (1, 2, 3)
    kernels = kernels - kernels.mean(axes, keepdims=True)
    deviation = kernels.std(axes, keepdims=True)
    kernels = kernels / np.where(deviation > 0, deviation, 1)
  low, high = kernels.min(), kernels.max()
  return (kernels - low) / (high - low or 1)


def per_row(count: int) -> int:
  """Returns kernels a row: 16 of 96; else so that rows are full, near a square.

  The least divisor from the root on.
  """
  if count in _PER_ROW:
    return _PER_ROW[count]
  return next(
    c for c in range(1, count + 1) if c * c >= count and count % c == 0
  )


def mosaic(pictures: np.ndarray, columns: int) -> np.ndarray:
  """Returns [K, h, w, C] as one picture [H, W, C], gaps of one pixel of NaN."""
  count, height, width, channels = pictures.shape
  rows = -(-count // columns)
  shape = rows * (height + 1) - 1, columns * (width + 1) - 1, channels
  out = np.full(shape, np.nan, pictures.dtype)
  for i, picture in enumerate(pictures):
    top, left = i // columns * (height + 1), i % columns * (width + 1)
    out[top : top + height, left : left + width] = picture
  return out
