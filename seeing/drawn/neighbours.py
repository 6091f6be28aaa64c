"""Images, each beside those that are near to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seeing import drawing

_SIDE = 1.1  # inches
_COLOURS = {True: '#2e8b57', False: '#c8372d', None: '#888888'}


class Tile(NamedTuple):
  """An image with its class; `same`: whether it is the query's, if known."""

  image: np.ndarray  # uint8 [H, W, C]
  title: str
  same: bool | None = None


def grid(rows: Sequence[Sequence[Tile]]) -> Any:
  """Returns a figure: a row a query, which comes first, apart from the rest.

  The frame of what was found says whether it is of the query's class: green,
  or red and dashed, for eyes that do not tell these.
  """
  columns = len(rows[0])
  widths = [1, 0.12, *[1] * (columns - 1)]
  figure = drawing.blank(_SIDE * sum(widths), (_SIDE + 0.2) * len(rows))
  axes = figure.subplots(
    len(rows), columns + 1, squeeze=False, width_ratios=widths
  )
  for row, line in zip(rows, axes):
    line[1].set_axis_off()
    for i, (tile, one) in enumerate(zip(row, np.delete(line, 1))):
      _tile(one, tile, i == 0)
  return figure


def _tile(axes, tile, first):
  title = drawing.shortened(tile.title, drawing.letters(_SIDE))
  drawing.show(axes, tile.image, title, vmin=0, vmax=255)
  if first:
    axes.title.set_weight('bold')
    return
  colour = _COLOURS[tile.same]
  axes.set_axis_on()
  axes.set(xticks=[], yticks=[])
  for spine in axes.spines.values():
    spine.set(color=colour, linewidth=0.5 if tile.same is None else 1.8)
    spine.set_linestyle('--' if tile.same is False else '-')
