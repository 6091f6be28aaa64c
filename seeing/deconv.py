"""The deconvnet: activations projected to pixels. Zeiler & Fergus, ECCV 2014,
Section 2.1, Figures 2 and 4.

From one unit, all others of its layer set to 0, down to the pixels: unpooling
puts a value where the maximum of its window was (the switches), rectification
is a ReLU of what comes down, whatever went up there, filtering is by the same
kernels transposed, without biases. Contrast normalisation is passed (so says
the text of ECCV). It ends behind the last filter: pixels have both signs.

These are the rules of a backward pass, so that is how it is computed: for every
network with ReLU and max pooling, branches and all. What is linear goes back as
it does in derivatives: the branches of GoogLeNet add, an average is spread.

Where the paper is silent:
  - Of equal maxima in a window the first has the switch, row by row.
  - Where windows overlap and share a maximum, their values add.
  - A unit starts with its activation; a pooled layer's unit above its pool.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import zoo
from evaluation import features
from evaluation.scoring import Network
from runtime.progress import Progress
from seeing import answers, fields
from seeing.strongest import Strongest
from zoo import layers
from zoo.batch_norm import BatchNorm
from zoo.layers import Padding

_PIXELS = 8 * 224 * 224  # that are projected at once
_MOST = 64  # images at once, however small


def check(module: nn.Module, image_shape: Sequence[int]) -> None:
  """Refuses a network that the paper has no way down for; computes nothing.

  Args:
    module: of the zoo, or with its layers.
    image_shape: (height, width, channels) of its input.

  Raises:
    ValueError: says what it has, or lacks.
  """
  seen: set[type] = set()

  def watch(function, args, kwargs, context):
    seen.add(type(context.module))
    return function(*args, **kwargs)

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(watch):
    jax.eval_shape(module.init, jax.random.key(0), image)

  def has(*kinds):
    return any(issubclass(kind, kinds) for kind in seen)

  reason = ''
  if has(BatchNorm, nn.BatchNorm):
    reason = 'it has batch normalisation, for which the paper has no rule'
  elif not has(layers.MaxPool):
    reason = 'it has no max pooling, so no switches for the way down'
  elif not has(layers.ReLU):
    reason = 'it has no ReLU of zoo.layers, which the way down goes through'
  if reason:
    raise ValueError(
      f'{reason}. The deconvnet goes with lenet5_modern (ReLU, max pooling), '
      'alexnet, zfnet, vgg and googlenet'
    )


def switches(
  x: jax.Array, size: int, stride: int, padding: Padding
) -> jax.Array:
  """Returns where in its window each maximum lies, int32 [N, h, w, C].

  Numbers of 0 to size x size - 1, row by row; of equal ones the first.

  Args:
    x: [N, H, W, C].
    size: side of the windows.
    stride: of them.
    padding: of the map, which is never a maximum.
  """
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  rows, columns = ((n - size) // stride * stride + 1 for n in x.shape[1:3])
  windows = [
    x[:, i : i + rows : stride, j : j + columns : stride]
    for i in range(size)
    for j in range(size)
  ]
  return jnp.argmax(jnp.stack(windows), 0).astype(jnp.int32)


def unpool(
  values: jax.Array,
  places: jax.Array,
  sides: Sequence[int],
  size: int,
  stride: int,
  padding: Padding,
) -> jax.Array:
  """Puts values [N, h, w, C] to their switches, 0 elsewhere: [N, H, W, C].

  Args:
    values: of the pooled map.
    places: as `switches` has them.
    sides: (H, W) of the map that was pooled.
    size: of the windows, as `stride` and `padding`.
    stride: see `size`.
    padding: see `size`.
  """
  (top, bottom), (left, right) = padding
  height, width = sides[0] + top + bottom, sides[1] + left + right
  rows, columns = ((n - 1) * stride + 1 for n in values.shape[1:3])
  zero = jnp.zeros((), values.dtype)
  out = jnp.zeros((), values.dtype)
  for place in range(size * size):
    i, j = divmod(place, size)
    own = jnp.where(places == place, values, zero)
    spread = (
      (0, 0, 0), (i, height - i - rows, stride - 1),
      (j, width - j - columns, stride - 1), (0, 0, 0),
    )  # fmt: skip
    out = out + lax.pad(own, zero, spread)
  return out[:, top : top + sides[0], left : left + sides[1]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _join(back, x, y, seen):
  """Returns y; what comes down to it reaches x as back(seen, it)."""
  del back, x, seen
  return y


_join.defvjp(
  lambda back, x, y, seen: (y, seen),
  lambda back, seen, down: (back(seen, down), None, None),
)


def _rules(function, args, kwargs, context):
  """Replaces the derivatives of layers by the deconvnet's ways down."""
  module = context.module
  if context.method_name != '__call__':
    return function(*args, **kwargs)
  seen = None
  if isinstance(module, layers.ReLU):
    back = _rectify
  elif isinstance(module, layers.MaxPool):
    (x,) = args
    size, stride, padding = module.size, module.stride, module.padding
    if module.ceil:
      padding = layers.padded_up(x, size, stride, padding)
    seen = switches(lax.stop_gradient(x), size, stride, padding)
    back = functools.partial(
      _unpool, x.shape[1:3], size=size, stride=stride, padding=padding
    )
  elif isinstance(module, layers.LRN | layers.SameMapNorm):
    back = _pass
  else:
    return function(*args, **kwargs)
  return _join(back, args[0], lax.stop_gradient(function(*args)), seen)


def _rectify(_, down):
  return nn.relu(down)


def _unpool(sides, places, down, **window):
  return unpool(down, places, sides, **window)


def _pass(_, down):
  return down


class Deconvnet:
  """Projects units of a layer to pixels; compiles once.

  Args:
    network: whose variables are given with each call.
    layer: of `zoo.activations`.
  """

  def __init__(self, network: Network, layer: str):
    self.network, self.layer = network, layer
    self.batch_size = min(max(_PIXELS // network.image_size**2, 1), _MOST)

    def forward(variables, prepared):
      with nn.intercept_methods(_rules):
        seen = zoo.activations(network.module, variables, prepared, (layer,))
      return seen[layer]

    def project(variables, images, rows, columns, maps):
      prepared, to_pixels = jax.vjp(network.prepare, images)
      state, down = jax.vjp(lambda x: forward(variables, x), prepared)
      unit = jnp.arange(len(images)), rows, columns, maps
      values = state[unit]
      (found,) = down(jnp.zeros_like(state).at[unit].set(values))
      # To the order of the channels that images have, without the scale that
      # they were brought to: both are linear, pixel by pixel.
      (pixels,), (scale,) = to_pixels(found), to_pixels(jnp.ones_like(found))
      return values.astype(jnp.float32), pixels / scale

    self._project = jax.jit(project)

  def project(
    self,
    variables: dict[str, Any],
    images: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    maps: np.ndarray,
    progress: Progress | None = None,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Projects one unit of each image.

    Args:
      variables: of the network.
      images: uint8 [N, H, W, C], with their border (`answers.bordered`).
      rows: int [N], of the units.
      columns: int [N].
      maps: int [N].
      progress: counts images.

    Returns:
      float32 [N] activations; float32 [N, H, W, C] projections, in the range
      of the network's input, channels in the order of the images.
    """
    found = []
    for start in range(0, len(images), self.batch_size):
      parts = [
        a[start : start + self.batch_size]
        for a in (images.astype(np.float32), rows, columns, maps)
      ]
      count = len(parts[0])
      filled = [_filled(a, self.batch_size) for a in parts]
      rows_found = jax.device_get(self._project(variables, *filled))
      found.append([a[:count] for a in rows_found])
      if progress:
        progress.add(count)
    values, pixels = map(np.concatenate, zip(*found))
    return values, pixels


def _filled(array, count):
  missing = [(0, count - len(array))] + [(0, 0)] * (array.ndim - 1)
  return np.pad(array, missing)


class Seen(NamedTuple):
  """What maps respond to: `values[i, k]` is of the image ranked k by map i.

  S is the side of the receptive field, at most that of the image.
  """

  values: np.ndarray  # float32 [maps, K], activations
  projections: np.ndarray  # float32 [maps, K, S, S, C], 0 outside the image
  patches: np.ndarray  # uint8 [maps, K, S, S, C], `OUTSIDE` there
  keys: list[list[str]]  # of the images


OUTSIDE = 128  # of patches, where a field reaches over the image


def see(
  deconvnet: Deconvnet,
  variables: dict[str, Any],
  found: Strongest,
  read: Callable[[int], features.Item],
  progress: Progress | None = None,
) -> Seen:
  """Projects the strongest units, and cuts both to their receptive fields.

  Args:
    deconvnet: of the network and the layer.
    variables: of the network, with which `found` was found.
    found: what `strongest.find` returns.
    read: as there.
    progress: counts images.
  """
  network = deconvnet.network
  count, most = found.numbers.shape
  items = {n: read(int(n)) for n in np.unique(found.numbers)}
  chosen = [items[n] for n in found.numbers.ravel()]
  views = np.stack([np.asarray(item.view) for item in chosen])
  images = answers.bordered(views, network.image_size)
  rows, columns = found.rows.ravel(), found.columns.ravel()
  maps = np.repeat(found.maps, most)
  values, pixels = deconvnet.project(
    variables, images, rows, columns, maps, progress
  )
  shape = images.shape[1:]
  boxes = fields.boxes(network.module, shape, deconvnet.layer, rows, columns)
  side = fields.size(network.module, shape, deconvnet.layer)
  cut = [
    (fields.cut(p, box, side, 0), fields.cut(image, box, side, OUTSIDE))
    for p, image, box in zip(pixels, images, boxes)
  ]
  projections, patches = (
    np.stack(part).reshape(count, most, *part[0].shape) for part in zip(*cut)
  )
  keys = [item.key for item in chosen]
  return Seen(
    values.reshape(count, most), projections, patches,
    [keys[i : i + most] for i in range(0, len(keys), most)],
  )  # fmt: skip


def contrast(projection: np.ndarray) -> np.ndarray:
  """Returns uint8 of the same shape, 0 as grey.

  Scaled so that the largest value of either sign is 0 or 255.
  """
  most = float(np.abs(projection).max())
  scaled = projection / most if most else projection
  return np.round(127.5 + 127.5 * scaled).astype(np.uint8)
