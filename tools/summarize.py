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

import json
from typing import Any

import zoo
from runtime import mesh
from tools import ilsvrc_chart, usage
from zoo.counts import Row, rows_of, total
from zoo.googlenet import TABLE_1


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
