"""The picture of `invariance`: images as they change, and three curves each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seeing import drawing, invariance
from seeing.invariance import Curves

MOST = 10  # lines that can be told apart
_SHOWN = 5  # amounts of a change
_TEXT = 8  # points
_LABELS = {
  'shift': 'vertical translation, pixels down',
  'scale': 'scale, factor',
  'rotate': 'rotation, degrees',
}


def draw(
  images: np.ndarray, names: Sequence[str], curves: Mapping[str, Curves]
) -> Any:
  """Returns a figure: a change a row; images, two layers, probability.

  Args:
    images: uint8 [N, H, W, C], N at most `MOST`.
    names: of the images.
    curves: by the change's name, as `invariance.sweeps` has them.
  """
  tall = max(2.3, 0.42 * len(images))
  figure = drawing.blank(12.6, (tall + 0.4) * len(curves))
  grid = figure.subplots(len(curves), 4, squeeze=False)
  for number, (panels, (change, found)) in enumerate(zip(grid, curves.items())):
    _images(panels[0], images, names, change, found.values)
    for axes, (layer, distances) in zip(panels[1:], found.distances.items()):
      _lines(axes, found.values, distances, change)
      axes.set_ylim(bottom=0)
      if not number:
        axes.set_title(
          f"{layer}: $|f(x') - f(x)|\\,/\\,|f(x)|$", fontsize=_TEXT + 1
        )
    _lines(panels[3], found.values, found.probabilities, change)
    panels[3].set_ylim(-0.03, 1.03)
  grid[0][3].set_title('probability of its class', fontsize=_TEXT + 1)
  return figure


def _lines(axes, values, rows, change):
  for number, row in enumerate(rows):
    axes.plot(values, row, color=f'C{number}', linewidth=1.2)
  axes.set_xlabel(_LABELS[change], fontsize=_TEXT)
  axes.tick_params(labelsize=_TEXT - 1)
  axes.set_xlim(values[0], values[-1])
  if change == 'rotate':
    axes.set_xticks(range(0, 361, 60))
  axes.grid(alpha=0.3)


def _images(axes, images, names, change, values):
  """Draws each image a row at some amounts, its name in its line's colour."""
  at = np.linspace(0, len(values) - 1, _SHOWN).round().astype(int)
  move = invariance.moved(change)
  height, width = images.shape[1:3]
  gap = max(width // 20, 1)
  columns = [move(images, v) for v in values[at]]
  padding = ((0, 0), (0, gap), (0, gap), (0, 0))
  framed = [
    np.pad(c, padding, constant_values=_paper(images)).reshape(
      -1, width + gap, images.shape[-1]
    )
    for c in columns
  ]
  drawing.show(axes, np.concatenate(framed, 1), vmin=0, vmax=255)
  axes.set_axis_on()
  for side in axes.spines.values():
    side.set_visible(False)
  axes.tick_params(length=0, labelsize=_TEXT, pad=2)
  steps = np.arange(_SHOWN) * (width + gap) + width / 2
  axes.set_xticks(steps, [f'{v:g}' for v in values[at]])
  rows = np.arange(len(images)) * (height + gap) + height / 2
  words = [drawing.plain(drawing.shortened(name, 18)) for name in names]
  axes.set_yticks(rows, words)
  for number, label in enumerate(axes.get_yticklabels()):
    label.set_color(f'C{number}')
  axes.set_xlabel(_LABELS[change], fontsize=_TEXT)


def _paper(images):
  """White: grey images are drawn dark on white."""
  return 0 if images.shape[-1] == 1 else 255
