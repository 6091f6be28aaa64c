"""Prints docs/zoo.md, all networks in one page; or their layers.

    python -m tools.overview > docs/zoo.md
    python -m tools.overview --layers > docs/layers.md

Counts are those of tools.summarize, whose --chart draws the picture in it.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import zoo
from runtime import mesh
from tools import summarize, usage


class Reported(NamedTuple):
  """What a paper reports of a network."""

  parameters: str  # as the paper has it; empty where it says nothing
  error: str  # %, top-1 / top-5 where there are two
  where: str  # table or section, and protocol


_CIFAR = 'CIFAR-10, Table 6'
REPORTED = {
  'lenet5': Reported('60,000', '0.95', 'MNIST, Section III'),
  'alexnet': Reported('60 million', '40.7 / 18.2', 'Table 2, 10 crops'),
  'zfnet': Reported('', '38.4 / 16.5', 'Table 2'),
  'zfnet_wide': Reported('', '37.5 / 16.0', 'Table 2'),
  'vgg_a': Reported('133 million', '29.6 / 10.4', 'Table 3, dense'),
  'vgg_a_lrn': Reported('133 million', '29.7 / 10.5', 'Table 3, dense'),
  'vgg_b': Reported('133 million', '28.7 / 9.9', 'Table 3, dense'),
  'vgg_c': Reported('134 million', '27.3 / 8.8', 'Table 3, dense'),
  'vgg_d': Reported('138 million', '25.6 / 8.1', 'Table 3, dense'),
  'vgg_e': Reported('144 million', '25.5 / 8.0', 'Table 3, dense'),
  'googlenet': Reported('', '- / 10.07', 'Table 3, 1 crop'),
  'plain18': Reported('', '27.94', 'Table 2, 10 crops'),
  'plain34': Reported('', '28.54 / 10.02', 'Tables 2, 3, 10 crops'),
  'resnet18': Reported('', '27.88', 'Table 2, 10 crops'),
  'resnet34': Reported('', '25.03 / 7.76', 'Table 3, 10 crops'),
  'resnet50': Reported('', '22.85 / 6.71', 'Table 3, 10 crops'),
  'resnet101': Reported('', '21.75 / 6.05', 'Table 3, 10 crops'),
  'resnet152': Reported('', '21.43 / 5.71', 'Table 3, 10 crops'),
  'resnet20_cifar': Reported('0.27 million', '8.75', _CIFAR),
  'resnet32_cifar': Reported('0.46 million', '7.51', _CIFAR),
  'resnet44_cifar': Reported('0.66 million', '7.17', _CIFAR),
  'resnet56_cifar': Reported('0.85 million', '6.97', _CIFAR),
  'resnet110_cifar': Reported('1.7 million', '6.43', _CIFAR),
  'resnet1202_cifar': Reported('19.4 million', '7.93', _CIFAR),
}


def page() -> str:
  """Returns docs/zoo.md."""
  lines = [
    '# The networks',
    '',
    'Written by `python -m tools.overview > docs/zoo.md`. Parameters and',
    'multiply-accumulates (MACs) are counted on the network itself, for one',
    "image of the paper's size; activations are floats of 4 bytes, counted as",
    '`python -m tools.summarize NAME` counts. GoogLeNet is counted with its',
    'auxiliary heads. Errors are those that the papers report (%, top-1 /',
    'top-5 on the ImageNet validation set unless said), not what this code has',
    'reached.',
    '',
    '![Error, depth and size over the years](ilsvrc.png)',
    '',
    '(`python -m tools.summarize --chart=docs/ilsvrc.png`)',
    '',
    '| name | parameters | the paper says | MACs | activations, MiB '
    '| reported error | where |',
    '|---|---:|---:|---:|---:|---:|---|',
  ]
  for name in zoo.names():
    total = summarize.total(summarize.rows(name))
    said = REPORTED.get(name, Reported('', '', ''))
    mebibytes = 4 * total.activations / 2**20
    lines.append(
      f'| `{name}` | {total.parameters:,} | {said.parameters} | '
      f'{total.macs:,} | {mebibytes:.2f} | {said.error} | {said.where} |'
    )
  lines += [
    '',
    '## VGG-16, layer by layer',
    '',
    '`python -m tools.summarize vgg_d`',
    '',
    '```',
    summarize.as_text(summarize.rows('vgg_d')),
    '```',
    '',
    "## GoogLeNet's modules without and with reductions",
    '',
    'Weights of Figure 2a (naive) and 2b at equal inputs:',
    '`python -m tools.summarize --inception`',
    '',
    '```',
    summarize.inception(),
    '```',
    '',
    'Stacked as a network, the naive modules feed each other ever more',
    'channels: `python -m tools.summarize --compare googlenet googlenet_naive`',
    '',
    '```',
    summarize.compare('googlenet', 'googlenet_naive'),
    '```',
  ]
  return '\n'.join(lines)


_FAMILIES = {
  'lenet5': 'LeNet-5',
  'alexnet': 'AlexNet',
  'zfnet': 'ZFNet',
  'vgg': 'VGG',
  'googlenet': 'GoogLeNet',
  'resnet': 'ResNet',
  'resnet_cifar': 'ResNet on CIFAR',
}


def layers() -> str:
  """Returns docs/layers.md: what `zoo.activations` and tools.features know."""
  lines = [
    '# Names of layers',
    '',
    'Written by `python -m tools.overview --layers > docs/layers.md`. They',
    "are the papers' names, by which [features](prediction.md#features) are",
    'asked for. A number is that of the channels, or of the units where the',
    "map is 1x1; maps are those of an image of the paper's size. States are",
    'those after the ReLU, or the squashing function, where the paper has one;',
    'of a module of GoogLeNet (`inception_3a`) its concatenated branches, of a',
    'block of ResNet (`conv2_1`) its sum after the ReLU. Of a config, with its',
    'size of image: `python -m tools.features --config=FILE.py --list`.',
    '',
    *(f'- [{title}](#{_slug(title)})' for title in _FAMILIES.values()),
  ]
  for family, title in _FAMILIES.items():
    lines += ['', f'## {title}']
    tables: dict[tuple[str, ...], list[str]] = {}
    for name in zoo.names(family):
      tables.setdefault(tuple(_table(name)), []).append(f'`{name}`')
    for table, names in tables.items():
      lines += ['', ', '.join(names) + ':', '', '| map | layers |', '|---|---|']
      lines += table
  return '\n'.join(lines)


def _slug(title):
  return title.lower().replace(' ', '-')


def _table(name) -> Iterator[str]:
  """Yields a row a size of map: the layers on it, from the input on."""
  shape = zoo.image_shape(name)
  network = zoo.create(name, num_classes=10 if shape[0] <= 32 else 1000)
  found = _without_repeats(network, shape)
  for (height, width), row in itertools.groupby(
    found, lambda layer: layer[1][:2]
  ):
    said = ', '.join(f'`{layer}` {shape[-1]}' for layer, shape in row)
    yield f'| {height}x{width} | {said} |'


_layer_shapes = functools.cache(zoo.layer_shapes)


def _without_repeats(network, shape):
  """Returns (name, shape) of layers; of equal blocks of a ResNet, 'a` to `b'.

  It is traced with one block a stage: 600 would take half a minute.
  """
  blocks = getattr(network, 'blocks', ())
  if blocks:
    network = network.clone(blocks=(1,) * len(blocks), scan=False)
  counts, found = iter(blocks), []
  for layer, size in _layer_shapes(network, shape).items():
    if blocks and layer.endswith('_1') and (count := next(counts)) > 1:
      layer = f'{layer}` to `{layer[:-1]}{count}'
    found.append((layer, size))
  return found


def main(arguments: list[str] | None = None) -> None:
  """Prints a page."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--layers', action='store_true', help='the names of their layers'
  )
  args = parser.parse_args(arguments)
  with usage.errors(OSError, ValueError), mesh.devices_by_name():
    if args.layers:
      print(layers())
    else:
      print(page())


if __name__ == '__main__':
  main()
