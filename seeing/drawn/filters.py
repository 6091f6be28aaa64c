"""Kernels as a picture, each weight a square of whole pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seeing import drawing

_WIDE = 880  # pixels that the kernels fill, at most
_LARGEST = 24  # pixels a weight
_MARGIN = 10  # pixels
_LINE = 26  # pixels, of a title
_TITLE = 8  # points


def towers(mosaics: Sequence[np.ndarray], titles: Sequence[str]) -> Any:
  """Returns a figure: parts below each other, apart, with a line above each.

  Args:
    mosaics: float [H, W, C] from 0 to 1, of one size, NaN where it is white. Of
      one channel: as all grey pictures here, what is large is dark.
    titles: one a mosaic.
  """
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  height, width, channels = mosaics[0].shape
  zoom = max(min(_WIDE // width, _LARGEST), 1)
  step = zoom * height + _LINE + _MARGIN
  letters = 0.75 * _TITLE * drawing.DPI / 72 * max(map(len, titles))
  wide = max(zoom * width, round(letters)) + 2 * _MARGIN
  high = step * len(mosaics)
  figure = Figure(figsize=(wide / drawing.DPI, high / drawing.DPI))
  for i, (mosaic, title) in enumerate(zip(mosaics, titles)):
    top = i * step + _LINE
    axes = figure.add_axes(
      (
        _MARGIN / wide,
        1 - (top + zoom * height) / high,
        zoom * width / wide,
        zoom * height / high,
      )
    )
    large = np.kron(mosaic, np.ones((zoom, zoom, 1)))
    axes.imshow(
      large[..., 0] if channels == 1 else np.nan_to_num(large, nan=1.0),
      cmap='gray_r', vmin=0, vmax=1, interpolation='nearest',
    )  # fmt: skip
    axes.set_axis_off()
    axes.set_title(title, fontsize=_TITLE, loc='left', pad=4)
  return figure
