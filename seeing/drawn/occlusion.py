"""The picture of `occlusion`: maps over the places of a square."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seeing import drawing
from seeing.occlusion import Occluded

_SIDE = 2.3  # of a panel, inches
_COLOURS = 9  # classes that have one of their own; the rest is grey
_TEXT = 8  # points


class Row(NamedTuple):
  """An image and what was found.

  Args:
    title: of the image.
    example: uint8 [H, W, C], the image with the square somewhere.
    label: class whose probability is drawn.
    found: of it.
  """

  title: str
  example: np.ndarray
  label: int
  found: Occluded


def draw(rows: Sequence[Row], layer: str, names: Sequence[str]) -> Any:
  """Returns a figure: image, activity, probability, answers; a row an image.

  Args:
    rows: from top to bottom.
    layer: whose strongest map is drawn.
    names: of the classes.
  """
  figure = drawing.blank(4 * _SIDE + 3.2, (_SIDE + 0.25) * len(rows) + 0.2)
  grid = figure.subplots(len(rows), 4, squeeze=False)
  for row, panels in zip(rows, grid):
    found, name = row.found, drawing.shortened(names[row.label], 24)
    drawing.show(panels[0], row.example, vmin=0, vmax=255, extent=_whole(row))
    map_ = found.strongest
    activity = found.activity[..., map_]
    _heat(figure, panels[1], row, activity, found.plain_activity[map_])
    _heat(
      figure, panels[2], row, found.probabilities[..., row.label],
      found.plain_probabilities[row.label], vmin=0, vmax=1,
    )  # fmt: skip
    _classes(panels[3], row, names)
    titles = (
      f'{drawing.shortened(row.title, 20)}: {name}',
      f'activity of map {map_} of {layer}',
      f'probability of {name}',
      'most probable class',
    )
    for axes, title in zip(panels, titles):
      axes.set_title(drawing.plain(title), fontsize=_TEXT + 1, pad=3)
    panels[0].set_axis_on()
    panels[0].set(xticks=[], yticks=[])
  figure.supxlabel(
    'A value lies where the centre of the square was. '
    'Red on a bar: without the square.', fontsize=_TEXT,
  )  # fmt: skip
  return figure


def _whole(row):
  height, width = row.example.shape[:2]
  return (0, width, height, 0)


def _place(axes, row, picture, **more):
  """Draws a value where the centre of its square was; the image's axes."""
  found, extent = row.found, []
  for starts in (found.lefts, found.tops):
    half = found.square.side / 2
    step = (starts[-1] - starts[0]) / max(len(starts) - 1, 1) or 2 * half
    extent += [starts[0] + half - step / 2, starts[-1] + half + step / 2]
  left, right, top, bottom = extent
  drawn = axes.imshow(
    picture, extent=(left, right, bottom, top), interpolation='nearest', **more
  )
  _, width, height, _ = _whole(row)
  axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
  axes.set_facecolor('0.93')
  return drawn


def _heat(figure, axes, row, values, plain, **more):
  """Blue is low, as in the paper; a line on the bar: without the square."""
  if 'vmin' not in more:
    more = {'vmin': min(values.min(), plain), 'vmax': max(values.max(), plain)}
  drawn = _place(axes, row, values, cmap='viridis', **more)
  bar = figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.02, aspect=22)
  bar.ax.tick_params(labelsize=_TEXT - 1)
  bar.ax.axhline(plain, color='red', linewidth=1.6)


def _classes(axes, row, names):
  from matplotlib import colors, patches  # noqa: PLC0415  slow, and optional

  answers = row.found.answers
  classes, counts = np.unique(answers, return_counts=True)
  classes = classes[np.argsort(-counts, kind='stable')]
  kept = classes[:_COLOURS]
  number = np.full(row.found.probabilities.shape[-1], len(kept))
  number[kept] = np.arange(len(kept))
  palette = [f'C{i}' for i in (0, 1, 2, 3, 4, 5, 6, 8, 9)][: len(kept)]
  palette.append('C7')  # grey
  words = [drawing.plain(drawing.shortened(names[c], 26)) for c in kept]
  if len(classes) > len(kept):
    words.append(f'{len(classes) - len(kept)} others')
  _place(
    axes, row, number[answers], vmin=-0.5, vmax=len(kept) + 0.5,
    cmap=colors.ListedColormap(palette),
  )  # fmt: skip
  marks = [patches.Patch(color=c) for c in palette]
  axes.legend(
    marks[: len(words)], words, loc='upper left', bbox_to_anchor=(1.0, 1.03),
    fontsize=_TEXT, frameon=False, handlelength=1, handleheight=1,
  )  # fmt: skip
