"""A network whose layers fork and join, as a graph: GoogLeNet, Figure 3.

From the image down, where the paper's goes up. Its modules are all alike, so
that a grid does better than a layout that is searched for. The paper has
conv2_reduce as (V), the other 1x1 layers as (S): for these it is the same.
"""

from typing import NamedTuple

from seeing.architecture import Architecture
from seeing.layer_boxes import Box
from seeing.svg.columns import described
from seeing.svg.elements import FAINT, Svg, fitting, joined

_WIDE, _HIGH = 118, 34  # of a box
_PITCH = 134  # of the branches of a module
_GAP = 18  # between boxes of the trunk
_FAN = 30  # below what several branches read, and above what joins them
_LEFT, _TOP = 26, 96.0
_TRUNK = _LEFT + 2 * _PITCH
_HEAD = _TRUNK + 2 * _PITCH + 84  # middle of the auxiliary heads
_MODULE = '#f3f5f7'
_COLOURS = {
  'conv': '#cfe0f5',
  'dense': '#cfe0f5',
  'pool': '#f6cfcf',
  'norm': '#d3ebd0',
  'concat': '#d3ebd0',
  'softmax': '#faecb0',
}
# The branch of a module where a layer stands, and whether it is above another.
_BRANCHES = {
  '1x1': (0, False),
  '3x3_reduce': (1, True),
  '3x3': (1, False),
  '5x5_reduce': (2, True),
  '5x5': (2, False),
  'pool': (3, True),
  'pool_proj': (3, False),
}


class _Area(NamedTuple):
  """Where a module is."""

  name: str
  top: float
  below: float


def draw(network: Architecture) -> str:
  """Returns the SVG of a network whose form is a graph."""
  svg = Svg()
  places, areas, bottom = _place(network)
  heads = any(box.name.startswith('aux') for box in network.boxes)
  width = (_HEAD + _WIDE / 2 if heads else _TRUNK + 2 * _PITCH) + 24
  _title(svg, network)
  for area in areas:
    svg.rect(
      _TRUNK - 2 * _PITCH, area.top, 4 * _PITCH, area.below - area.top,
      fill=_MODULE, stroke='none', rx=8,
    )  # fmt: skip
    svg.text(
      _TRUNK - 2 * _PITCH + 10, area.below - 16, area.name.replace('_', ' '),
      12, text_anchor='start', font_weight='bold',
    )  # fmt: skip
  for edge in network.edges:
    _line(svg, places[edge.source], places[edge.target])
  for box in network.boxes:
    _box(svg, box, *places[box.name])
  return svg.finish(width, bottom + 16, network.title)


def _title(svg, network):
  size = fitting(network.title, 16, 4 * _PITCH)
  svg.text(_TRUNK, 24, network.title, size, font_weight='bold')
  said = f'{network.depth} layers, {network.parameters:,} parameters'
  svg.text(_TRUNK, 44, said, 11, fill=FAINT)
  note = (
    'size+stride; (S): as many outputs as strides, (V): fewer; then the '
    'channels'
  )
  svg.text(_TRUNK, 61, note, 10, fill=FAINT)


def _place(network):
  """Returns middles by name, the areas of modules, and the lower end."""
  places: dict[str, tuple[float, float]] = {}
  areas: list[_Area] = []
  y, head = _TOP, 0.0
  boxes = network.boxes
  modules = [box.name for box in boxes if box.kind == 'concat']
  for box in boxes:
    module = next((m for m in modules if box.name.startswith(m)), '')
    if module and box.name != module:
      y = _in_module(box, module, boxes, places, areas, y)
    elif box.kind == 'concat':
      area = areas[-1]
      places[box.name] = _TRUNK, area.below - 8 - _HIGH / 2
      y = area.below + _GAP + _HIGH / 2
    elif box.name.startswith('aux') or box.name in ('softmax0', 'softmax1'):
      if box.name.endswith('avgpool'):
        head = y + _HIGH / 2 + 6  # below the line that leaves the trunk
      places[box.name] = _HEAD, head
      head += _HIGH + _GAP
    else:
      places[box.name] = _TRUNK, y
      y += _HIGH + _GAP
  bottom = max(y for _, y in places.values()) + _HIGH / 2
  return places, areas, bottom


def _in_module(box, module, boxes, places, areas, y):
  """Places a layer of a module; returns where the trunk goes on."""
  two = any(b.name == f'{module}_pool_proj' for b in boxes)
  if not areas or areas[-1].name != module:
    rows = 2 if two else 1
    top = y - _HIGH / 2 - 6
    height = 6 + _FAN + rows * _HIGH + (rows - 1) * _GAP + _FAN + _HIGH + 8
    areas.append(_Area(module, top, top + height))
  branch, above = _BRANCHES[box.name.removeprefix(f'{module}_')]
  row = 1 if two and not above else 0
  places[box.name] = (
    _TRUNK + (branch - 1.5) * _PITCH,
    areas[-1].top + 6 + _FAN + _HIGH / 2 + row * (_HIGH + _GAP),
  )
  return y


def _line(svg, start, end):
  """From a box to one that is below it, or to a head beside the trunk."""
  (x, y), (to_x, to_y) = start, end
  if x == _TRUNK and to_x == _HEAD:
    svg.arrow('M', x + _WIDE / 2, y, 'H', to_x, 'V', to_y - _HIGH / 2)
    return
  y, to_y = y + _HIGH / 2, to_y - _HIGH / 2
  if x == to_x:
    svg.arrow('M', x, y, 'V', to_y)
  elif x == _TRUNK:  # curved where it leaves, then down to the layer
    knee = y + _GAP + _FAN
    svg.arrow(
      'M', x, y, 'C', x, y + 26, to_x, knee - 26, to_x, knee - 2, 'V', to_y
    )  # fmt: skip
  else:
    svg.arrow('M', x, y, 'C', x, y + 18, to_x, to_y - 18, to_x, to_y)


def _box(svg, box, x, y):
  svg.rect(
    x - _WIDE / 2, y - _HIGH / 2, _WIDE, _HIGH, described(box), rx=4,
    fill=_COLOURS.get(box.kind, 'white'),
  )  # fmt: skip
  first, second = says(box)
  room = _WIDE - 8
  if not second:
    svg.text(x, y, first, fitting(first, 11.5, room))
    return
  svg.text(x, y - 7.5, first, fitting(first, 11.5, room))
  svg.text(x, y + 7.5, second, fitting(second, 10.5, room))
  if x == _TRUNK and box.kind in ('conv', 'pool'):
    svg.text(
      x + _WIDE / 2 + 8, y, joined(*box.shape), 10.5, text_anchor='start',
      fill=FAINT,
    )  # fmt: skip


def says(box: Box) -> tuple[str, str]:
  """Returns the two lines in a box, as the paper's figure has them."""
  shape = joined(*box.shape)
  window = f'{joined(box.size, box.size)}+{box.stride}({box.padding})'
  name = {'max': 'MaxPool', 'average': 'AveragePool'}.get(box.what, box.what)
  words = {
    'input': ('input', shape),
    'conv': ('Conv', f'{window}, {box.shape[-1]}'),
    'dense': ('FC', str(box.shape[-1])),
    'pool': (name, window),
    'norm': ('LocalRespNorm', shape),
    'concat': ('DepthConcat', shape),
    'softmax': (box.name, ''),
  }
  return words[box.kind]
