"""What turns uint8 pixels into what a network sees, on the device.

Hosts send uint8 of 0 to 255. Inside the jitted step images get their border and
come to the range and the order of channels that a network expects, in float32;
the arithmetic is `zoo.preprocessing`'s.
"""

from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from data import mean_image as mean_image_lib
from errors import UserError
from zoo.preprocessing import Preprocessing
from zoo.preprocessing import pad_to as pad_to
from zoo.preprocessing import standardize as standardize


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
  subtracted = mean if mean_image is None else mean_image
  preprocessing = Preprocessing(image_size, subtracted, std, order)

  def prepare(images):
    _check_channels('std', std, images.shape[-1])
    if mean_image is None:
      _check_channels('mean', mean, images.shape[-1])
    elif mean_image.shape[-1] != images.shape[-1]:
      raise UserError(
        f'data.mean_image is of {mean_image.shape[-1]} channels, the images '
        f'have {images.shape[-1]}; see tools/data_mean.py'
      )
    return preprocessing(images)

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
