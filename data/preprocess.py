"""What turns uint8 pixels into what a network sees, on the device.

Hosts send uint8 of 0 to 255. Inside the jitted step images get their border and
come to the range and the order of channels that a network expects, in float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data import mean_image as mean_image_lib
from errors import UserError


def pad_to(images: jax.Array, size: int) -> jax.Array:
  """Centres [N, H, W, C] in [N, size, size, C]; the border is 0 (background).

  MNIST's digits are 28x28 in files and 32x32 for LeNet-5, Section II-B, so
  that strokes can appear in the centre of the highest detectors.
  """
  height, width = images.shape[1:3]
  top, left = (size - height) // 2, (size - width) // 2
  bottom, right = size - height - top, size - width - left
  return jnp.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)))


def standardize(images: jax.Array, mean, std) -> jax.Array:
  """Returns (images - mean) / std as float32.

  Args:
    images: [N, H, W, C].
    mean: a value, one a channel, or [H, W, C].
    std: a value, or one a channel.
  """
  mean, std = (jnp.asarray(v, jnp.float32) for v in (mean, std))
  return (images.astype(jnp.float32) - mean) / std


def make_prepare(
  image_size: int,
  mean,
  std,
  order: str = 'rgb',
  mean_image: np.ndarray | None = None,
) -> Callable:
  """Returns uint8 [N, H, W, C] -> float32 for a network.

  It raises UserError for images of other channels than the values are for.

  Args:
    image_size: smaller images get a border of 0, to this side.
    mean: of each channel, R, G, B whatever the order.
    std: as `mean`.
    order: of the channels that the network takes: 'rgb', 'bgr'.
    mean_image: in place of `mean`, float32 [image_size, image_size, C]. An
      image of another size, as dense evaluation has them, has no such pixels:
      the means of its channels are taken.
  """

  def prepare(images):
    _check_channels('std', std, images.shape[-1])
    if mean_image is None:
      _check_channels('mean', mean, images.shape[-1])
    if max(images.shape[1:3]) < image_size:
      images = pad_to(images, image_size)
    images = standardize(images, mean_of(images.shape), std)
    return images[..., ::-1] if order == 'bgr' else images

  def mean_of(shape):
    if mean_image is None:
      return mean
    if mean_image.shape[-1] != shape[-1]:
      raise UserError(
        f'data.mean_image is of {mean_image.shape[-1]} channels, the images '
        f'have {shape[-1]}; see tools/data_mean.py'
      )
    same = mean_image.shape == shape[1:]
    return mean_image if same else mean_image.mean((0, 1), dtype=np.float64)

  return prepare


def _check_channels(field, values, channels):
  if np.size(values) not in (1, channels):
    raise UserError(
      f'data.{field} has {np.size(values)} values, but the images have '
      f'{channels} channel{"s" * (channels > 1)}: give 1'
      + f' or {channels}'
      * (channels > 1)
    )


def of_config(config: ConfigDict) -> Callable:
  """Returns what `make_prepare` does for the fields of `data`.

  Raises:
    UserError: the mean image cannot be read.
  """
  data = config.data
  mean_image = mean_image_lib.of_config(config)
  return make_prepare(
    data.image_size, data.mean, data.std, data.order, mean_image
  )
