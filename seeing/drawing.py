"""Numbers as pictures. Needs matplotlib, which is imported when first drawn."""

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

_TITLE_SIZE = 8  # points
DPI = 110
_COLOURS = 128  # of a GIF


def blank(width: float, height: float) -> Any:
  """Returns a figure with nothing on it; sizes in inches."""
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  return Figure(figsize=(width, height), layout='constrained')


def show(axes: Any, picture: np.ndarray, title: str = '', **more) -> None:
  """Draws an image; grey ones dark on white, as the paper prints its ink."""
  if picture.ndim == 3 and picture.shape[-1] == 1:
    picture = picture[..., 0]
  if picture.ndim == 2:
    more = {'cmap': 'gray_r', **more}
  axes.imshow(picture, interpolation='nearest', **more)
  axes.set_axis_off()
  if title:
    axes.set_title(plain(title), fontsize=_TITLE_SIZE, pad=2)


def plain(text: str) -> str:
  """Dollars are dollars: matplotlib reads formulas between two of them.

  Names of folders that are no UTF-8 have surrogates, at which it fails.
  """
  return text.encode('utf-8', 'replace').decode().replace('$', r'\$')


def letters(inches: float) -> int:
  """Returns how many letters of a title have room."""
  return int(inches * 72 / (0.6 * _TITLE_SIZE))


def shortened(text: str, most: int) -> str:
  """Returns at most so many letters of a name."""
  return text if len(text) <= most else text[: max(most - 1, 1)] + '…'


class Frames(NamedTuple):
  """A picture that moves: uint8 [N, H, W, 3], as long each."""

  images: np.ndarray
  seconds: float  # a frame


def write(picture: Any, place: pathlib.Path) -> None:
  """Writes a figure, `Frames` as GIF, or the text of an SVG.

  Raises:
    OSError: it cannot be written.
  """
  if isinstance(picture, str):
    place.write_text(picture, encoding='utf-8')  # what an SVG is read as
  elif isinstance(picture, Frames):
    from PIL import Image  # noqa: PLC0415  as slow as matplotlib, its own need

    # One palette for all: with one each, colours flicker, and a third is added.
    sample = np.concatenate(picture.images[:: -(-len(picture.images) // 8)])
    found = Image.fromarray(sample).quantize(_COLOURS).getpalette() or []
    colours = np.array(found).reshape(-1, 3)
    # White is white; PIL drops the last bits of what it looks up.
    colours[colours.min(1) > 247] = 255
    palette = Image.new('P', (1, 1))
    palette.putpalette(colours.ravel().tolist())
    first, *rest = (
      Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
      for image in picture.images
    )
    first.save(
      place, save_all=True, append_images=rest, loop=0,
      duration=round(1000 * picture.seconds),
    )  # fmt: skip
  else:
    save(picture, place, DPI)


def save(figure: Any, place: pathlib.Path | IO[bytes], dpi: int) -> None:
  """Writes a figure as a picture; letters that no font has become boxes.

  Raises:
    OSError: it cannot be written.
  """
  with warnings.catch_warnings():
    warnings.filterwarnings('ignore', 'Glyph .* missing from')
    figure.savefig(place, dpi=dpi)


def sheet(
  images: np.ndarray,
  columns: int,
  titles: Sequence[str] = (),
  side: float = 0.6,
  lines: int = 1,
) -> Any:
  """Returns a figure of uint8 [N, H, W, C], row by row.

  Args:
    images: to show.
    columns: images a row.
    titles: one an image.
    side: of an image, inches.
    lines: of the longest title.
  """
  rows = -(-len(images) // columns)
  height = side + 0.18 * lines if titles else side
  figure = blank(side * columns, height * rows)
  grid = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in grid:
    axes.set_axis_off()
  for i, (axes, image) in enumerate(zip(grid, images)):
    show(axes, image, titles[i] if titles else '', vmin=0, vmax=255)
  return figure


def states(
  rows: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]],
) -> Any:
  """Returns a figure: an image a row, then a mosaic a layer.

  Args:
    rows: (title, uint8 [H, W, C], mosaics by layer).
  """
  layers = list(rows[0][2])
  figure = blank(1.5 * (1 + len(layers)), 1.7 * len(rows))
  grid = figure.subplots(len(rows), 1 + len(layers), squeeze=False)
  for (title, image, mosaics), line in zip(rows, grid):
    show(line[0], image, title, vmin=0, vmax=255)
    for axes, name in zip(line[1:], layers):
      show(axes, mosaics[name], name)
  return figure


def lines(
  panels: Sequence[tuple[str, str, Mapping[str, tuple]]], hline: float = -1.0
) -> Any:
  """Returns a figure of curves in percent, a panel beside the other.

  Args:
    panels: (label of x, label of y, {name: (x, fractions)}).
    hline: fraction at which a thin line lies; below 0 none.
  """
  figure = blank(4.2 * len(panels), 3.4)
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


_NUMBERED = 30  # classes up to which every count is written into its cell
_NAMED = 150  # and up to which every class is named
_TICKS = 50  # names on an axis where there are more
_LEAST = 0.1  # share of a label that is the darkest red, where none is larger


def confusion(
  counts: np.ndarray, names: Sequence[str], title: str, listed: Sequence[str]
) -> Any:
  """Returns a figure of a confusion matrix: right in blue, wrong in red.

  A colour is the share of the label's images; of the wrong ones by its root,
  so that a few of many are seen. Up to 30 classes the counts are written down;
  beyond 150 a cell is smaller than a dot, so that dots are drawn.

  Args:
    counts: int [classes, classes], images by label (row) and answer (column).
    names: of the classes.
    title: above all.
    listed: the commonest confusions in words, beside it.
  """
  classes = len(names)
  side = max(classes * (0.42 if classes <= _NUMBERED else 0.13), 3.2)
  side = min(side, 14.0)
  rows = [shortened(text, 62) for text in listed]
  beside = min(max(0.08 * max(map(len, rows), default=0), 1.8), 4.5)
  figure = blank(side + 2.6 + beside, side + 2.2)
  grid = figure.subplots(1, 2, width_ratios=(side + 2.6, beside))
  shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
  cell = 0.0 if classes <= _NAMED else 72 * side / classes
  _matrix(figure, grid[0], shares, cell)
  if classes <= _NUMBERED:
    _write_counts(grid[0], counts, shares)
  _name_axes(grid[0], names)
  figure.suptitle(plain(title), fontsize=10)
  grid[1].set_axis_off()
  most = int((side + 1.2) / 0.165)
  text = '\n'.join(['the commonest mistakes', '', *(rows[:most] or ['none'])])
  grid[1].text(0, 1, plain(text), va='top', fontsize=8, linespacing=1.3)
  return figure


def _matrix(figure, axes, shares, cell):
  """Draws the shares; as dots where a cell's side in points is given."""
  from matplotlib import colors  # noqa: PLC0415

  own = np.eye(len(shares), dtype=bool)
  wrong = np.where(own, 0, shares)
  norm = colors.PowerNorm(0.5, 0, max(wrong.max(), _LEAST))
  right = colors.Normalize(0, 1)
  dot = max(cell, 2.0)
  looks = (
    (np.where(wrong > 0, wrong, np.nan), 'Reds', norm, 'wrong', dot),
    (np.where(own, shares, np.nan), 'Blues', right, 'right', cell),
  )
  for values, name, scale, word, dot in looks:
    if cell:
      rows, columns = np.nonzero(~np.isnan(values))
      found = values[rows, columns]
      order = found.argsort(kind='stable')  # the largest on top
      drawn = axes.scatter(
        columns[order], rows[order], c=found[order], s=dot**2, marker='s',
        linewidths=0, cmap=_from_grey(name), norm=scale,
      )  # fmt: skip
    else:
      drawn = axes.imshow(values, cmap=name, norm=scale)
    bar = figure.colorbar(
      drawn, ax=axes, shrink=0.5, pad=0.01, aspect=30, format='{x:.0%}'
    )
    bar.set_label(f'{word}, share of the label', fontsize=8)
    bar.ax.tick_params(labelsize=7)
  axes.set_aspect('equal')
  axes.set(xlim=(-0.5, len(own) - 0.5), ylim=(len(own) - 0.5, -0.5))


def _from_grey(name):
  """The upper part of a map of colours: a dot is never as white as paper."""
  import matplotlib  # noqa: PLC0415
  from matplotlib import colors  # noqa: PLC0415

  shades = matplotlib.colormaps[name](np.linspace(0.25, 1, 256))
  return colors.ListedColormap(shades)


def _write_counts(axes, counts, shares):
  most = max((shares * (1 - np.eye(len(shares)))).max(), _LEAST)
  for (row, column), count in np.ndenumerate(counts):
    if count:
      dark = shares[row, column] > (0.6 if row == column else 0.4 * most)
      axes.text(
        column, row, f'{count:,}', ha='center', va='center', fontsize=7,
        color='white' if dark else 'black',
      )  # fmt: skip


def _name_axes(axes, names):
  step = 1 if len(names) <= _NAMED else -(-len(names) // _TICKS)
  ticks = list(range(0, len(names), step))
  size = 8 if len(names) <= _NUMBERED else 6
  shown = [plain(shortened(names[i], 24)) for i in ticks]
  axes.set_xticks(ticks, shown, rotation=90, fontsize=size)
  axes.set_yticks(ticks, shown, fontsize=size)
  axes.set_xlabel('answer')
  axes.set_ylabel('label')
