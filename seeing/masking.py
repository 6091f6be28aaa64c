"""A rectangle of an image covered by the grey that a network sees as zero.

ZFNet's Figures 7 and 8 cover parts of images with grey; of which grey, the
paper says nothing. Here it is the mean pixel: zero after preprocessing, so that
what is covered adds nothing to the first layer but its bias. On MNIST that is
nearly paper, and a stroke under it is erased.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from evaluation.scoring import Network


def cover(prepared: jax.Array, boxes: jax.Array) -> jax.Array:
  """Returns images with a box each set to zero; pure.

  Args:
    prepared: float [N, H, W, C], or [1, H, W, C] for one under all boxes.
    boxes: int32 [N, 4] of (top, left, height, width) in pixels; what lies
      outside the image covers nothing.
  """
  top, left, height, width = (boxes[:, i, None] for i in range(4))
  y, x = (jnp.arange(n) for n in prepared.shape[1:3])
  rows = (y >= top) & (y < top + height)
  columns = (x >= left) & (x < left + width)
  inside = rows[:, :, None] & columns[:, None, :]
  return jnp.where(inside[..., None], 0, prepared)


def states(network: Network, layers: Sequence[str]) -> Callable:
  """Returns a compiled (variables, uint8 [N, H, W, C], boxes) -> states.

  Those of `zoo.activations`, float32, of images under their boxes: as `cover`,
  which takes one image under many boxes too.
  """

  @jax.jit
  def forward(variables, images, boxes):
    seen = cover(network.prepare(images), boxes)
    found = zoo.activations(network.module, variables, seen, layers)
    return {name: x.astype(jnp.float32) for name, x in found.items()}

  return forward


def mean_pixels(network: Network, shape: Sequence[int]) -> np.ndarray:
  """Returns the image that the network sees as zero, uint8 [H, W, C].

  Preprocessing x -> A x + b keeps pixels apart but may order channels anew, so
  that A'A is diagonal, and zero is seen at -A'b / (A'A 1).

  Args:
    network: whose `prepare` that is.
    shape: (H, W, C) of its images.
  """
  nothing = jnp.zeros((1, *shape), jnp.float32)
  offset, transposed = jax.vjp(network.prepare, nothing)
  ones = network.prepare(nothing + 1) - offset
  pixels = -transposed(offset)[0] / transposed(ones)[0]
  return np.asarray(pixels[0]).round().clip(0, 255).astype(np.uint8)


def shown(
  image: np.ndarray, box: Sequence[int], grey: np.ndarray
) -> np.ndarray:
  """Returns a uint8 image [H, W, C] under a box, for people.

  Args:
    image: uint8 [H, W, C].
    box: (top, left, height, width).
    grey: from `mean_pixels`.
  """
  top, left, height, width = box
  out, part = image.copy(), np.s_[top : top + height, left : left + width]
  out[part] = grey[part]
  return out
