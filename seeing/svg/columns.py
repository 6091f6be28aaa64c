"""Networks as columns of layers, side by side: ResNet, Figure 3."""

from collections.abc import Sequence
from typing import NamedTuple

from seeing.architecture import Architecture
from seeing.layer_boxes import Box
from seeing.svg.elements import FAINT, TIMES, Svg, fitting, joined

_WIDE, _HIGH = 150, 20  # of a box
_GAP = 11  # below a box
_JOINT = 18  # around a sum
_FORK = 6  # more below a box where a shortcut begins
_LEFT, _TOP = 84, 74  # where the first column begins
_ARC = 46  # how far a shortcut leaves the column
_BETWEEN = 120  # columns
_WORDS = 60  # what is said of a projection, beside its arc
_LETTERS = 11
# Of stages, from large maps to small ones.
_COLOURS = (
  '#fdebd3', '#e6dcf1', '#d9edd4', '#f8dada', '#d6e6f5', '#f3efc9', '#dff0ee',
)  # fmt: skip


class _Band(NamedTuple):
  """Part of the picture in which all maps have one size."""

  size: tuple[int, ...]
  boxes: list[list[Box]]  # of each column


def draw(networks: Sequence[Architecture]) -> str:
  """Returns the SVG; where sizes fall in all columns they are aligned."""
  svg = Svg()
  columns = [_drawn_boxes(network) for network in networks]
  bands = _bands(columns)
  projects = any(e.through for network in networks for e in network.edges)
  pitch = _WIDE + _BETWEEN + _WORDS * projects
  middles = [_LEFT + _WIDE / 2 + i * pitch for i in range(len(networks))]
  width = middles[-1] + _WIDE / 2 + _ARC + 60
  for network, x in zip(networks, middles):
    _title(svg, network, x, pitch - 16)
  forks = [
    {edge.source for edge in network.edges if edge.shortcut}
    for network in networks
  ]
  tops, places = _place(bands, forks)
  _sizes(svg, bands, tops, width)
  for i, (network, x) in enumerate(zip(networks, middles)):
    own = {name: y for (column, name), y in places.items() if column == i}
    _arrows(svg, network, columns[i], own, x)
    for band, colour in zip(bands, _colours(len(bands))):
      _boxes(svg, band.boxes[i], own, x, colour)
    _repeats(svg, columns[i], own, x)
  height = tops[-1] + _legend(svg, networks, tops[-1] + 16, width - 20)
  title = ', '.join(network.title for network in networks)
  return svg.finish(width, height, title)


def _colours(count):
  return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


def _drawn_boxes(network) -> list[Box]:
  """Returns the boxes of a column: a module of GoogLeNet is one."""
  if network.form != 'graph':
    return [b for b in network.boxes if b.kind != 'projection']
  modules = tuple(b.name for b in network.boxes if b.kind == 'concat')
  beside = (*(f'{name}_' for name in modules), 'aux', 'softmax')
  return [b for b in network.boxes if not b.name.startswith(beside)]


def _bands(columns) -> list[_Band]:
  """Returns the sizes of maps that any column has, and its boxes there.

  A single column may have a size twice, as where maps grow again; of several,
  sizes that do not fall go where they belong by their size.
  """
  if len(columns) == 1:
    bands: list[_Band] = []
    for box in columns[0]:
      if not bands or bands[-1].size != box.shape[:2]:
        bands.append(_Band(box.shape[:2], [[]]))
      bands[-1].boxes[0].append(box)
    return bands
  sizes = sorted({b.shape[:2] for boxes in columns for b in boxes})[::-1]
  return [
    _Band(size, [[b for b in c if b.shape[:2] == size] for c in columns])
    for size in sizes
  ]


def _place(bands, forks):
  """Returns the upper ends of bands and the last one's lower one; middles."""
  tops, places, top = [], {}, float(_TOP)
  for band in bands:
    tops.append(top)
    ends = []
    for column, sources in enumerate(forks):
      y = top + 10
      for box in band.boxes[column]:
        if box.kind == 'sum':
          places[column, box.name] = y
          y += _JOINT
        else:
          places[column, box.name] = y + _HIGH / 2
          y += _HIGH + _GAP + _FORK * (box.name in sources)
      ends.append(y)
    top = max(ends) + 1
  return [*tops, top], places


def _title(svg, network, x, room):
  size = fitting(network.title, 14, room)
  svg.text(x, 24, network.title, size, font_weight='bold')
  said = f'{network.depth} layers, {network.parameters:,} parameters'
  svg.text(x, 43, said, fitting(said, 10.5, room), fill=FAINT)


def _sizes(svg, bands, tops, width):
  svg.text(_LEFT - 46, tops[0] - 8, 'output size', 9, fill=FAINT)
  for band, top, below in zip(bands, tops, tops[1:]):
    if top > tops[0]:
      svg.path(
        'M', 10, top, 'H', width - 10, stroke=FAINT, stroke_dasharray='3 4',
        stroke_width=0.7,
      )  # fmt: skip
    svg.text(_LEFT - 46, (top + below) / 2, joined(*band.size), 11)


def says(box: Box) -> str:
  """Returns what the paper's figure writes into a box."""
  channels = box.shape[-1]
  window = joined(box.size, box.size)
  stride = f', /{box.stride}' if box.stride > 1 else ''
  groups = f', {box.groups} groups' if box.groups > 1 else ''
  words = {
    'input': f'image, {channels}',
    'conv': f'{window} conv, {channels}{stride}{groups}',
    'dense': f'fc {channels}',
    'pool': f'{window} {box.what} pool{stride}',
    'norm': f'{box.what}',
    'rbf': f'RBF {channels}',
    'concat': f'{box.name.replace("_", " ")}, {channels}',
  }
  if box.what == 'subsampling':
    return f'{window} subsampling{stride}'
  if box.what == 'average' and box.shape[:2] == (1, 1):
    return 'avg pool'
  return words.get(box.kind, f'{box.what} {box.name}, {channels}')


def _boxes(svg, boxes, places, x, colour):
  for box in boxes:
    y, tip = places[box.name], described(box)
    if box.kind == 'sum':
      svg.add(
        'circle', '', tip, cx=x, cy=y, r=4.5, fill='white', stroke='black'
      )
      svg.path('M', x - 3, y, 'H', x + 3, 'M', x, y - 3, 'V', y + 3)
      continue
    flat = box.kind in ('input', 'norm', 'pool')
    svg.rect(
      x - _WIDE / 2, y - _HIGH / 2, _WIDE, _HIGH, tip, rx=3,
      fill='white' if flat else colour,
    )  # fmt: skip
    said = says(box)
    svg.text(x, y, said, fitting(said, _LETTERS, _WIDE - 8))


def described(box: Box) -> str:
  """Returns name, shape and parameters, for who points at a box."""
  each = ' each' if box.times > 1 else ''
  more = f', {box.parameters:,} parameters{each}' if box.parameters else ''
  return f'{box.name}: {joined(*box.shape)}{more}'


def _edge_of(box, y, down):
  """Where a line ends at a box, from above or below."""
  half = 4.5 if box.kind == 'sum' else _HIGH / 2
  return y + half if down else y - half


def _arrows(svg, network, boxes, places, x):
  for a, b in zip(boxes, boxes[1:] if network.form != 'layers' else ()):
    start = _edge_of(a, places[a.name], True)
    svg.arrow('M', x, start, 'V', _edge_of(b, places[b.name], False))
  kinds = {box.name: box for box in network.boxes}
  for edge in (e for e in network.edges if e.shortcut):
    start = places[edge.source] + 9
    if kinds[edge.source].kind != 'sum':
      start = _edge_of(kinds[edge.source], places[edge.source], True) + 4
    end, right = places[edge.target], x + _WIDE / 2
    svg.arrow(
      'M', x, start, 'H', right, 'C', right + _ARC, start + 4, right + _ARC,
      end - 4, right, end, 'H', x + 5,
      tip=_said_of(edge, kinds), data_shortcut=edge.target,
      **{'stroke_dasharray': '2 3'} if edge.changes else {},
    )  # fmt: skip
    if edge.through:
      box = kinds[edge.through]
      said = f'{joined(1, 1)}, {box.shape[-1]}' + f', /{box.stride}' * (
        box.stride > 1
      )
      svg.text(
        right + 0.75 * _ARC + 4, (start + end) / 2, said, 9,
        text_anchor='start',
      )  # fmt: skip


def _said_of(edge, boxes):
  if edge.through:
    return described(boxes[edge.through])
  before, after = boxes[edge.source].shape, boxes[edge.target].shape
  return f'shortcut: {joined(*before)} to {joined(*after)}'


def _repeats(svg, boxes, places, x):
  """A bracket on the left of what stands for several blocks."""
  names = [box.name.partition('/')[0] for box in boxes]
  for name in dict.fromkeys(n for n, b in zip(names, boxes) if b.times > 1):
    own = [b for n, b in zip(names, boxes) if n == name]
    places_of = [places[b.name] for b in own]
    top, below = min(places_of) - _HIGH / 2, max(places_of) + 5
    left = x - _WIDE / 2
    svg.path('M', left - 5, top, 'H', left - 11, 'V', below, 'H', left - 5)
    said = f'{TIMES} {own[0].times}'
    svg.text(
      left - 15, (top + below) / 2, said, 11, text_anchor='end',
      font_weight='bold',
    )  # fmt: skip


def _legend(svg, networks, y, room) -> float:
  """Says what dots mean; returns how high it is."""
  cuts = [e for network in networks for e in network.edges if e.shortcut]
  lines = []
  if any(e.changes and not e.through for e in cuts):
    lines.append('dotted: the shape changes, zeros are added for new channels')
  if any(e.through for e in cuts):
    lines.append(f'numbers at a shortcut: its projection, {joined(1, 1)}')
  if any(network.form == 'layers' for network in networks):
    lines.append('layers in order of execution')
  for i, line in enumerate(lines):
    svg.text(
      10, y + 15 * i, line, fitting(line, 10, room),
      text_anchor='start', fill=FAINT,
    )  # fmt: skip
  return 24 + 15 * len(lines) if lines else 14
