"""Prints a network as a table, layer by layer: nothing is computed.

    python -m tools.summarize vgg_d
    python -m tools.summarize vgg_d --input=320x256 --json
    python -m tools.summarize --compare googlenet googlenet_naive
    python -m tools.summarize --inception
    python -m tools.summarize --chart=ilsvrc.png

Columns: output shape; parameters; multiply-accumulates (without biases);
activation floats and bytes of one image, each map once and ReLU, normalisation
and concatenation in place (the count of Stanford's CS231n notes). Without a
name it lists the networks. --chart draws error, depth and parameters of ILSVRC
over the years; it needs pip install matplotlib.

Of a network that is not in the zoo, in Python:

    print(summarize.as_text(summarize.rows_of(module, (224, 224, 3))))
"""

import collections
import json
import math
from typing import Any, NamedTuple

import flax.linen as nn
from flax import traverse_util

import zoo
from runtime import mesh
from seeing import layer_boxes
from tools import ilsvrc_chart, usage
from zoo import layers
from zoo.googlenet import TABLE_1


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


def rows(
  name: str,
  size: tuple[int, int] | None = None,
  num_classes: int | None = None,
  **overrides: Any,
) -> list[Row]:
  """Returns the layers of a network in order of execution.

  Args:
    name: of the zoo.
    size: (height, width) of the image; the paper's by default.
    num_classes: the paper's by default.
    **overrides: options of the network.

  Raises:
    ValueError: unknown name or option, or an image that is too small.
  """
  height, width, channels = zoo.image_shape(name)
  if num_classes is None:
    num_classes = 1000 if height > 32 else 10
  height, width = size or (height, width)
  network = zoo.create(name, num_classes=num_classes, **overrides)
  return rows_of(network, (height, width, channels))


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
  calls, params = layer_boxes.calls_of(network, image_shape)
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


def as_text(table: list[Row]) -> str:
  """Returns the table for a terminal."""
  lines = [('layer', 'output', 'parameters', 'MACs', 'floats', 'bytes')]
  for row in [*table, total(table)]:
    lines.append(
      (
        row.name,
        'x'.join(map(str, row.output)),
        f'{row.parameters:,}',
        f'{row.macs:,}',
        f'{row.activations:,}',
        f'{4 * row.activations:,}',
      )
    )
  return _aligned(lines)


def _aligned(lines):
  widths = [max(map(len, column)) for column in zip(*lines)]
  return '\n'.join(
    '  '.join(
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(line, widths))
    ).rstrip()
    for line in lines
  )


def compare(first: str, second: str) -> str:
  """Returns the totals of two networks and their ratios."""
  a, b = total(rows(first)), total(rows(second))
  lines = [('', first, second, 'ratio')]
  for field in ('parameters', 'macs', 'activations'):
    x, y = getattr(a, field), getattr(b, field)
    lines.append((field, f'{x:,}', f'{y:,}', f'{y / x:.2f}'))
  return _aligned(lines)


def inception() -> str:
  """Returns Figure 2a against 2b of GoogLeNet, module by module.

  Both read the input of the real network, so it is the weights of a module that
  are compared, without biases.
  """
  sizes = {'3': 28, '4': 14, '5': 7}
  lines = [('module', 'input', 'naive', 'reduced', 'ratio', 'ratio of MACs')]
  channels, sums = 192, [0, 0, 0, 0]
  for name, m in TABLE_1.items():
    naive = channels * (m.c1x1 + 9 * m.c3x3 + 25 * m.c5x5)
    reduced = channels * (m.c1x1 + m.reduce3x3 + m.reduce5x5 + m.pool_proj)
    reduced += 9 * m.reduce3x3 * m.c3x3 + 25 * m.reduce5x5 * m.c5x5
    side = sizes[name[0]]
    now = [naive, reduced, naive * side**2, reduced * side**2]
    sums = [a + b for a, b in zip(sums, now)]
    lines.append((name, f'{side}x{side}x{channels}', *_ratios(now)))
    channels = m.c1x1 + m.c3x3 + m.c5x5 + m.pool_proj
  lines.append(('sum', '', *_ratios(sums)))
  return _aligned(lines)


def _ratios(values):
  naive, reduced, naive_macs, reduced_macs = values
  return (
    f'{naive:,}',
    f'{reduced:,}',
    f'{naive / reduced:.2f}',
    f'{naive_macs / reduced_macs:.2f}',
  )


def chart(path: str) -> None:
  """Draws the networks of ILSVRC over the years; as `ilsvrc_chart.draw`.

  Parameters are those of evaluation: without auxiliary heads.
  """
  with usage.needs('matplotlib'):
    import matplotlib  # noqa: PLC0415, F401
  parameters = {
    entry.name: sum(
      row.parameters
      for row in rows(entry.name)
      if not row.name.startswith('aux')
    )
    for entry in ilsvrc_chart.ENTRIES
    if entry.name
  }
  ilsvrc_chart.draw(parameters, path)


def _size(text: str) -> tuple[int, int]:
  height, _, width = text.partition('x')
  return int(height), int(width)


def main(arguments: list[str] | None = None) -> None:
  """Prints what the arguments ask for."""
  parser = usage.parser(__name__)
  parser.add_argument('name', nargs='?', help='a network of the zoo')
  parser.add_argument('--input', type=_size, help='HEIGHTxWIDTH of the image')
  parser.add_argument('--json', action='store_true', help='for programs')
  parser.add_argument(
    '--compare', nargs=2, metavar='NAME', help='totals of two, and ratios'
  )
  parser.add_argument(
    '--inception', action='store_true', help="GoogLeNet's modules, 2a and 2b"
  )
  parser.add_argument(
    '--chart', metavar='FILE.png', help='draws ILSVRC over the years'
  )
  args = parser.parse_args(arguments)
  with usage.errors(OSError, ValueError), mesh.devices_by_name():
    if args.chart:
      chart(args.chart)
      print(f'written to {args.chart}')
    elif args.compare:
      print(compare(*args.compare))
    elif args.inception:
      print(inception())
    elif args.name is None:
      print('\n'.join(zoo.names()))
    elif args.json:
      table = rows(args.name, args.input)
      print(json.dumps([row._asdict() for row in [*table, total(table)]]))
    else:
      print(as_text(rows(args.name, args.input)))


if __name__ == '__main__':
  main()
