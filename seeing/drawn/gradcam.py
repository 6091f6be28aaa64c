"""Images beside where in them a class is seen, as heat."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seeing import gradcam

_LARGE = 64  # pixels from which an image is drawn large
_PALE = 400  # black ink under heat: black would be no colour of the scale


class Row(NamedTuple):
  """An image, what it is called, and its maps by layer."""

  title: str
  answer: str
  image: np.ndarray  # uint8 [H, W, C]
  maps: Mapping[str, np.ndarray]  # float32 [h, w]


def heat(rows: Sequence[Row]) -> Any:
  """Returns a figure: an image a row, then its heat a layer."""
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  layers = list(rows[0].maps)
  side = 2.2 if rows[0].image.shape[0] >= _LARGE else 1.6
  figure = Figure(
    figsize=(side * (1 + len(layers)) + 0.8, (side + 0.25) * len(rows)),
    layout='constrained',
  )
  grid = figure.subplots(len(rows), 1 + len(layers), squeeze=False)
  drawn: Any = None
  for row, line in zip(rows, grid):
    _show(line[0], row.image, row.title)
    for axes, layer in zip(line[1:], layers):
      _show(axes, row.image, f'{row.answer}, {layer}', _PALE)
      large = gradcam.enlarged(row.maps[layer], row.image.shape)
      drawn = axes.imshow(large, cmap='turbo', vmin=0, vmax=1, alpha=0.55)
  bar = figure.colorbar(
    drawn, ax=grid, shrink=min(1.0, 2 / len(rows)), aspect=25, pad=0.02
  )
  bar.set_label("share of the map's largest value", fontsize=7)
  bar.ax.tick_params(labelsize=7)
  return figure


def _show(axes, image, title, darkest=255):
  grey = image.shape[-1] == 1
  axes.imshow(
    image[..., 0] if grey else image, vmin=0, vmax=darkest,
    cmap='gray_r' if grey else None, interpolation='nearest',
  )  # fmt: skip
  axes.set_axis_off()
  axes.set_title(title, fontsize=8, pad=3, parse_math=False)
