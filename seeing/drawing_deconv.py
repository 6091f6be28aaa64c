"""What maps respond to, as ZFNet's Figures 2 and 4; computes nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seeing.deconv import Seen, contrast

_CELL = 72  # pixels, at least, of a projection or patch
_GAP = 4  # between them
_SIDE = 3  # of a block, nine images
_TITLE = 8  # points
_WHITE = 255
_LINE = 170, 185, 205  # between cells: neither paper nor grey


def blocks(seen: Seen, titles: Sequence[str], title: str) -> Any:
  """Returns a figure: a block a map, projections left, their patches right.

  Args:
    seen: with nine images a map; where a map is 0, nothing is drawn.
    titles: one a map.
    title: above all.
  """
  count = len(titles)
  columns = min(2 if count <= 4 else 3, count)
  rows = -(-count // columns)
  figure = _figure(4.4 * columns, 0.3 + 2.45 * rows)
  figure.get_layout_engine().set(wspace=0.05, hspace=0.05)
  figure.suptitle(title, fontsize=_TITLE + 2)
  grid = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in grid:
    axes.set_axis_off()
  for i, (axes, text) in enumerate(zip(grid, titles)):
    off = seen.values[i] == 0
    halves = [
      _square([_enlarged(_ink(p), o) for p, o in zip(pictures, off)])
      for pictures in (map(contrast, seen.projections[i]), seen.patches[i])
    ]
    gap = np.full((len(halves[0]), 2 * _GAP, 3), _WHITE, np.uint8)
    axes.imshow(np.hstack([halves[0], gap, halves[1]]), interpolation='nearest')
    axes.set_title(text, fontsize=_TITLE, pad=3)
  return figure


def evolution(
  seen: Sequence[Seen], steps: Sequence[str], names: Sequence[str], title: str
) -> Any:
  """Returns a figure: a map a row, a checkpoint a column.

  Args:
    seen: one a checkpoint, with one image a map.
    steps: what to call the checkpoints.
    names: of the maps.
    title: above all.
  """
  wide = max(0.8 + 0.9 * len(steps), 0.075 * len(title))
  figure = _figure(wide, 0.6 + 0.9 * len(names))
  figure.suptitle(title, fontsize=_TITLE + 1)
  grid = figure.subplots(len(names), 1, squeeze=False).ravel()
  for i, (axes, name) in enumerate(zip(grid, names)):
    cells = [
      _enlarged(_ink(contrast(s.projections[i, 0])), s.values[i, 0] == 0)
      for s in seen
    ]
    axes.imshow(_row(cells), interpolation='nearest')
    axes.set_ylabel(name, rotation=0, ha='right', va='center', fontsize=_TITLE)
    apart = len(cells[0]) + _GAP
    middles = [_GAP + (n + 0.5) * apart - _GAP / 2 for n in range(len(cells))]
    axes.set_xticks(middles, steps if i == 0 else [''] * len(steps))
    axes.set_yticks([])
    axes.tick_params(
      length=0, labeltop=True, labelbottom=False, labelsize=_TITLE
    )
    axes.spines[:].set_visible(False)
  return figure


def _figure(width, height):
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  return Figure(figsize=(width, height), layout='constrained')


def _ink(picture):
  """Grey pictures are dark on white, as `drawing` has them; uint8 RGB."""
  if picture.shape[-1] == 1:
    return np.repeat(_WHITE - picture, 3, -1)
  return picture


def _enlarged(picture, off):
  """Pixels as squares, as many of them as make a cell; white: nothing."""
  times = max(-(-_CELL // len(picture)), 1)
  picture = picture.repeat(times, 0).repeat(times, 1)
  return np.full_like(picture, _WHITE) if off else picture


def _row(cells: Sequence[np.ndarray]) -> np.ndarray:
  gap = np.full((len(cells[0]), _GAP, 3), _LINE, np.uint8)
  return np.hstack([gap, *(part for cell in cells for part in (cell, gap))])


def _square(cells: Sequence[np.ndarray]) -> np.ndarray:
  rows = [_row(cells[i : i + _SIDE]) for i in range(0, len(cells), _SIDE)]
  gap = np.full((_GAP, rows[0].shape[1], 3), _LINE, np.uint8)
  return np.vstack([gap, *(part for row in rows for part in (row, gap))])
