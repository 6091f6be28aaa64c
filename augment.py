"""What happens to pixels on the device, inside the jitted step.

Hosts send uint8. Here images are padded, distorted (in training), and brought
to the range that a network expects, in float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from errors import select

Augment = Callable[[jax.Array, jax.Array], jax.Array]


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
  """Returns (images - mean) / std as float32; mean and std are per channel."""
  mean, std = (jnp.asarray(v, jnp.float32) for v in (mean, std))
  return (images.astype(jnp.float32) - mean) / std


def none(key: jax.Array, images: jax.Array) -> jax.Array:
  """Leaves the images as they are."""
  del key
  return images


def distort(
  key: jax.Array,
  images: jax.Array,
  translate: float = 2.0,
  scale: float = 0.1,
  squeeze: float = 0.1,
  shear: float = 0.15,
) -> jax.Array:
  """Random planar affine maps, LeNet-5's Section III-B.

  Combines horizontal and vertical translation, scaling, squeezing (horizontal
  compression with vertical elongation, or the reverse) and horizontal shear.
  The paper lists the distortions but gives no magnitudes: these are ours. Each
  magnitude m is the half-width of a uniform range around "no change".

  Args:
    key: of the batch.
    images: [N, H, W, C], any dtype.
    translate: pixels, in each direction.
    scale: fraction, of both sides together.
    squeeze: fraction, of one side against the other.
    shear: pixels sideways for each pixel of height.

  Returns:
    float32 [N, H, W, C], bilinearly resampled, 0 beyond the border.
  """
  n, height, width, _ = images.shape
  u = jax.random.uniform(key, (5, n, 1), minval=-1.0, maxval=1.0)
  dx, dy = translate * u[0], translate * u[1]
  zoom, squash = 1 + scale * u[2], 1 + squeeze * u[3]
  slope = shear * u[4]
  # Output pixel (y, x) reads the input at (rows[y], columns[y, x]). Rows do
  # not depend on x, so bilinear resampling is two products with hat functions,
  # exactly; a gather of four neighbours is slow on TPU.
  y = jnp.arange(height) - (height - 1) / 2
  x = jnp.arange(width) - (width - 1) / 2
  rows = y * zoom * squash + dy  # [N, H]
  columns = (x * zoom / squash + dx)[:, None] + (slope * y)[:, :, None]
  images = images.astype(jnp.float32)
  out = jnp.einsum(
    'nyh,nhwc->nywc',
    _hat(rows, height),
    images,
    precision=lax.Precision.HIGHEST,
  )
  return jnp.einsum(
    'nyxw,nywc->nyxc',
    _hat(columns, width),
    out,
    precision=lax.Precision.HIGHEST,
  )


def _hat(position, size):
  """Weights [..., size] of linear interpolation at positions about a centre."""
  pixels = jnp.arange(size) - (size - 1) / 2
  return jnp.maximum(0.0, 1.0 - jnp.abs(position[..., None] - pixels))


_AUGMENTS: dict[str, Augment] = {'none': none, 'distort': distort}


def create(name: str, **options) -> Augment:
  """Returns the augmentation `train.augment` with `train.augment_options`.

  Raises:
    UserError: unknown name or option; names the closest.
  """
  function = select('train.augment', name, _AUGMENTS, options, skip=2)
  return lambda key, images: function(key, images, **options)
