"""A chain of layers as boxes of maps: AlexNet, Figure 2; ZFNet, Figure 3.

A box is what a convolution gives: its height and depth are those of the maps,
its thickness their number; not to scale, but larger is larger. Where layers
have groups it is cut into towers, as over the paper's two GPUs. Pools and
normalisations stand below the box that they read.
"""

import math
from typing import NamedTuple

from seeing.architecture import Architecture
from seeing.layer_boxes import Box
from seeing.svg.columns import described
from seeing.svg.elements import FAINT, Svg, fitting, joined

_SLANT = 0.34  # of the sides that go to the back, both ways
_FEW = 10  # layers up to which windows are drawn
_LETTERS = 10.5
_CAPTION = 32  # of a layer, below
_ROOM, _ROOM_DENSE = 128, 74  # of the captions of a group
_LEFT, _TOP = 40, 80
_FRONT, _SIDE, _ABOVE = '#e4eefb', '#c9dcf3', '#f2f7fd'
_WINDOW = '#e8743b'


class _Volume(NamedTuple):
  """A layer's maps in one tower: the front's upper left corner, its sides."""

  box: Box
  tower: int
  towers: int
  x: float
  y: float
  thick: float
  high: float
  back: float  # how far it goes to the right and up

  @property
  def middle(self) -> float:
    """Of the front."""
    return self.y + self.high / 2


def draw(network: Architecture) -> str:
  """Returns the SVG of a network whose form is volumes."""
  groups = _groups(network.boxes)
  few = sum(_has_weights(box) for box in network.boxes) <= _FEW
  layers, starts, width = _place(groups, few)
  svg = Svg()
  bottom = max(v.y + v.high for layer in layers for v in layer) + 40
  for layer, after in zip(layers, (*layers[1:], [])):
    for volume in layer:
      _volume(svg, volume, few, first=volume.x in starts)
    if after and (few or after[0].x in starts):
      _links(svg, layer, after, few)
  for x, end, group in zip(starts, (*starts[1:], width), groups):
    _caption(svg, x, bottom, end - x - 8, group)
  _title(svg, network, width)
  height = bottom + _CAPTION * max(map(len, groups))
  return svg.finish(width, height, network.title)


def _has_weights(box):
  return box.kind in ('conv', 'dense')


def _groups(boxes) -> list[list[Box]]:
  """Returns the image, convolutions up to their pool, each dense layer."""
  groups: list[list[Box]] = []
  for box in boxes:
    last = groups[-1][-1].kind if groups else 'input'
    ended = box.kind == 'conv' and last != 'conv'
    if ended or box.kind in ('input', 'dense'):
      groups.append([])
    groups[-1].append(box)
  return groups


def _place(groups, few) -> tuple[list[list[_Volume]], list[float], float]:
  """Returns volumes by layer and tower, where groups start, and the width."""
  towers = max(box.groups for group in groups for box in group)
  drawn = [box for group in groups for box in group if _is_drawn(box)]
  parts = {box.name: _towers_of(box, drawn, towers) for box in drawn}
  sizes = {box.name: _sides(box, parts[box.name]) for box in drawn}
  pitch = 34 + max(
    (high + back for box in drawn for _, high, back in [sizes[box.name]]
     if parts[box.name] == towers), default=0.0,
  )  # fmt: skip
  tallest = max(high + back for _, high, back in sizes.values())
  middle = _TOP + max(towers * pitch, tallest) / 2
  layers, starts, x = [], [], float(_LEFT)
  for group in groups:
    starts.append(x)
    for box in filter(_is_drawn, group):
      thick, high, back = sizes[box.name]
      count = parts[box.name]
      layers.append(
        [
          _Volume(
            box, tower, count, x,
            middle + (tower - (count - 1) / 2) * pitch + (back - high) / 2,
            thick, high, back,
          )
          for tower in range(count)
        ]
      )  # fmt: skip
      x += thick + (0.55 * back + 40 if few else 7)
    last = layers[-1][0]
    end = last.x + last.thick + last.back + 34
    room = _ROOM if any(box.kind == 'conv' for box in group) else _ROOM_DENSE
    x = max(end, starts[-1] + room)
  return layers, starts, x


def _is_drawn(box):
  return box.kind == 'input' or _has_weights(box)


def _towers_of(box, drawn, towers) -> int:
  """The image and the classes belong to all towers."""
  return 1 if box in (drawn[0], drawn[-1]) else towers


def _sides(box, towers) -> tuple[float, float, float]:
  """Returns thickness, height and depth; roots, so that all can be seen."""
  channels = 2.2 * math.sqrt(box.shape[-1] / towers)
  if box.shape[:2] == (1, 1):
    return 10.0, channels, 8.0
  height, width = (14 * math.sqrt(side) for side in box.shape[:2])
  return channels, height, _SLANT * width


def _volume(svg, volume, few, first):
  box, x, y = volume.box, volume.x, volume.y
  thick, high, back = volume.thick, volume.high, volume.back
  tip, right, top = described(box), x + thick, y - back
  svg.polygon(
    [(x, y), (x + back, top), (right + back, top), (right, y)], fill=_ABOVE
  )  # fmt: skip
  svg.polygon(
    [(right, y), (right + back, top), (right + back, top + high),
     (right, y + high)], fill=_SIDE,
  )  # fmt: skip
  svg.rect(x, y, thick, high, tip, fill=_FRONT, stroke_width=0.8)
  channels = str(_channels(volume))
  svg.text(x + thick / 2, y + high + 9, channels, _LETTERS)
  if box.shape[:2] == (1, 1):
    return
  if first:
    # Where no line from another tower arrives.
    label = y + high - 8 if volume.tower else y + 8
    svg.text(x - 4, label, str(box.shape[0]), _LETTERS, text_anchor='end')
  if few:
    svg.text(
      right + back / 2 + 5, y + high - back / 2 + 6, str(box.shape[1]),
      _LETTERS, text_anchor='start',
    )  # fmt: skip


def _channels(volume):
  """Returns how many maps this tower has."""
  box = volume.box
  return box.shape[-1] // volume.towers


def _links(svg, sources, targets, few):
  """Draws who reads whom; across towers where a layer has no groups."""
  for source in sources:
    for target in targets:
      one = len(sources) == 1 or len(targets) == 1
      crosses = not one and source.tower != target.tower
      if crosses and target.box.groups > 1:
        continue
      dashes = {'stroke_dasharray': '3 3'} if crosses else {}
      if few and target.box.kind == 'conv':
        _cone(svg, source, target, dashes)
      else:
        start = source.x + source.thick + source.back / 2
        svg.arrow(
          'M', start + 2, source.middle - source.back / 2, 'L', target.x - 2,
          target.middle, stroke=FAINT, **dashes,
        )  # fmt: skip


def _cone(svg, source, target, dashes):
  """Draws a window on the side of a volume, and lines to what it becomes."""
  box = target.box
  share = box.size / max(box.takes[0], box.size)
  high, back = max(share * source.high, 5), max(share * source.back, 3)
  x = source.x + source.thick + (source.back - back) / 2
  y = source.middle - source.back / 2 + back / 2 - high / 2
  corners = [
    (x, y), (x + back, y - back), (x + back, y - back + high), (x, y + high)
  ]  # fmt: skip
  svg.polygon(corners, fill='none', stroke=_WINDOW, stroke_width=1.2)
  for corner in corners[1:3]:
    svg.path(
      'M', *corner, 'L', target.x, target.middle, stroke=_WINDOW,
      stroke_width=0.7, **dashes,
    )  # fmt: skip
  said = joined(box.size, box.size)
  if source.towers < target.towers:
    if not target.tower:  # once, though read by several
      svg.text(
        x + back + 2, y - back - 7, said, 9, fill=_WINDOW, text_anchor='end'
      )  # fmt: skip
  elif not dashes:  # below the lower line, where no volume is
    start, low = x + back, y - back + high
    middle = (source.x + source.thick + source.back + target.x) / 2
    share = (middle - start) / (target.x - start)
    below = low + share * (target.middle - low) + 9
    svg.text(middle, below, said, 9, fill=_WINDOW)


def _caption(svg, x, y, room, boxes):
  for i, box in enumerate(boxes):
    top = y + i * _CAPTION
    lines = f'{box.name} {says(box)}'.strip(), joined(*box.shape)
    for line, below, weight in zip(lines, (0, 13), ('bold', 'normal')):
      svg.text(
        x, top + below, line, fitting(line, _LETTERS, room),
        text_anchor='start', font_weight=weight,
      )  # fmt: skip
    # Pools and normalisations are nowhere else.
    svg.rect(
      x, top - 8, room, 28, described(box), fill_opacity=0, stroke='none'
    )


def says(box: Box) -> str:
  """Returns what a layer does, beside its name."""
  stride = f' /{box.stride}' if box.stride > 1 else ''
  groups = f', {box.groups} groups' if box.groups > 1 else ''
  words = {
    'input': '',
    'conv': f'{joined(box.size, box.size)}{stride}{groups}',
    'dense': 'dense',
    'pool': f'{box.what} {joined(box.size, box.size)}{stride}',
    'norm': box.what,
  }
  return words[box.kind]


def _title(svg, network, width):
  size = fitting(network.title, 16, width - 20)
  svg.text(width / 2, 24, network.title, size, font_weight='bold')
  said = f'{network.depth} layers, {network.parameters:,} parameters'
  svg.text(width / 2, 44, said, 11, fill=FAINT)
  note = 'sides and thickness are not to scale'
  if max(box.groups for box in network.boxes) > 1:
    note += '; dashed: from the other half of the channels'
  svg.text(width / 2, 60, note, fitting(note, 10, width - 20), fill=FAINT)
