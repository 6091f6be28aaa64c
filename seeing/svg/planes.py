"""LeNet-5 as stacked planes: LeCun et al. 1998, Figure 2."""

from typing import NamedTuple

from seeing.architecture import Architecture
from seeing.svg.columns import described
from seeing.svg.elements import FAINT, Svg, fitting, joined

_PIXEL = 3.2  # of a plane, for one of the maps
_STEP = 5.0  # from plane to plane, both ways
_MOST = 24  # planes that are drawn of a layer
_APART = 46  # layers
_LEFT, _TOP = 30, 118
_LETTERS = 11
_PLANE, _WINDOW = '#eef4fc', '#e8743b'
_LINKS = {
  'conv': 'Convolutions',
  'dense': 'Full connection',
  'rbf': 'Gaussian connections',
  'subsampling': 'Subsampling',
  'max': 'Max pooling',
  'average': 'Average pooling',
}


class _Place(NamedTuple):
  """Where a layer is drawn: its frame, and its front plane."""

  x: float
  y: float
  width: float
  height: float
  front: tuple[float, float, float, float]  # x, y, width, height


def draw(network: Architecture) -> str:
  """Returns the SVG of a network whose form is planes."""
  svg = Svg()
  sizes = [_size(box) for box in network.boxes]
  middle = _TOP + max(height for _, height in sizes) / 2
  places, x = [], float(_LEFT)
  for box, (width, height) in zip(network.boxes, sizes):
    top = middle - height / 2
    front = _front(box, x, top, width, height)
    places.append(_Place(x, top, width, height, front))
    x += width + _APART
  for box, place in zip(network.boxes, places):
    _layer(svg, box, place)
    _name(svg, box, place)
  bottom = max(p.y + p.height for p in places) + 24
  for box, a, b in zip(network.boxes[1:], places, places[1:]):
    _link(svg, box, a, b)
    words = _LINKS[box.what or box.kind].split()
    between = (a.x + a.width / 2 + b.x + b.width / 2) / 2
    for i, word in enumerate(words):
      svg.text(between, bottom + 14 * i, word, _LETTERS)
  width = x - _APART + 50
  _title(svg, network, width)
  return svg.finish(width, bottom + 36, network.title)


def _title(svg, network, width):
  size = fitting(network.title, 16, width - 20)
  svg.text(width / 2, 24, network.title, size, font_weight='bold')
  said = f'{network.depth} layers, {network.parameters:,} parameters'
  svg.text(width / 2, 44, said, 11, fill=FAINT)


def _is_row(box):
  """Whether its units are drawn as one row, for want of maps."""
  return box.shape[:2] == (1, 1)


def _size(box) -> tuple[float, float]:
  """Returns the sides of a layer's frame."""
  height, width, channels = box.shape
  if _is_row(box):
    length = max(channels, 24)
    return 7 + 0.4 * length, 0.9 * length
  spread = _STEP * (min(channels, _MOST) - 1)
  return _PIXEL * width + spread, _PIXEL * height + spread


def _front(box, x, y, width, height):
  if _is_row(box):
    return x, y, width, height
  own = _PIXEL * box.shape[1], _PIXEL * box.shape[0]
  return x + width - own[0], y + height - own[1], *own


def _layer(svg, box, place):
  x, y, width, height, front = place
  tip = described(box)
  if _is_row(box):
    svg.polygon(
      [(x, y), (x + 7, y), (x + width, y + height),
       (x + width - 7, y + height)], tip, fill=_PLANE,
    )  # fmt: skip
    return
  for i in range(min(box.shape[-1], _MOST)):
    svg.rect(
      x + _STEP * i, y + _STEP * i, *front[2:], tip, fill=_PLANE,
      stroke_width=0.8,
    )  # fmt: skip


def _name(svg, box, place):
  """Above its layer, as 'C1' and '6@28×28'; a row as '120'."""
  name = box.name.upper()
  height, width, channels = box.shape
  said = f'{channels}@{joined(height, width)}'
  if _is_row(box):
    said = str(channels)
  elif box.kind == 'input' and channels == 1:
    said = joined(height, width)
  x = place.x + (7 if _is_row(box) else place.width / 2)
  svg.text(x, place.y - 27, name, 12, font_weight='bold')
  svg.text(x, place.y - 12, said, _LETTERS)


def _link(svg, box, a, b):
  """Lines from what one unit reads to it; from all to all where it is so."""
  if box.kind in ('dense', 'rbf'):
    right = a.front[0] + a.front[2]
    start = right - a.width + 7 if box.takes[:2] == (1, 1) else right
    for line in (
      (start, a.front[1], b.x, b.y),
      (right, a.front[1] + a.front[3], b.x + b.width - 7, b.y + b.height),
    ):
      svg.path('M', *line[:2], 'L', *line[2:], stroke=FAINT, stroke_width=0.9)
    return
  side = _PIXEL * box.size
  x, y, width, height = a.front
  x, y = x + 0.6 * (width - side), y + 0.35 * (height - side)
  svg.rect(x, y, side, side, fill='none', stroke=_WINDOW, stroke_width=1.2)
  to_x = b.front[0] + 0.25 * b.front[2]
  to_y = b.front[1] + 0.4 * b.front[3]
  for start_y in (y, y + side):
    svg.path(
      'M', x + side, start_y, 'L', to_x, to_y, stroke=_WINDOW, stroke_width=0.8
    )  # fmt: skip
  svg.rect(to_x, to_y - 1.5, 3, 3, fill=_WINDOW, stroke='none')
  if box.kind == 'conv':
    svg.text(
      x + side / 2, y + side + 9, joined(box.size, box.size), 9, fill=_WINDOW
    )  # fmt: skip
