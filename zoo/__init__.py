"""The networks: one table from canonical name to constructor.

The package imports nothing of training and can be lifted out and used alone:

    import jax, zoo
    net = zoo.create('lenet5', num_classes=10)
    variables = net.init(jax.random.key(0), images)   # images: NHWC, float
    logits = net.apply(variables, images, train=False)  # float32 [N, classes]
"""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from zoo import alexnet, googlenet, lenet5, resnet, vgg, zfnet
from zoo.chain import Chain
from zoo.googlenet import GoogLeNet
from zoo.resnet import ResNet


class _Network(NamedTuple):
  create: Callable[..., nn.Module]
  module: type[nn.Module]  # whose fields are options
  image_shape: tuple[int, int, int]
  fixed: tuple[str, ...] = ()  # fields that make the network what it is


def _family(create, names, module, side, fixed):
  return {
    name: _Network(
      functools.partial(create, name), module, (side, side, 3), fixed
    )
    for name in names
  }


_CHAIN = ('rows', 'smallest')
_RESNET = ('blocks', 'bottleneck', 'cifar', 'v1_5')
_NETWORKS: dict[str, _Network] = {
  'lenet5': _Network(lenet5.LeNet5, lenet5.LeNet5, (32, 32, 1)),
  'lenet5_modern': _Network(
    lenet5.LeNet5Modern, lenet5.LeNet5Modern, (32, 32, 1)
  ),
  **_family(alexnet.create, ('alexnet', 'alexnet_source'), Chain, 224, _CHAIN),
  **_family(
    alexnet.create,
    ('alexnet_merged', 'bvlc_alexnet', 'caffenet'),
    Chain,
    227,
    _CHAIN,
  ),
  **_family(alexnet.create, ('alexnet_owt',), Chain, 224, _CHAIN),
  **_family(
    zfnet.create, ('zfnet', 'zfnet_wide', 'zfnet512'), Chain, 224, _CHAIN
  ),
  **_family(vgg.create, vgg.TABLE_1, Chain, 224, _CHAIN),
  **_family(
    googlenet.create,
    ('googlenet', 'googlenet_naive'),
    GoogLeNet,
    224,
    ('naive',),
  ),
  **_family(resnet.create, resnet.IMAGENET, ResNet, 224, _RESNET),
  **_family(resnet.create, resnet.CIFAR, ResNet, 32, _RESNET),
}


def names() -> list[str]:
  """Returns the canonical names of all networks, in order of publication."""
  return list(_NETWORKS)


def image_shape(name: str) -> tuple[int, int, int]:
  """Returns (height, width, channels) of the paper's input."""
  return _find(name).image_shape


def options(name: str) -> dict[str, object]:
  """Returns the fields of a network that `create` takes, with their defaults.

  Raises:
    ValueError: if there is no network of this name; names the closest.
  """
  network = _find(name)
  skip = ('parent', 'name', 'num_classes', 'dtype', *network.fixed)
  built = network.create()
  parameters = [
    *inspect.signature(network.module).parameters.values(),
    *inspect.signature(network.create).parameters.values(),
  ]
  return {
    p.name: getattr(built, p.name, p.default)
    for p in parameters
    if p.name not in skip and p.kind is not p.VAR_KEYWORD
  }


def create(
  name: str,
  *,
  num_classes: int = 1000,
  dtype: DTypeLike = jnp.float32,
  **overrides,
) -> nn.Module:
  """Returns the network `name` as an unbound Linen module.

  Args:
    name: one of `names()`.
    num_classes: width of the last layer.
    dtype: of the computation; parameters are float32 whatever it is.
    **overrides: further fields of that network (`options(name)`).

  Raises:
    ValueError: for an unknown name or override (names the closest known one),
      or a value that the network cannot take.
  """
  known = options(name)
  for key in overrides:
    if key not in known:
      raise ValueError(f"{name} has no option '{key}'.{_closest(key, known)}")
  if num_classes < 1:
    raise ValueError(f'num_classes is {num_classes}: at least 1')
  return _find(name).create(num_classes=num_classes, dtype=dtype, **overrides)


def _find(name) -> _Network:
  if name not in _NETWORKS:
    raise ValueError(f"No network '{name}'.{_closest(name, _NETWORKS)}")
  return _NETWORKS[name]


def _closest(word, known) -> str:
  near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
  if near:
    return f" Did you mean '{near[0]}'?"
  return f' Known: {", ".join(known) or "none"}.'
