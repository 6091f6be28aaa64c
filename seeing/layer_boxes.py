"""The layers of a network as it runs: kinds, windows, shapes, parameters."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
from flax import traverse_util

from zoo import layers, lenet5
from zoo.counts import calls_of
from zoo.layers import Layer

Shape = tuple[int, ...]  # of one image: (h, w, channels)
# What the papers call fully connected, though all of it is convolution here.
_DENSE = re.compile(r'(^|_)(fc\d*|classifier)$|^(C5|F6|output)$')


class Box(NamedTuple):
  """A layer.

  Args:
    name: by which `zoo.layer_shapes` knows it, where it does.
    kind: input, conv, dense, pool, norm, rbf, sum, concat, projection, softmax
      or other.
    what: which pooling or normalisation; of `other` the class.
    takes: shape of what it reads.
    shape: of what it gives.
    size: side of its window.
    stride: of that.
    groups: parts of the channels that see only each other.
    parameters: of one such layer.
    times: how many equal ones it stands for, one behind the other.
  """

  name: str
  kind: str
  what: str
  takes: Shape
  shape: Shape
  size: int = 0
  stride: int = 1
  groups: int = 1
  parameters: int = 0
  times: int = 1

  @property
  def padding(self) -> str:
    """As GoogLeNet's Figure 3: S, as many outputs as strides; V, fewer."""
    whole = all(
      after == -(-before // self.stride)
      for before, after in zip(self.takes[:2], self.shape[:2])
    )
    return 'S' if whole else 'V'


def trace(
  network: nn.Module, image_shape: Shape
) -> tuple[list[Box], dict[str, Shape]]:
  """Returns the layers in order of execution, and what modules give, by path.

  A layer is a `zoo.layers.Layer` with all that is in it, or another module that
  has parameters of its own, such as `nn.Conv`. Nothing is computed.

  Args:
    network: is called as `network(images)`.
    image_shape: of one image.

  Raises:
    ValueError: from the network, of an image that it cannot take.
  """
  calls, params = calls_of(network, image_shape)
  counts = _parameters(
    params, {m.path for m, _, _ in calls if isinstance(m, Layer)}
  )
  boxes = []
  for module, takes, gives in calls:
    path = module.path
    if isinstance(module, Layer) or path in counts:
      # What is used twice is counted once.
      count = counts.pop(path, 0)
      boxes.append(_box(module, _of_map(takes), _of_map(gives), count))
  return boxes, {'/'.join(m.path): _of_map(gives) for m, _, gives in calls}


def _of_map(shape) -> Shape:
  """Returns (h, w, channels), whatever axes it lacks."""
  return (*(1,) * (3 - len(shape)), *shape)


def _parameters(params, layers) -> dict[tuple[str, ...], int]:
  """Returns numbers of parameters by path: of a layer, or who owns them."""
  counts: dict[tuple[str, ...], int] = {}
  for path, leaf in traverse_util.flatten_dict(params).items():
    around = (path[:n] for n in range(len(path)) if path[:n] in layers)
    owner = next(around, path[:-1])
    counts[owner] = counts.get(owner, 0) + math.prod(leaf.shape)
  return counts


def _box(module, takes, gives, parameters) -> Box:
  name = '/'.join(module.path) or type(module).__name__
  kind, what = _kind(module, name)
  return Box(
    name, kind, what, takes, gives, *_window(module), parameters=parameters
  )


_POOLS = {layers.MaxPool: 'max', layers.AveragePool: 'average'}


def _kind(module, name) -> tuple[str, str]:
  """Returns `kind` and `what` of a `Box`."""
  word = type(module).__name__
  if row := getattr(module, 'layer', None):  # of LeNet-5's Figure 2
    pools = row.op is lenet5.subsample
    word = 'subsampling' if pools else 'Conv'
    if pools:
      return 'pool', word
  if hasattr(module, 'fixed_weights'):
    return 'rbf', ''
  for base, what in _POOLS.items():
    if isinstance(module, base):
      return 'pool', what
  if word.endswith('Pool'):
    return 'pool', word.removesuffix('Pool').lower()
  if 'Conv' in word or word == 'Dense':
    dense = word == 'Dense' or _DENSE.search(name)
    return ('dense' if dense else 'conv'), ''
  if word.endswith('Norm') or word == 'LRN':
    return 'norm', {'SameMapNorm': 'norm of maps'}.get(word, word)
  return 'other', word.lstrip('_')


def _window(module) -> tuple[int, int, int]:
  """Returns side, stride and groups; 0, 1, 1 of what has no window."""
  if row := getattr(module, 'layer', None):
    return (2, 2, 1) if row.op is lenet5.subsample else (row.kernel[0], 1, 1)
  if type(module).__name__ == '_Pool':
    return 2, 2, 1
  size = getattr(module, 'size', getattr(module, 'kernel_size', 0))
  stride = getattr(module, 'stride', getattr(module, 'strides', 1))
  groups = getattr(module, 'groups', getattr(module, 'feature_group_count', 1))
  return _side(size), max(_side(stride), 1), _side(groups)


def _side(value) -> int:
  """Flax's modules have a number, one for each axis, or None."""
  value = value[0] if isinstance(value, Sequence) and value else value
  return value if isinstance(value, int) else 0
