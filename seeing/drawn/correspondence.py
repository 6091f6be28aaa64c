"""The picture of `correspondence`: parts covered, and Table 1 as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seeing import drawing
from seeing.correspondence import Delta

_SIDE = 1.3  # of an image, inches
_TEXT = 8  # points
_BARS = 4.2  # width of the bars, inches


def draw(
  columns: Mapping[str, np.ndarray],
  titles: Sequence[str],
  table: Mapping[str, Mapping[str, Delta]],
) -> Any:
  """Returns a figure: images, each part of them covered; bars with spreads.

  Args:
    columns: uint8 [N, H, W, C] by name, the images as they are first; these
      have an axis of pixels, in which parts are given.
    titles: of the images.
    table: from `correspondence.measure`.
  """
  count = len(titles)
  tall = max(_SIDE * count, 2.8)
  figure = drawing.blank(_SIDE * len(columns) + 0.6 + _BARS, tall + 0.3)
  left, right = figure.subfigures(
    1, 2, width_ratios=(_SIDE * len(columns) + 0.6, _BARS)
  )
  grid = left.subplots(count, len(columns), squeeze=False)
  for number, (line, title) in enumerate(zip(grid, titles)):
    for axes, (name, images) in zip(line, columns.items()):
      image = images[number]
      height, width = image.shape[:2]
      drawing.show(axes, image, vmin=0, vmax=255, extent=(0, width, height, 0))
      axes.set_axis_on()
      if axes is not line[0]:
        axes.set(xticks=[], yticks=[])
      if not number:
        axes.set_title(
          drawing.plain(drawing.shortened(name, 20)), fontsize=_TEXT + 1
        )
    line[0].tick_params(labelsize=_TEXT - 2, length=2, pad=1)
    line[0].set_ylabel(
      drawing.plain(drawing.shortened(title, 16)), fontsize=_TEXT
    )
  _bars(right.subplots(), table)
  return figure


def _bars(axes, table):
  layers = list(next(iter(table.values())))
  wide = 0.8 / len(layers)
  for number, layer in enumerate(layers):
    cells = [row[layer] for row in table.values()]
    at = np.arange(len(cells)) + (number - (len(layers) - 1) / 2) * wide
    means, spreads = ([getattr(c, f) for c in cells] for f in Delta._fields[:2])
    below = np.minimum(means, spreads)  # a share is never below 0
    axes.bar(
      at, means, wide, yerr=(below, spreads), label=layer, capsize=3,
      error_kw={'linewidth': 0.8},
    )  # fmt: skip
  words = [drawing.plain(drawing.shortened(name, 16)) for name in table]
  axes.set_xticks(range(len(words)), words, fontsize=_TEXT)
  axes.tick_params(axis='y', labelsize=_TEXT - 1)
  axes.set_ylabel('share of features whose signs differ', fontsize=_TEXT)
  axes.set_title('Δ: the less, the more alike', fontsize=_TEXT + 1)
  axes.legend(title='layer', fontsize=_TEXT, title_fontsize=_TEXT)
  axes.grid(axis='y', alpha=0.3)
  axes.set_axisbelow(True)
