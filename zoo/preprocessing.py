"""uint8 pixels -> what a network sees, in plain arithmetic.

`data.preprocess` does it for a config, `zoo.pretrained` for published weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


# No tuple: `jax.jit` keeps weak references to what it compiles, and hashes it.
@dataclasses.dataclass(frozen=True, eq=False)
class Preprocessing:
  """How weights want their images; a call does it to uint8 [N, H, W, C].

  Of 0 to 255, R, G, B whatever `order` is. Returns float32: images of both
  sides below `image_size` get a border of 0, larger ones are taken as they are.
  What is cut out of a photograph, and how it is resized, is no part of it.

  Args:
    image_size: side of the images that the network was trained on.
    mean: of R, G, B, or one value; or of each pixel, [image_size, image_size,
      C], of which images of another size take the means of channels. None where
      it is not known.
    std: as `mean`.
    order: of the channels that the network takes: 'rgb', 'bgr'.
    unknown: why it is not known; a call raises ValueError with it.
  """

  image_size: int
  mean: Any
  std: Any
  order: str = 'rgb'
  unknown: str = ''

  def __call__(self, images: jax.Array) -> jax.Array:
    """See the class."""
    if self.unknown:
      raise ValueError(self.unknown)
    if max(images.shape[1:3]) < self.image_size:
      images = pad_to(images, self.image_size)
    images = standardize(images, self._mean_of(images.shape), self.std)
    return images[..., ::-1] if self.order == 'bgr' else images

  def _mean_of(self, shape):
    if np.ndim(self.mean) < 3 or np.shape(self.mean) == shape[1:]:
      return self.mean
    return self.mean.mean((0, 1), dtype=np.float64)


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
