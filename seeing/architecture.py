"""What the drawing of a network is made of: its layers, and what reads what.

    drawn = architecture.of_name('resnet34')
    drawn.boxes, drawn.edges, drawn.parameters, drawn.depth

Everything is read off the network as it runs on an image of the given size (no
number is computed): AlexNet Figure 2, ZFNet Figure 3, GoogLeNet Figure 3,
ResNet Figure 3, LeNet-5 Figure 2. `drawing_svg_forms` draws it.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn

import zoo
from seeing.layer_boxes import Box, Shape, trace
from zoo import lenet5
from zoo.chain import Chain
from zoo.googlenet import GoogLeNet
from zoo.resnet import ResNet

# Blocks of a ResNet's stage that are drawn one by one; more are two, the second
# of them `times`. The 34 layers of the paper's Figure 3 have six.
_MOST_BLOCKS = 8
# Options that change no layer.
_OF_TRAINING = re.compile(
  r'dtype|init|dropout|aux_dropout|bn_group|fused_norm|scan'
)


class Edge(NamedTuple):
  """Who reads whom.

  Args:
    source: name of a box.
    target: name of the box that reads it.
    shape: of what the target reads.
    shortcut: whether it passes by a block of ResNet.
    changes: whether shape or channels change on the way, ResNet's dotted ones.
    through: name of the projection on it; '': none.
  """

  source: str
  target: str
  shape: Shape
  shortcut: bool = False
  changes: bool = False
  through: str = ''


class Architecture(NamedTuple):
  """A network to draw.

  Args:
    title: its name, with options that are not its own.
    form: of the drawing: planes, volumes, graph, columns; of a network whose
      edges are not known: layers.
    boxes: in order of execution.
    edges: empty where they are not known.
  """

  title: str
  form: str
  boxes: tuple[Box, ...]
  edges: tuple[Edge, ...]

  @property
  def parameters(self) -> int:
    """Of all layers, those of auxiliary heads too."""
    return sum(box.parameters * box.times for box in self.boxes)

  @property
  def depth(self) -> int:
    """Layers with weights on the longest way to the classes.

    As the papers count: 22 of GoogLeNet, 34 of ResNet-34, 7 of LeNet-5. Where
    edges are not known: of all layers with weights.
    """
    weighted = {box.name: _weights(box) * box.times for box in self.boxes}
    if not self.edges:
      return sum(weighted.values())
    longest: dict[str, int] = {}
    for box in self.boxes:
      before = (longest[e.source] for e in self.edges if e.target == box.name)
      longest[box.name] = weighted[box.name] + max(before, default=0)
    return longest[self.boxes[-1].name]


def _weights(box):
  """Normalisation learns too, but no paper counts it."""
  return box.kind == 'rbf' or (box.kind != 'norm' and box.parameters > 0)


def of_name(
  name: str,
  image_shape: Shape | None = None,
  classes: int = 0,
  options: Mapping[str, Any] | None = None,
) -> Architecture:
  """Returns a network of the zoo.

  Args:
    name: of it.
    image_shape: of one image; None: the paper's.
    classes: 0: the paper's.
    options: of the network.

  Raises:
    ValueError: no such name, names the closest; or from the network.
  """
  known, options = zoo.options(name), dict(options or {})
  shape = zoo.image_shape(name)
  classes = classes or (1000 if shape[0] > 32 else 10)
  network = zoo.create(name, num_classes=classes, **options)
  others = [
    f'{key}={value}'
    for key, value in options.items()
    if not _OF_TRAINING.match(key) and value != known.get(key)
  ]
  title = f'{name} ({", ".join(others)})' if others else name
  return of(network, image_shape or shape, title)


def of(network: nn.Module, image_shape: Shape, title: str) -> Architecture:
  """Returns any Linen module that takes images alone.

  Args:
    network: is called as `network(images)`.
    image_shape: of one image.
    title: its name.

  Raises:
    ValueError: from the network, of an image that it cannot take.
  """
  image = Box('input', 'input', '', image_shape, image_shape)
  if isinstance(network, ResNet):
    return Architecture(title, 'columns', *_resnet(network, image))
  boxes = [image, *trace(network, image_shape)[0]]
  if isinstance(network, GoogLeNet):
    return Architecture(title, 'graph', *_googlenet(boxes))
  if isinstance(network, Chain):
    return Architecture(title, 'volumes', tuple(boxes), _one_by_one(boxes))
  if isinstance(network, (lenet5.LeNet5, lenet5.LeNet5Modern)):
    return Architecture(title, 'planes', tuple(boxes), _one_by_one(boxes))
  return Architecture(title, 'layers', tuple(boxes), ())


def _one_by_one(boxes) -> tuple[Edge, ...]:
  return tuple(
    Edge(a.name, b.name, b.takes) for a, b in itertools.pairwise(boxes)
  )


def _googlenet(traced) -> tuple[tuple[Box, ...], tuple[Edge, ...]]:
  """Adds concatenations and softmaxes, and who reads whom: Figures 2 and 3."""
  boxes: list[Box] = []
  edges: list[Edge] = []
  trunk = last = traced[0]
  heads = iter(('softmax0', 'softmax1'))
  module: list[Box] = []

  def put(box, *sources):
    boxes.append(box)
    edges.extend(Edge(s.name, box.name, box.takes) for s in sources)

  put(traced[0])
  for box, after in zip(traced[1:], (*traced[2:], None)):
    if prefix := _module_of(box.name):
      module.append(box)
      put(box, _read_in_module(box, module, trunk))
      if after is None or _module_of(after.name) != prefix:
        ends = _ends(module)
        shape = (*box.shape[:2], sum(b.shape[-1] for b in ends))
        trunk = Box(prefix, 'concat', '', shape, shape)
        put(trunk)
        edges.extend(Edge(b.name, prefix, b.shape) for b in ends)
        module = []
    elif box.name.startswith('aux'):
      last = trunk if box.name.endswith('avgpool') else last
      put(box, last)
      last = box
      if box.name.endswith('classifier'):
        put(Box(next(heads), 'softmax', '', box.shape, box.shape), box)
    else:
      put(box, trunk)
      trunk = box
  put(Box('softmax2', 'softmax', '', trunk.shape, trunk.shape), trunk)
  return tuple(boxes), tuple(edges)


def _module_of(name) -> str:
  """Returns 'inception_3a' of 'inception_3a_5x5_reduce'; '': of none."""
  found = re.match(r'inception_\d[a-z]', name)
  return found[0] if found else ''


def _read_in_module(box, module, trunk) -> Box:
  """Returns what a layer of a module reads: its reduction, the pool, or all."""
  before = {
    '_pool_proj': '_pool',
    '_3x3': '_3x3_reduce',
    '_5x5': '_5x5_reduce',
  }
  here = {b.name.removeprefix(_module_of(b.name)): b for b in module}
  suffix = box.name.removeprefix(_module_of(box.name))
  return here.get(before.get(suffix, ''), trunk)


def _ends(module) -> list[Box]:
  """Returns the layers of a module that are concatenated, in their order."""
  here = {b.name.removeprefix(_module_of(b.name)): b for b in module}
  last = here.get('_pool_proj', here['_pool'])
  return [here['_1x1'], here['_3x3'], here['_5x5'], last]


def _resnet(network, image) -> tuple[tuple[Box, ...], tuple[Edge, ...]]:
  """Adds sums and shortcuts: Figures 2, 3 and 5.

  The blocks of a stage are equal but for the first, so two are traced: 600
  would take half a minute.
  """
  blocks = network.blocks
  few = network.clone(blocks=tuple(min(n, 2) for n in blocks), scan=False)
  traced, gives = trace(few, image.shape)
  counts = dict(zip(_stages(traced), blocks))
  boxes, edges, trunk = [image], [], image
  for name, layers in _by_block(traced):
    if '/' not in layers[0].name:
      copies = [(layers, name, 1)]
    else:
      copies = list(_copies(layers, name, counts))
    for copy, block, times in copies:
      more, read = _block(copy, block, times, trunk, gives.get(name), network)
      boxes += more
      edges += read
      trunk = more[-1]
  return tuple(boxes), tuple(edges)


def _stages(boxes) -> Iterable[str]:
  """Returns 'conv2' of 'conv2_1/a' and the like, in order."""
  return dict.fromkeys(
    b.name.partition('/')[0].rpartition('_')[0] for b in boxes if '/' in b.name
  )


def _by_block(boxes) -> Iterator[tuple[str, list[Box]]]:
  """Yields (name, layers) of blocks, and of layers that are in none."""
  found: dict[str, list[Box]] = {}
  for box in boxes:
    found.setdefault(box.name.partition('/')[0], []).append(box)
  yield from found.items()


def _copies(layers, name, counts) -> Iterator[tuple[list[Box], str, int]]:
  """Yields (layers, name, times) of a block and of those that are equal."""
  stage, _, number = name.rpartition('_')
  count = counts[stage]
  if number == '1':
    yield layers, name, 1
  elif count > _MOST_BLOCKS:
    yield layers, f'{stage}_2 to {stage}_{count}', count - 1
  else:
    for i in range(2, count + 1):
      yield layers, f'{stage}_{i}', 1


def _block(layers, name, times, before, gives, network):
  """Returns the boxes of a block, the last one what it gives, and its edges."""
  if '/' not in layers[0].name:
    return [layers[0]], [Edge(before.name, name, layers[0].takes)]
  boxes = [
    box._replace(name=f'{name}/{box.name.partition("/")[2]}', times=times)
    for box in layers
  ]
  chain = [box for box in boxes if not box.name.endswith('/proj')]
  through = [
    box._replace(kind='projection') for box in boxes if box not in chain
  ]
  plain = network.shortcut == 'none'
  if plain:  # the last layer's state is the block's
    chain[-1] = chain[-1]._replace(name=name)
  edges = [Edge(before.name, chain[0].name, chain[0].takes)]
  edges += _one_by_one(chain)
  if plain:
    return chain, edges
  end = Box(name, 'sum', '', gives, gives, times=times)
  edges += [
    Edge(chain[-1].name, name, chain[-1].shape),
    Edge(
      before.name, name, chain[0].takes, True, chain[0].takes != gives,
      through[0].name if through else '',
    ),
  ]  # fmt: skip
  return [*chain, *through, end], edges
