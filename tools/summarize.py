"""Prints a network as a table, layer by layer: nothing is computed.

    python -m tools.summarize vgg_d
    python -m tools.summarize vgg_d --input=320x256 --json
    python -m tools.summarize --compare googlenet googlenet_naive
    python -m tools.summarize --inception
    python -m tools.summarize --page > docs/zoo.md
    python -m tools.summarize --chart=docs/ilsvrc.png

Columns: output shape; parameters; multiply-accumulates (without biases);
activation floats and bytes of one image, each map once and ReLU, normalisation
and concatenation in place (the count of Stanford's CS231n notes).
"""

import argparse
import json
import math
import sys
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

import zoo
from zoo import layers
from zoo.googlenet import TABLE_1


class Row(NamedTuple):
  """A layer; sizes are those of one image."""

  name: str
  output: tuple[int, ...]
  weights: int
  biases: int
  norm: int  # scale and offset of batch normalisation
  macs: int
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
  calls: list[tuple[nn.Module, tuple[int, ...]]] = []

  def watch(function, args, kwargs, context):
    out = function(*args, **kwargs)
    module = context.module
    if isinstance(module, layers.Layer) and context.method_name == '__call__':
      calls.append((module, out.shape[1:]))
    return out

  image = jax.ShapeDtypeStruct((1, height, width, channels), jnp.float32)
  with nn.intercept_methods(watch):
    params = jax.eval_shape(network.init, jax.random.key(0), image)['params']
  first = Row('input', image.shape[1:], 0, 0, 0, 0, math.prod(image.shape))
  return [first, *(_row(module, out, params) for module, out in calls)]


def _row(module, out, params):
  own = params
  for part in module.path:
    own = own.get(part, {})
  sizes = {k: v.size for k, v in own.items() if not isinstance(v, dict)}
  norm = sum(v.size for v in jax.tree.leaves(own)) - sum(sizes.values())
  weights = sizes.get('kernel', 0)
  # A weight is used once at every position, shared or not.
  uses = weights or getattr(module, 'fixed_weights', 0)
  macs = uses * math.prod(out[:-1])
  return Row(
    '/'.join(module.path), out, weights, sizes.get('bias', 0), norm, macs,
    math.prod(out),
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


def _size(text: str) -> tuple[int, int]:
  height, _, width = text.partition('x')
  return int(height), int(width)


def main(arguments: list[str] | None = None) -> None:
  """Prints what the arguments ask for."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('name', nargs='?', help='a network of the zoo')
  parser.add_argument('--input', type=_size, help='HEIGHTxWIDTH of the image')
  parser.add_argument('--json', action='store_true', help='for programs')
  parser.add_argument('--compare', nargs=2, metavar='NAME')
  parser.add_argument(
    '--inception', action='store_true', help="GoogLeNet's modules, 2a and 2b"
  )
  parser.add_argument('--page', action='store_true', help='docs/zoo.md')
  parser.add_argument('--chart', metavar='FILE.png', help='the ILSVRC picture')
  args = parser.parse_args(arguments)
  try:
    if args.compare:
      print(compare(*args.compare))
    elif args.inception:
      print(inception())
    elif args.page or args.chart:
      from tools import overview  # noqa: PLC0415  it imports this module

      if args.page:
        print(overview.page())
      if args.chart:
        overview.chart(args.chart)
    elif args.name is None:
      print('\n'.join(zoo.names()))
    elif args.json:
      table = rows(args.name, args.input)
      print(json.dumps([row._asdict() for row in [*table, total(table)]]))
    else:
      print(as_text(rows(args.name, args.input)))
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
  main()
