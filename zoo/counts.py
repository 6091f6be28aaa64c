"""What each layer of a network costs: parameters, multiplications, memory.

Nothing is computed: a network is called on the shape of one image.
"""

import collections
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from zoo import layers


class Call(NamedTuple):
  """Of a module; shapes are those of one image, of the first array."""

  module: nn.Module
  takes: tuple[int, ...]
  gives: tuple[int, ...]


def calls_of(
  network: nn.Module, image_shape: Sequence[int]
) -> tuple[list[Call], dict[str, Any]]:
  """Returns the calls of modules, and the shapes of the parameters.

  In the order in which they end. Nothing is computed.

  Args:
    network: is called as `network(images)`.
    image_shape: of one image.

  Raises:
    ValueError: from the network, of an image that it cannot take.
  """
  calls: list[Call] = []
  running: set[tuple[str, ...]] = set()

  def watch(function, args, kwargs, context):
    path = context.module.path
    # A call inside that of the same module: of its superclass, or of what
    # nn.remat wraps.
    if context.method_name != '__call__' or path in running:
      return function(*args, **kwargs)
    running.add(path)
    out = function(*args, **kwargs)
    running.remove(path)
    calls.append(Call(context.module, _first(args), _first(out)))
    return out

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)

  def init(*args):  # JAX would not call one again whose shapes it knows
    return network.init(*args)

  with nn.intercept_methods(watch):
    variables = jax.eval_shape(init, jax.random.key(0), image)
  return calls, nn.unbox(variables.get('params', {}))


def _first(values) -> tuple[int, ...]:
  leaves = [leaf for leaf in jax.tree.leaves(values) if hasattr(leaf, 'shape')]
  return leaves[0].shape[1:] if leaves else ()


class Row(NamedTuple):
  """A layer; sizes are those of one image."""

  name: str
  output: tuple[int, ...]
  weights: int
  biases: int
  norm: int  # scale and offset of normalisation, and what else is learned
  macs: int  # each weight once at every position of the output
  activations: int

  @property
  def parameters(self) -> int:
    """Weights, biases, and what normalisation learns."""
    return self.weights + self.biases + self.norm


def rows_of(network: nn.Module, image_shape: tuple[int, ...]) -> list[Row]:
  """Returns the layers of any Linen module that takes images alone.

  A row is a `zoo.layers.Layer` with all that is in it, or another module that
  has parameters of its own, such as `nn.Conv`. Parameters that are used twice
  count once; those that no call of their module uses have a row at the end.

  Args:
    network: is called as `network(images)`.
    image_shape: of one image.

  Raises:
    ValueError: from the network, of an image that it cannot take.
  """
  calls, params = calls_of(network, image_shape)
  whole = {c.module.path for c in calls if isinstance(c.module, layers.Layer)}
  owned = _owned(params, whole)
  size = math.prod(image_shape)
  return [
    Row('input', tuple(image_shape), 0, 0, 0, 0, size),
    *_rows_of_calls(calls, whole, owned),
  ]


def _owned(params, whole):
  """Returns sizes of parameters by name, by the path of a row's module.

  Normalisation inside of a Layer, of which `whole` has the paths, is a
  parameter of the Layer.
  """
  direct: dict[tuple[str, ...], dict[str, int]] = collections.defaultdict(dict)
  for (*path, name), leaf in traverse_util.flatten_dict(params).items():
    direct[tuple(path)][name] = leaf.size
  owned: dict[tuple[str, ...], dict[str, int]] = collections.defaultdict(dict)
  for path, sizes in direct.items():
    around = [path[:n] for n in range(len(path)) if path[:n] in whole]
    if around and path not in whole and 'kernel' not in sizes:
      inner = '/'.join(path[len(around[-1]) :])
      owned[around[-1]][inner] = sum(sizes.values())
    else:
      owned[path].update(sizes)
  return owned


def _rows_of_calls(calls, whole, owned):
  counted = set()
  for module, _, out in calls:
    path = module.path
    if path not in whole and path not in owned:
      continue
    name = '/'.join(path) or type(module).__name__
    fixed = getattr(module, 'fixed_weights', 0)
    row = _row(name, out, owned.get(path, {}), fixed)
    yield row._replace(weights=0, biases=0, norm=0) if path in counted else row
    counted.add(path)
  for path, sizes in owned.items():
    if path not in counted:
      yield _row('/'.join(path), (), sizes)._replace(macs=0, activations=0)


def _row(name, out, sizes, fixed_weights=0):
  weights = sizes.get('kernel', 0)
  normalises = 'scale' in sizes and not weights  # in place
  biases = 0 if normalises else sizes.get('bias', 0)
  return Row(
    name, out, weights, biases, sum(sizes.values()) - weights - biases,
    # A weight is used once at every position, shared or not.
    macs=(weights or fixed_weights) * math.prod(out[:-1]),
    activations=0 if normalises else math.prod(out),
  )  # fmt: skip


def total(table: list[Row]) -> Row:
  """Returns the sums of the columns."""
  sums = [sum(column) for column in zip(*(row[2:] for row in table))]
  return Row('total', (), *sums)
