"""What several papers share. Images and feature maps are NHWC everywhere.

Where an operation has a faster form on CPU (`cpu_forms`), the platform's is
chosen by `lax.platform_dependent` when the program is lowered.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from zoo import cpu_forms, cpu_gradients

Padding = tuple[
  tuple[int, int], tuple[int, int]
]  # (top, bottom), (left, right)


def pad(before: int, after: int | None = None) -> Padding:
  """Returns the same padding for both axes; `after` is `before` by default."""
  both = (before, before if after is None else after)
  return both, both


def conv2d(
  x: jax.Array,
  kernel: jax.Array,
  stride: int = 1,
  padding: Padding = pad(0),  # noqa: B008  a constant
  groups: int = 1,
) -> jax.Array:
  """Convolves [N, H, W, I] with [h, w, I / groups, O].

  Raises:
    ValueError: the input is too small to give one output.
  """
  if groups > 1:
    # XLA's own grouped convolution is 7 to 14 times slower on CPU.
    parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1))
    return jnp.concatenate(
      [conv2d(a, b, stride, padding) for a, b in parts], axis=-1
    )
  height, width, ins, outs = kernel.shape
  sizes = _output_size(x, (height, width), stride, padding)
  if padding == pad(0):
    if (height, width) == (1, 1):
      # As a product over channels: twice as fast with its gradients on CPU; on
      # TPU a tenth more traffic in the step of ResNet-50.
      return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(cpu_forms.conv2d_1x1, stride=stride),
        default=functools.partial(_conv2d, stride=stride),
      )
    if x.shape[1:3] == (height, width):
      out = x.reshape(x.shape[0], -1) @ kernel.reshape(-1, outs)
      return out[:, None, None]
    if stride == 1 and ins <= 16 and x.shape[2] <= 64:
      return lax.platform_dependent(
        x, kernel, cpu=cpu_forms.conv2d_by_tiles, default=_conv2d
      )
  if cpu_gradients.pay(x.shape[0] * math.prod(sizes), kernel.shape):
    return lax.platform_dependent(
      x,
      kernel,
      cpu=functools.partial(
        cpu_gradients.conv2d, stride=stride, padding=padding
      ),
      default=functools.partial(_conv2d, stride=stride, padding=padding),
    )
  return _conv2d(x, kernel, stride, padding)


def _conv2d(x, kernel, stride=1, padding=pad(0)):  # noqa: B008
  return cpu_gradients.conv2d_of_xla(x, kernel, stride, padding)


def _output_size(x, window, stride, padding):
  sizes = [
    (size + sum(around) - extent) // stride + 1
    for size, extent, around in zip(x.shape[1:3], window, padding)
  ]
  if min(sizes) < 1:
    raise ValueError(
      f'a map of {x.shape[1]}x{x.shape[2]} is too small for a window of '
      f'{window[0]}x{window[1]}'
    )
  return sizes


def max_pool(
  x: jax.Array,
  size: int,
  stride: int,
  padding: Padding = pad(0),  # noqa: B008
  ceil: bool = False,
) -> jax.Array:
  """Maximum over windows of [N, H, W, C].

  Args:
    x: the maps.
    size: side of the window.
    stride: of the windows; the first starts in the corner (of the padding).
    padding: with minus infinity.
    ceil: the last window may reach over the right and bottom border, as in
      cuda-convnet and Caffe; else it is left out.
  """
  if ceil:
    padding = padded_up(x, size, stride, padding)
  out = _output_size(x, (size, size), stride, padding)
  return lax.platform_dependent(
    x,
    cpu=functools.partial(cpu_forms.max_by_slices, size, stride, padding, out),
    default=functools.partial(_max_by_windows, size, stride, padding),
  )


def padded_up(
  x: jax.Array, size: int, stride: int, padding: Padding
) -> Padding:
  """Returns the padding with which `max_pool` rounds up, of [N, H, W, C]."""
  height, width = (
    (low, high + -(length + low + high - size) % stride)
    for length, (low, high) in zip(x.shape[1:3], padding)
  )
  return height, width


def _max_by_windows(size, stride, padding, x):
  # Padding inside it is not written to memory, as that of `jnp.pad` is.
  window, strides = (1, size, size, 1), (1, stride, stride, 1)
  around = ((0, 0), *padding, (0, 0))
  return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, around)


def average_pool(x: jax.Array, size: int, stride: int = 1) -> jax.Array:
  """Mean over windows that lie inside [N, H, W, C]; smaller maps are one."""
  window = (min(size, x.shape[1]), min(size, x.shape[2]))
  if window == x.shape[1:3]:
    return x.mean((1, 2), keepdims=True)
  total = lax.reduce_window(
    x, np.zeros((), x.dtype), lax.add, (1, *window, 1), (1, stride, stride, 1),
    'VALID',
  )  # fmt: skip
  return total / math.prod(window)


def local_response_norm(
  x: jax.Array,
  size: int = 5,
  alpha: float = 1e-4,
  beta: float = 0.75,
  k: float = 2.0,
) -> jax.Array:
  """x_i / (k + alpha sum_j x_j^2)^beta over `size` channels j around i.

  AlexNet, Section 3.3. Caffe and cuda-convnet divide alpha by `size`; here it
  is what stands before the sum. Computed in float32.
  """
  channels = np.arange(x.shape[-1])
  band = np.abs(channels[:, None] - channels) <= size // 2
  y = x.astype(jnp.float32)
  around = jnp.einsum('nhwi,io->nhwo', jnp.square(y), band.astype('f'))
  divisor = k + alpha * around
  if beta == 0.75:  # a general power is slow
    root = lax.rsqrt(divisor)
    return (y * root * jnp.sqrt(root)).astype(x.dtype)
  return (y * divisor**-beta).astype(x.dtype)


def sum_pool_2x2(x: jax.Array) -> jax.Array:
  """Sums non-overlapping 2x2 fields; an odd last row or column is dropped."""
  x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
  return lax.platform_dependent(
    x, cpu=cpu_forms.sum_pool_2x2, default=_sum_of_fields
  )


def _sum_of_fields(x):
  n, h, w, c = x.shape
  return x.reshape(n, h // 2, 2, w // 2, 2, c).sum((2, 4))


def max_pool_2x2(x: jax.Array) -> jax.Array:
  """As `sum_pool_2x2`, with the maximum, written as a reshape.

  On CPU its gradient is much faster than that of a windowed reduction.
  """
  n, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def uniform_within(bound) -> Callable[..., jax.Array]:
  """Initialiser: uniform in +-bound, which broadcasts to the shape."""

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * jnp.asarray(
      bound, dtype
    )

  return init


def he_normal(key, shape, dtype=jnp.float32):
  """He et al. 2015: Gaussian of variance 2 / fan-in."""
  return jax.random.normal(key, shape, dtype) * math.sqrt(
    2 / math.prod(shape[:-1])
  )


def check_size(images: jax.Array, smallest: int, what: str = '') -> None:
  """Raises ValueError for images [N, H, W, C] with a side below `smallest`."""
  height, width = images.shape[1:3]
  if min(height, width) < smallest:
    raise ValueError(
      f'images of {height}x{width} pixels are too small: at least '
      f'{smallest}x{smallest} {what}'.rstrip()
    )


def squeeze_map(scores: jax.Array) -> jax.Array:
  """[N, 1, 1, C] -> [N, C]; a larger map of scores is returned as it is."""
  return scores[:, 0, 0] if scores.shape[1:3] == (1, 1) else scores


def scaled(channels: int, width: float) -> int:
  """Returns a number of channels times `width`, even, at least 4."""
  return channels if width == 1 else max(4, 2 * round(channels * width / 2))


class Layer(nn.Module):
  """A row of a paper's table, and of `tools.summarize`."""


class Conv(Layer):
  """Convolution with bias; a fully connected layer is one of full size.

  Args:
    features: output channels.
    size: side of the kernel.
    stride: in both directions.
    padding: with zeros.
    groups: parts of the channels that see only each other.
    use_bias: whether there is one.
    kernel_init: of [h, w, I / groups, O].
    bias_init: a constant.
    dtype: of the computation.
  """

  features: int
  size: int
  stride: int = 1
  padding: Padding = pad(0)
  groups: int = 1
  use_bias: bool = True
  kernel_init: Callable = he_normal
  bias_init: float = 0.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[N, H, W, I] -> [N, H', W', features]."""
    ins = x.shape[-1] // self.groups
    shape = (self.size, self.size, ins, self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    x = conv2d(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      self.stride,
      self.padding,
      self.groups,
    )
    if self.use_bias:
      init = nn.initializers.constant(self.bias_init)
      bias = self.param('bias', init, (self.features,), jnp.float32)
      x += bias.astype(self.dtype)
    return x


class ReLU(nn.Module):
  """max(x, 0); a module, so that `nn.intercept_methods` sees where it is."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """An array of any shape."""
    return nn.relu(x)


class MaxPool(Layer):
  """See `max_pool`."""

  size: int
  stride: int
  padding: Padding = pad(0)
  ceil: bool = False

  def __call__(self, x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, H', W', C]."""
    return max_pool(x, self.size, self.stride, self.padding, self.ceil)


class AveragePool(Layer):
  """See `average_pool`."""

  size: int
  stride: int = 1

  def __call__(self, x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, H', W', C]."""
    return average_pool(x, self.size, self.stride)


class LRN(Layer):
  """See `local_response_norm`; `groups` parts of the channels, each alone."""

  size: int = 5
  alpha: float = 1e-4
  beta: float = 0.75
  k: float = 2.0
  groups: int = 1

  def __call__(self, x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, H, W, C]."""
    parts = [
      local_response_norm(p, self.size, self.alpha, self.beta, self.k)
      for p in jnp.split(x, self.groups, axis=-1)
    ]
    return jnp.concatenate(parts, axis=-1)


class SameMapNorm(Layer):
  """x / (k + alpha sum of squares over size x size of its own map)^beta."""

  size: int
  alpha: float
  beta: float
  k: float

  def __call__(self, x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, H, W, C]."""
    y = jnp.square(x.astype(jnp.float32))
    window = (1, self.size, self.size, 1)
    around = lax.reduce_window(y, 0.0, lax.add, window, (1,) * 4, 'SAME')
    return (x * (self.k + self.alpha * around) ** -self.beta).astype(x.dtype)
