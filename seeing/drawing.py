"""Numbers as pictures. Needs matplotlib, which is imported when first drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def _figure(width, height):
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  return Figure(figsize=(width, height), layout='constrained')


def _show(axes, picture, title='', **more):
  """Draws an image; grey ones dark on white, as the paper prints its ink."""
  if picture.ndim == 3 and picture.shape[-1] == 1:
    picture = picture[..., 0]
  if picture.ndim == 2:
    more = {'cmap': 'gray_r', **more}
  axes.imshow(picture, interpolation='nearest', **more)
  axes.set_axis_off()
  if title:
    axes.set_title(title, fontsize=8, pad=2)


def sheet(images: np.ndarray, columns: int, titles: Sequence[str] = ()) -> Any:
  """Returns a figure of uint8 [N, H, W, C], row by row."""
  rows = -(-len(images) // columns)
  figure = _figure(0.6 * columns, (0.78 if titles else 0.6) * rows)
  grid = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in grid:
    axes.set_axis_off()
  for i, (axes, image) in enumerate(zip(grid, images)):
    _show(axes, image, titles[i] if titles else '', vmin=0, vmax=255)
  return figure


def states(
  rows: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]],
) -> Any:
  """Returns a figure: an image a row, then a mosaic a layer.

  Args:
    rows: (title, uint8 [H, W, C], mosaics by layer).
  """
  layers = list(rows[0][2])
  figure = _figure(1.5 * (1 + len(layers)), 1.7 * len(rows))
  grid = figure.subplots(len(rows), 1 + len(layers), squeeze=False)
  for (title, image, mosaics), line in zip(rows, grid):
    _show(line[0], image, title, vmin=0, vmax=255)
    for axes, name in zip(line[1:], layers):
      _show(axes, mosaics[name], name)
  return figure


def lines(
  panels: Sequence[tuple[str, str, Mapping[str, tuple]]], hline: float = -1.0
) -> Any:
  """Returns a figure of curves in percent, a panel beside the other.

  Args:
    panels: (label of x, label of y, {name: (x, fractions)}).
    hline: fraction at which a thin line lies; below 0 none.
  """
  figure = _figure(4.2 * len(panels), 3.4)
  for axes, (x, y, curves) in zip(
    figure.subplots(1, len(panels), squeeze=False)[0], panels
  ):
    for name, (values, fractions) in curves.items():
      axes.plot(values, 100 * np.asarray(fractions), label=name, linewidth=1.3)
    if hline >= 0:
      axes.axhline(100 * hline, color='grey', linewidth=0.7, linestyle=':')
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
      axes.legend(fontsize=8)
  return figure
