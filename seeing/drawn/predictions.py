"""Images with the bars of what is thought of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seeing import drawing

_RIGHT, _OTHER = '#e0705f', '#7fa6d6'  # red and blue on which black is read
_WIDE = 1.75  # inches
_BAR = 0.16  # inches of height
_LETTERS = 7  # points


class Shown(NamedTuple):
  """An image and what is thought of it.

  Args:
    image: uint8 [H, W, C].
    title: below it: the label, or the name of a file.
    names: of the most probable classes, the most probable first.
    probabilities: theirs, 0 to 1.
    right: number among `names` of the one that is right; -1: none is.
  """

  image: np.ndarray
  title: str
  names: Sequence[str]
  probabilities: Sequence[float]
  right: int


def bars(shown: Sequence[Shown], columns: int) -> Any:
  """Returns a figure: row by row an image, its title, a bar a class."""
  rows = -(-len(shown) // columns)
  most = max(len(s.names) for s in shown)
  heights = [_WIDE, _BAR * most + 0.15] * rows
  figure = drawing.blank(_WIDE * columns, sum(heights) + 0.3 * rows)
  grid = figure.subplots(
    2 * rows, columns, squeeze=False, height_ratios=heights
  )
  for axes in grid.ravel():
    axes.set_axis_off()
  for i, one in enumerate(shown):
    row, column = divmod(i, columns)
    drawing.show(grid[2 * row, column], one.image, vmin=0, vmax=255)
    _bars(grid[2 * row + 1, column], one, most)
  return figure


def _bars(axes, one, most):
  width = int(_WIDE * 72 / (0.52 * _LETTERS))
  axes.set_axis_on()
  axes.set_title(
    drawing.plain(drawing.shortened(one.title, width - 2)),
    fontsize=_LETTERS + 1, weight='bold', pad=3,
  )  # fmt: skip
  at = range(len(one.names))
  colours = [_RIGHT if i == one.right else _OTHER for i in at]
  axes.barh(at, one.probabilities, height=0.85, color=colours)
  for i, (name, p) in enumerate(zip(one.names, one.probabilities)):
    name = drawing.plain(drawing.shortened(name, width - 8))
    for x, text, side in ((0.02, name, 'left'), (0.99, f'{p:.0%}', 'right')):
      axes.text(x, i, text, ha=side, va='center_baseline', fontsize=_LETTERS)
  axes.set(xlim=(0, 1), ylim=(most - 0.45, -0.55), xticks=[], yticks=[])
  for spine in axes.spines.values():
    spine.set(linewidth=0.6, color='grey')
