"""The networks: one table from canonical name to constructor.

Belongs here: one family of networks a file, the layers they share, published
weights. May import nothing of the rest, not even in a function: the package can
be lifted out and used alone:

    import jax, zoo
    net = zoo.create('lenet5', num_classes=10)
    variables = net.init(jax.random.key(0), images)   # images: NHWC, float
    logits = net.apply(variables, images, train=False)  # float32 [N, classes]

With published weights, and what layers say: `pretrained`, `activations`.

A network of one's own is an entry of `NETWORKS`: docs/extending.md.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from zoo import alexnet, googlenet, lenet5, resnet, vgg, zfnet
from zoo.chain import Chain
from zoo.googlenet import GoogLeNet
from zoo.intermediates import activations as activations
from zoo.intermediates import layer_shapes as layer_shapes
from zoo.published import pretrained as pretrained
from zoo.resnet import ResNet


class Network(NamedTuple):
  """An entry of `NETWORKS`.

  Args:
    create: takes `num_classes`, `dtype` and the network's own fields, and
      returns the module: most simply its class.
    image_shape: (height, width, channels) of the input.
    family: the paper; its config offers the network as a `variant`.
    module: class whose fields are the options, where `create` is a function.
    fixed: fields that make the network what it is, and are no options.
  """

  create: Callable[..., nn.Module]
  image_shape: tuple[int, int, int]
  family: str
  module: type[nn.Module] | None = None
  fixed: tuple[str, ...] = ()


def _family(family, create, names, side, module, *fixed):
  return {
    name: Network(
      functools.partial(create, name), (side, side, 3), family, module, fixed
    )
    for name in names
  }


_CHAIN = Chain, 'rows', 'smallest'
_RESNET = ResNet, 'blocks', 'bottleneck', 'cifar', 'v1_5'
_ALEXNET_224 = ('alexnet', 'alexnet_source')
_ALEXNET_227 = ('alexnet_merged', 'bvlc_alexnet', 'caffenet')
_ZFNET = ('zfnet', 'zfnet_wide', 'zfnet512')
_GOOGLENET = ('googlenet', 'bvlc_googlenet', 'googlenet_naive')
NETWORKS: dict[str, Network] = {
  'lenet5': Network(lenet5.LeNet5, (32, 32, 1), 'lenet5'),
  'lenet5_modern': Network(lenet5.LeNet5Modern, (32, 32, 1), 'lenet5'),
  **_family('alexnet', alexnet.create, _ALEXNET_224, 224, *_CHAIN),
  **_family('alexnet', alexnet.create, _ALEXNET_227, 227, *_CHAIN),
  **_family('alexnet', alexnet.create, ('alexnet_owt',), 224, *_CHAIN),
  **_family('zfnet', zfnet.create, _ZFNET, 224, *_CHAIN),
  **_family('vgg', vgg.create, vgg.TABLE_1, 224, *_CHAIN),
  **_family('googlenet', googlenet.create, _GOOGLENET, 224, GoogLeNet, 'naive'),
  **_family('resnet', resnet.create, resnet.IMAGENET, 224, *_RESNET),
  **_family('resnet_cifar', resnet.create, resnet.CIFAR, 32, *_RESNET),
}
# What people call them elsewhere, for suggestions.
USUAL_NAMES = {
  'lenet': 'lenet5',
  'lenet-5': 'lenet5',
  'vgg11': 'vgg_a',
  'vgg13': 'vgg_b',
  'vgg16': 'vgg_d',
  'vgg19': 'vgg_e',
  'inception': 'googlenet',
  'inception_v1': 'googlenet',
  'inceptionv1': 'googlenet',
  'zf': 'zfnet',
  'zf_net': 'zfnet',
  **{f'vgg-{depth}': f'vgg_{c}' for c, depth in zip('abde', (11, 13, 16, 19))},
  **{
    name.replace('resnet', word): name
    for word in ('resnet-', 'resnet_', 'res')
    for name in (*resnet.IMAGENET, *resnet.CIFAR)
    if name.startswith('resnet')
  },
  # 6n + 2 layers on CIFAR, 50 and the like on ImageNet.
  'resnet18_cifar': 'resnet20_cifar',
  'resnet34_cifar': 'resnet32_cifar',
  'resnet50_cifar': 'resnet56_cifar',
  'resnet101_cifar': 'resnet110_cifar',
}


def names(family: str = '') -> list[str]:
  """Returns the canonical names, in order of publication.

  Args:
    family: of that paper only: lenet5, alexnet, zfnet, vgg, googlenet, resnet,
      resnet_cifar.
  """
  return [
    name for name, network in NETWORKS.items() if family in ('', network.family)
  ]


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
    *inspect.signature(network.module or network.create).parameters.values(),
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


def classifier(name: str, **fields) -> tuple[str, ...]:
  """Returns the layers that are another thing for other classes.

  The paths of those whose parameters are as many as the classes: the last one,
  and those of auxiliary heads. Of a network with a fixed number of classes, as
  lenet5 with its codes, the last one that has parameters.

  Args:
    name: of the zoo.
    **fields: as `create` takes them, but for the number of classes.
  """
  image = jax.ShapeDtypeStruct((1, *image_shape(name)), jnp.float32)

  def shapes(num_classes):
    network = create(name, num_classes=num_classes, **fields)
    return jax.eval_shape(network.init, jax.random.key(0), image)['params']

  try:
    two, three = shapes(2), shapes(3)
  except ValueError:
    network = _find(name).create()
    params = jax.eval_shape(network.init, jax.random.key(0), image)['params']
    layers = layer_shapes(network, image_shape(name))
    return ([layer for layer in layers if layer in params][-1],)
  paths = jax.tree_util.tree_leaves_with_path(two)
  others = jax.tree.leaves(three)
  found = (
    '/'.join(key.key for key in path[:-1])
    for (path, leaf), other in zip(paths, others)
    if leaf.shape != other.shape
  )
  return tuple(dict.fromkeys(found))


def _find(name) -> Network:
  if name not in NETWORKS:
    raise ValueError(f"No network '{name}'.{_closest(name, NETWORKS)}")
  return NETWORKS[name]


def suggest(name: str, known: Iterable[str] = ()) -> str | None:
  """Returns the network that somebody may mean by a name; None: none near.

  Args:
    name: that is not there, as 'vgg16'.
    known: names to choose from; by default all.
  """
  known = list(known or NETWORKS)
  usual = USUAL_NAMES.get(name.lower())
  if usual in known:
    return usual
  near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
  return near[0] if near else None


def _closest(word, known) -> str:
  if near := suggest(word, known):
    return f" Did you mean '{near}'?"
  return f' Known: {", ".join(known) or "none"}.'
