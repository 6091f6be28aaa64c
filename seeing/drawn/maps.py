"""States of layers while an image moves."""

from collections.abc import Mapping, Sequence

import numpy as np

from seeing import drawing
from seeing.drawing import Frames

_SECONDS = 0.12  # a frame
_DPI = 80
_SIDE = 1.35  # inches of a panel
_PER_ROW = 8  # panels
_GREYS = 16  # of a map: a file of few colours is small
_BARS = 10  # classes whose bars are drawn
_LETTERS = 14  # of a class's name


def frames(
  images: np.ndarray,
  titles: Sequence[str],
  mosaics: Mapping[str, np.ndarray],
  probabilities: np.ndarray,
  names: Sequence[str],
) -> Frames:
  """Returns a picture that moves: image, a mosaic a layer, bars of classes.

  A layer has one scale of grey for all frames, else it would flicker; the bars
  are of the ten classes that are the most probable ones in some frame.

  Args:
    images: uint8 [N, H, W, C].
    titles: above each of them.
    mosaics: float [N, h, w] by layer.
    probabilities: float [N, classes].
    names: of the classes.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

  panels = 2 + len(mosaics)
  columns = min(panels, _PER_ROW)
  rows = -(-panels // columns)
  figure = drawing.blank(_SIDE * columns, (_SIDE + 0.25) * rows)
  figure.set_dpi(_DPI)
  canvas = FigureCanvasAgg(figure)
  first, *others = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in others[len(mosaics) + 1 :]:
    axes.set_axis_off()
  drawing.show(first, images[0], _end(titles[0]), vmin=0, vmax=255)
  pictures = [first.images[0]]
  for axes, (layer, states) in zip(others, mosaics.items()):
    low, high = np.nanmin(states), np.nanmax(states)
    drawing.show(axes, _few(states[0], low, high), layer, vmin=0, vmax=1)
    pictures.append(axes.images[0])
  classes = np.argsort(-probabilities.max(0), kind='stable')[:_BARS]
  classes.sort()
  bars = _bars(others[len(mosaics)], [names[c] for c in classes])
  drawn = []
  for i, title in enumerate(titles):
    first.set_title(drawing.plain(_end(title)), fontsize=8, pad=2)
    pictures[0].set_data(images[i].squeeze())
    for picture, states in zip(pictures[1:], mosaics.values()):
      low, high = np.nanmin(states), np.nanmax(states)
      picture.set_data(_few(states[i], low, high))
    answer = probabilities[i].argmax()
    for bar, c in zip(bars, classes):
      bar.set_width(probabilities[i, c])
      bar.set_color('#e0705f' if c == answer else '#7fa6d6')
    canvas.draw()
    drawn.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    figure.set_layout_engine('none')  # as it lies, so that nothing jumps
  return Frames(np.stack(drawn), _SECONDS)


def _end(title):
  """Its end, where the change stands, if all has no room above an image."""
  room = drawing.letters(_SIDE)
  return title if len(title) <= room else '…' + title[1 - room :]


def _few(state, low, high):
  steps = _GREYS - 1
  return np.round(steps * (state - low) / ((high - low) or 1)) / steps


def _bars(axes, names):
  axes.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xticks=[], yticks=[])
  axes.set_title('probability', fontsize=8, pad=2)
  for i, name in enumerate(names):
    text = drawing.plain(drawing.shortened(name, _LETTERS))
    axes.text(0.03, i, text, fontsize=6.5, va='center_baseline')
  return axes.barh(range(len(names)), np.zeros(len(names)), height=0.85)
