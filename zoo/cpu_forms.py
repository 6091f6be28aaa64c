"""Forms of operations that are there for their speed on CPU alone.

Each gives what XLA's own form in `layers` gives, to rounding, and its gradients
(tests/zoo/layers_test.py). `python -m benchmarks.step` is what they are judged
by: in the whole step, not one by one.
"""

import jax
import jax.numpy as jnp
from jax import lax


def conv2d_1x1(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """Convolves [N, H, W, I] with [1, 1, I, O]: a product over channels."""
  return _product(x[:, ::stride, ::stride], kernel[0, 0])


@jax.custom_vjp
def _product(x, kernel):
  return jnp.einsum('nhwi,io->nhwo', x, kernel)


def _product_backward(saved, gradient):
  x, kernel = saved
  # Else what gives them is computed once more, as a transpose, which takes
  # longer than the product.
  x, gradient = lax.optimization_barrier((x, gradient))
  return (
    jnp.einsum('nhwo,io->nhwi', gradient, kernel),
    jnp.einsum('nhwi,nhwo->io', x, gradient),
  )


_product.defvjp(
  lambda x, kernel: (_product(x, kernel), (x, kernel)), _product_backward
)


def conv2d_by_tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves [N, H, W, I] with [h, w, I, O] at stride 1, without padding.

  As [patch of input] x [band matrix] = [tile of output].
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
  # A transpose would move the same, at a third of the speed.
  out = out.reshape(n * down, across, tall, wide * outs)
  tiles = [tile[:, 0] for tile in jnp.split(out, across, axis=1)]
  out = jnp.concatenate(tiles, axis=-1)
  return out.reshape(n, out_rows, out_columns, outs)


@jax.custom_vjp
def sum_pool_2x2(x: jax.Array) -> jax.Array:
  """Sums non-overlapping 2x2 fields of [N, H, W, C], H and W even.

  Rows first, which lie one after the other; as one sum over both axes it takes
  twice as long. Its gradient is a broadcast.
  """
  n, h, w, c = x.shape
  x = x.reshape(n, h // 2, 2, w * c)
  x = x[:, :, 0] + x[:, :, 1]
  x = x.reshape(n, h // 2, w // 2, 2, c)
  return x[:, :, :, 0] + x[:, :, :, 1]


def _sum_pool_backward(_, gradient):
  n, h, w, c = gradient.shape
  fields = gradient[:, :, None, :, None]
  fields = jnp.broadcast_to(fields, (n, h, 2, w, 2, c))
  return (fields.reshape(n, 2 * h, 2 * w, c),)


sum_pool_2x2.defvjp(lambda x: (sum_pool_2x2(x), None), _sum_pool_backward)


def max_by_slices(
  size: int, stride: int, padding: tuple, out: list[int], x: jax.Array
) -> jax.Array:
  """Maximum over windows of [N, H, W, C], `out` of them down and across.

  Its gradient is 4 to 17 times faster on CPU than select-and-scatter. It shares
  the gradient of equal maxima, which after a ReLU concerns zeros.
  """
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  for axis in (1, 2):
    ends = stride * (out[axis - 1] - 1) + 1
    parts = [
      lax.slice_in_dim(x, i, i + ends, stride, axis) for i in range(size)
    ]
    x = jax.tree.reduce(jnp.maximum, parts)
  return x
