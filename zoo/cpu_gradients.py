"""Convolutions, and their gradients above all, in forms that are fast on CPU.

Each gives what XLA's own gives, to rounding (tests/zoo/cpu_gradients_test.py).
XLA's gradient with respect to the kernel is its slow one, and so are maps of
7x7: docs/performance.md has what was measured at which shapes.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

Padding = tuple[tuple[int, int], tuple[int, int]]

# Multiplications from which a form of ours is taken: below it the time goes
# into the turns of its loop.
_WORTH = 2e8
# Pixels whose products are added up in one turn. Few of them are slow to
# multiply, many do not stay in a core's cache.
_PIXELS = 3200
# Pixels of a map of the output from which `input_gradient` is faster: XLA's is
# on maps of 7x7, ours on 28x28.
_LARGE = 28 * 28
# Pixels of a map of the output up to which a product over patches is faster,
# and the channels of the input that it takes: 129 GFLOP/s where XLA's has 80,
# on 16 maps of 7x7x512. On 14x14 both are the same.
_SMALL, _DEEP = 8 * 8, 128


def pay(pixels: int, kernel: tuple[int, ...]) -> bool:
  """Whether these gradients are faster for so many pixels of the output.

  Args:
    pixels: of all images together; no number where an export leaves theirs
      open, which has no gradients.
    kernel: its shape.
  """
  if not isinstance(pixels, int):
    return False
  # A loop over images would gather those of several devices.
  one = jax.device_count() == 1
  return one and pixels * math.prod(kernel) >= _WORTH


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """Convolves [N, H, W, I] with [h, w, I, O]."""
  height, width, ins, outs = kernel.shape
  rows, columns = (
    (size + sum(around) - extent) // stride + 1
    for size, around, extent in zip(x.shape[1:3], padding, (height, width))
  )
  if rows * columns > _SMALL or ins < _DEEP:
    return conv2d_of_xla(x, kernel, stride, padding)
  needed = stride * (rows - 1) + height, stride * (columns - 1) + width
  x = lax.pad(x, jnp.zeros((), x.dtype), _edges(x, padding, needed))
  down, across = stride * (rows - 1) + 1, stride * (columns - 1) + 1
  patches = [
    x[:, i : i + down : stride, j : j + across : stride]
    for i in range(height)
    for j in range(width)
  ]
  x = lax.optimization_barrier(jnp.concatenate(patches, -1))
  y = x.reshape(-1, height * width * ins) @ kernel.reshape(-1, outs)
  return y.reshape(-1, rows, columns, outs)


def conv2d_of_xla(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """Convolves [N, H, W, I] with [h, w, I, O]; XLA's gradients too."""
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    padding,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _forward(x, kernel, stride, padding):
  return conv2d(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, saved, gradient):
  x, kernel = saved
  if stride == 1:
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    around = tuple(
      (extent - 1 - low, extent - 1 - high)
      for extent, (low, high) in zip(kernel.shape, padding)
    )
    of_x = conv2d(gradient, turned, 1, around)
  elif math.prod(gradient.shape[1:3]) >= _LARGE:
    of_x = input_gradient(gradient, kernel, stride, padding, x.shape)
  else:
    _, pull = jax.vjp(lambda x: conv2d_of_xla(x, kernel, stride, padding), x)
    (of_x,) = pull(gradient)
  return of_x, kernel_gradient(x, gradient, kernel.shape, stride, padding)


conv2d.defvjp(_forward, _backward)


@jax.named_scope('kernel_gradient')  # for benchmarks/operations.py
def kernel_gradient(
  x: jax.Array,
  gradient: jax.Array,
  shape: tuple[int, ...],
  stride: int,
  padding: Padding,
) -> jax.Array:
  """Returns the gradient of a convolution's kernel.

  A loop over bands of a few rows, or of a few whole maps. A turn multiplies
  [pixels, h rows below one another x I] by [pixels, w columns beside one
  another x O]: all taps in one product, of what lies in the cache.

  Args:
    x: the convolution's input, [N, H, W, I].
    gradient: of its output, [N, H', W', O].
    shape: of the kernel, [h, w, I, O].
    stride: in both directions.
    padding: with zeros.
  """
  height, width, ins, outs = shape
  n, rows, columns, _ = gradient.shape
  # A column at a distance of q strides and p pixels: p is made part of the
  # channels, q a shift of the gradient.
  shifts = math.ceil(width / stride)
  wide = columns + shifts - 1
  needed = stride * (rows - 1) + height, stride * wide
  x = lax.pad(x, jnp.zeros((), x.dtype), _edges(x, padding, needed))
  x = x.reshape(n, needed[0], wide, stride * ins)
  images, tall = _band(n, rows, columns)
  extent = stride * (tall - 1) + height

  def add(total, image_and_row):
    i, row = image_and_row
    a = lax.dynamic_slice(
      x, (i, stride * row, 0, 0), (images, extent, *x.shape[2:])
    )
    b = lax.dynamic_slice(
      gradient, (i, row, 0, 0), (images, tall, *gradient.shape[2:])
    )
    below = [a[:, i : i + extent - height + 1 : stride] for i in range(height)]
    beside = [
      jnp.pad(b, ((0, 0), (0, 0), (q, shifts - 1 - q), (0, 0)))
      for q in range(shifts)
    ]
    product = jnp.einsum(
      'nhwi,nhwo->io',
      jnp.concatenate(below, -1),
      jnp.concatenate(beside, -1),
      preferred_element_type=jnp.float32,
    )
    return total + product, None

  starts = jnp.meshgrid(
    jnp.arange(0, n, images), jnp.arange(0, rows, tall), indexing='ij'
  )
  total = jnp.zeros((height * stride * ins, shifts * outs), jnp.float32)
  total, _ = lax.scan(add, total, tuple(s.reshape(-1) for s in starts))
  total = total.reshape(height, stride, ins, shifts, outs)
  total = total.transpose(0, 3, 1, 2, 4).reshape(height, -1, ins, outs)
  return total[:, :width].astype(x.dtype)


def input_gradient(
  gradient: jax.Array,
  kernel: jax.Array,
  stride: int,
  padding: Padding,
  shape: tuple[int, ...],
) -> jax.Array:
  """Returns the gradient of the input of a convolution with a stride.

  The pixels of a stride x stride field are channels of one convolution of
  stride 1. XLA's own puts zeros between the pixels and multiplies them too.

  Args:
    gradient: of the output, [N, H', W', O].
    kernel: [h, w, I, O].
    stride: in both directions.
    padding: with zeros.
    shape: of the input, [N, H, W, I].
  """
  n, rows, columns, outs = gradient.shape
  height, width, ins, _ = kernel.shape
  down, across = math.ceil(height / stride), math.ceil(width / stride)
  missing = down * stride - height, across * stride - width
  kernel = jnp.pad(
    kernel, ((0, missing[0]), (0, missing[1]), (0, 0), (0, 0))
  ).reshape(down, stride, across, stride, ins, outs)
  kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
  y = conv2d_of_xla(
    gradient,
    kernel.reshape(down, across, outs, -1),
    1,
    ((down - 1, down - 1), (across - 1, across - 1)),
  )
  rows, columns = rows + down - 1, columns + across - 1
  y = y.reshape(n, rows, columns, stride, stride, ins)
  y = y.transpose(0, 1, 3, 2, 4, 5)
  y = y.reshape(n, rows * stride, columns * stride, ins)
  inside = tuple((-low, -high) for low, high in padding)
  return lax.pad(y, jnp.zeros((), y.dtype), _edges(y, inside, shape[1:3]))


def _edges(x, padding, size):
  """Padding of `lax.pad` that gives maps of `size`, cut off at the end."""
  ((top, _), (left, _)) = padding
  height, width = x.shape[1:3]
  bottom, right = size[0] - height - top, size[1] - width - left
  return (0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)


def _band(n, rows, columns):
  """Returns images and rows of a band: divisors of all there are."""
  if rows * columns <= _PIXELS:
    return _divisor(n, _PIXELS // (rows * columns)), rows
  return 1, _divisor(rows, max(1, _PIXELS // columns))


def _divisor(number, most):
  return max(d for d in range(1, most + 1) if number % d == 0)
