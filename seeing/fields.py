"""Receptive fields: the pixels of an image that a unit sees.

Found by what derivatives are not 0 in a network whose weights are all positive,
pools average and normalisations are left out: for any network, whatever its
branches, borders and roundings.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import zoo
from zoo import layers

_BATCH = 16  # units at once


def size(module: nn.Module, image_shape: Sequence[int], layer: str) -> int:
  """Returns the side of the field of a layer's unit, in pixels.

  Of one in the middle, so at most the side of the image.

  Args:
    module: a network of the zoo.
    image_shape: (height, width, channels) of a square image.
    layer: of `zoo.activations`.

  Raises:
    ValueError: no such layer.
  """
  shape = zoo.layer_shapes(module, image_shape, (layer,))[layer]
  middle = np.array([shape[0] // 2]), np.array([shape[1] // 2])
  ((top, left, bottom, right),) = boxes(module, image_shape, layer, *middle)
  return max(bottom - top, right - left)


def boxes(
  module: nn.Module,
  image_shape: Sequence[int],
  layer: str,
  rows: np.ndarray,
  columns: np.ndarray,
) -> list[tuple[int, int, int, int]]:
  """Returns (top, left, bottom, right) of units, as far as the image goes.

  Args:
    module: a network of the zoo.
    image_shape: (height, width, channels).
    layer: of `zoo.activations`.
    rows: int [N], of the units in their map.
    columns: int [N].

  Raises:
    ValueError: no such layer.
  """
  if hasattr(module, 'width'):  # as few channels as there may be
    module = module.clone(width=1e-6)
  image = jnp.ones((_BATCH, *image_shape))
  variables = _positive(module, image)

  def forward(image):
    with nn.intercept_methods(_open):
      return zoo.activations(module, variables, image, (layer,))[layer]

  def support(rows, columns):
    state, back = jax.vjp(forward, image)
    seed = jnp.zeros_like(state).at[jnp.arange(_BATCH), rows, columns].set(1)
    seen = (back(seed)[0] != 0).any(-1)
    return seen.any(2), seen.any(1)

  support = jax.jit(support)
  units = sorted(set(zip(rows.tolist(), columns.tolist())))
  found = {}
  for start in range(0, len(units), _BATCH):
    part = units[start : start + _BATCH]
    filled = np.array(part + part[:1] * (_BATCH - len(part)))
    down, across = jax.device_get(support(*filled.T))
    for unit, *sides in zip(part, down, across):
      (top, bottom), (left, right) = (
        (int(n[0]), int(n[-1]) + 1) for n in map(np.flatnonzero, sides)
      )
      found[unit] = top, left, bottom, right
  return [found[unit] for unit in zip(rows.tolist(), columns.tolist())]


def _positive(module, image):
  """Variables with which what goes up is positive, and so is what comes down.

  A kernel averages: sums would be infinite in deep networks.
  """
  shapes = jax.eval_shape(module.init, jax.random.key(0), image)

  def value(path, leaf):
    name = path[-1].key
    if name == 'kernel':
      return jnp.full(leaf.shape, 1 / max(np.prod(leaf.shape[:-1]), 1))
    return jnp.full(leaf.shape, float(name in ('scale', 'var')))

  shapes.pop('aux_logits', None)  # results, of GoogLeNet in training
  return jax.tree_util.tree_map_with_path(value, shapes)


def _open(function, args, kwargs, context):
  """Lets all through: no unit is off, none is less than another."""
  module = context.module
  if context.method_name == '__call__':
    if isinstance(module, layers.ReLU | layers.LRN | layers.SameMapNorm):
      return args[0]
    if isinstance(module, layers.MaxPool):
      return _mean(module, args[0])
  return function(*args, **kwargs)


def _mean(pool, x):
  padding = pool.padding
  if pool.ceil:
    padding = layers.padded_up(x, pool.size, pool.stride, padding)
  window = (1, pool.size, pool.size, 1)
  total = lax.reduce_window(
    x, np.zeros((), x.dtype), lax.add, window,
    (1, pool.stride, pool.stride, 1), ((0, 0), *padding, (0, 0)),
  )  # fmt: skip
  return total / pool.size**2


def cut(
  picture: np.ndarray, box: Sequence[int], side: int, outside: float
) -> np.ndarray:
  """Returns the field [side, side, C] of a unit in a picture [H, W, C].

  Args:
    picture: an image, or its projection.
    box: of the unit, from `boxes`.
    side: of a field that lies within the image, from `size`.
    outside: what stands where the field reaches over the image.
  """
  top, left, bottom, right = box
  missing = [
    (side - (high - low), 0) if low == 0 else (0, side - (high - low))
    for low, high in ((top, bottom), (left, right))
  ]
  inside = picture[top:bottom, left:right]
  return np.pad(inside, (*missing, (0, 0)), constant_values=outside)
