"""What several papers share. Images and feature maps are NHWC everywhere."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves [N, H, W, I] with [h, w, I, O], stride 1, no padding.

  XLA's convolution on CPU is slow where channels are few (its gradient with
  respect to the kernel above all), so there the same sums are written as one
  matrix product: see `_conv2d_by_tiles`. TPU and GPU have the convolution
  itself.
  """
  if kernel.shape[:2] == (1, 1):
    return jnp.einsum('nhwi,io->nhwo', x, kernel[0, 0])
  if kernel.shape[2] > 16 or x.shape[2] > 64:
    return _conv2d(x, kernel)
  return lax.platform_dependent(
    x, kernel, cpu=_conv2d_by_tiles, default=_conv2d
  )


def _conv2d(x, kernel):
  return lax.conv_general_dilated(
    x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


def _conv2d_by_tiles(x, kernel):
  """The convolution as [patch of input] x [band matrix] = [tile of output].

  A tile of 2 x 7 outputs multiplies about twice what the convolution itself
  does, in matrices wide enough for full speed: measured best for LeNet-5.
  """
  height, width, ins, outs = kernel.shape
  n, rows, columns, _ = x.shape
  out_rows, out_columns = rows - height + 1, columns - width + 1
  tall = 2 - out_rows % 2
  wide = max(d for d in range(1, 8) if out_columns % d == 0)
  down, across = out_rows // tall, out_columns // wide
  patch_rows, patch_columns = tall + height - 1, wide + width - 1
  x = jnp.stack(
    [x[:, i * tall : i * tall + patch_rows] for i in range(down)], axis=1
  )
  x = jnp.stack(
    [x[:, :, :, j * wide : j * wide + patch_columns] for j in range(across)],
    axis=2,
  )  # [n, down, across, patch_rows, patch_columns, ins]
  band = jnp.stack(
    [
      jnp.pad(kernel, ((i, tall - 1 - i), (j, wide - 1 - j), (0, 0), (0, 0)))
      for i in range(tall)
      for j in range(wide)
    ],
    axis=3,
  )  # [patch_rows, patch_columns, ins, tall * wide, outs]
  patch = patch_rows * patch_columns * ins
  out = x.reshape(-1, patch) @ band.reshape(patch, tall * wide * outs)
  out = out.reshape(n, down, across, tall, wide, outs)
  return out.transpose(0, 1, 3, 2, 4, 5).reshape(n, out_rows, out_columns, outs)


def sum_pool_2x2(x: jax.Array) -> jax.Array:
  """Sums non-overlapping 2x2 fields; an odd last row or column is dropped.

  Written as a reshape: on CPU its gradient, a broadcast, is much faster than
  that of a windowed reduction.
  """
  n, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  return x.reshape(n, h // 2, 2, w // 2, 2, c).sum((2, 4))


def max_pool_2x2(x: jax.Array) -> jax.Array:
  """As `sum_pool_2x2`, with the maximum."""
  n, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def uniform_within(bound) -> Callable[..., jax.Array]:
  """Initialiser: uniform in +-bound, which broadcasts to the shape."""

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * bound

  return init


def squeeze_map(scores: jax.Array) -> jax.Array:
  """[N, 1, 1, C] -> [N, C]; a larger map of scores is returned as it is."""
  return scores[:, 0, 0] if scores.shape[1:3] == (1, 1) else scores
