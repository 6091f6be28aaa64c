"""Curves of runs as a picture: training thin, test bold, a colour a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seeing.curves import Curve

_LABELS = {
  'step': 'steps',
  'pass': 'passes through the training set',
  'examples': 'training examples seen',
  'size': 'size of the training set',
}
_THIN, _BOLD = 0.8, 2.0  # as in ResNet's Figure 4
_STYLES = '-', '--', ':', '-.'  # of metrics that would look the same


def panel_of(metric: str) -> str:
  """Returns which panel has a metric: errors share one, and losses."""
  return next((word for word in ('error', 'loss') if word in metric), metric)


def curves(found: Sequence[Curve], by: str, top: float = 0.0) -> Any:
  """Returns a figure, a panel beside the other for what has another unit.

  Errors are in percent. By size of the training set hollow squares are for
  training with an augmentation, as in LeNet-5's Figure 6.

  Args:
    found: what is drawn.
    by: what their x is.
    top: upper end of y, of errors as a fraction; 0: what is there.
  """
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  names = list(dict.fromkeys(curve.name for curve in found))
  colours = dict(zip(names, _colours(len(names)), strict=True))
  panels = list(dict.fromkeys(panel_of(curve.metric) for curve in found))
  figure = Figure(figsize=(5.6 * len(panels), 4.0), layout='constrained')
  grid = figure.subplots(1, len(panels), squeeze=False)[0]
  for axes, panel in zip(grid, panels):
    shown = [curve for curve in found if panel_of(curve.metric) == panel]
    _panel(axes, shown, by, colours)
    axes.set_ylim(0, (100 if panel == 'error' else 1) * top or None)
  return figure


def _panel(axes, shown, by, colours):
  from matplotlib import ticker  # noqa: PLC0415

  metrics = sorted({curve.metric for curve in shown}, key=_training_first)
  looks = {metric: _look(metric, metrics) for metric in metrics}
  errors = panel_of(metrics[0]) == 'error'
  for curve in shown:
    axes.plot(
      curve.x, (100 if errors else 1) * np.asarray(curve.y, float),
      color=colours[curve.name], **looks[curve.metric], **_marks(by, curve),
    )  # fmt: skip
  said = metrics[0] if len(metrics) == 1 else panel_of(metrics[0])
  axes.set_xlabel(_LABELS[by])
  axes.set_ylabel(said + ', %' * errors)
  axes.locator_params(axis='x', integer=True, nbins=6)
  axes.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,.0f}'))
  axes.set_xlim(left=0)
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  _legend(axes, shown, looks, by, colours)


def _training_first(metric):
  return not metric.startswith('train/'), metric


def _look(metric, metrics):
  """Returns how the lines of a metric look among others."""
  part = metric.partition('/')[0]
  alike = [m for m in metrics if m.partition('/')[0] == part]
  return {
    'linewidth': _THIN if part == 'train' else _BOLD,
    'linestyle': _STYLES[alike.index(metric) % len(_STYLES)],
  }


def _legend(axes, shown, looks, by, colours):
  """A colour a run; how each metric is drawn, where there are several."""
  from matplotlib.lines import Line2D  # noqa: PLC0415

  handles = []
  for name in dict.fromkeys(curve.name for curve in shown):
    said = name or 'without augmentation'
    marks = _marks(by, Curve(name, '', (), ()))
    handles.append(Line2D([], [], color=colours[name], label=said, **marks))
  if len(looks) > 1:
    parts = [metric.partition('/')[0] for metric in looks]
    for metric, look in looks.items():
      part = metric.partition('/')[0]
      words = {'train': 'training', 'eval': 'test'}
      said = words.get(part, metric) if parts.count(part) == 1 else metric
      handles.append(Line2D([], [], color='black', label=said, **look))
  legend = axes.legend(handles=handles, fontsize=8, frameon=False)
  for text in legend.get_texts():
    text.set_parse_math(False)  # dollars are dollars


def _marks(by, curve):
  """Hollow squares are the paper's sign for distorted training."""
  if by != 'size':
    # A single value, as of a short run, is no line.
    return {'marker': 'o'} if len(curve.y) == 1 else {}
  small = curve.metric.startswith('train/')  # as the line is thin
  look = {
    'markersize': 4 if small else 7,
    'markeredgewidth': _THIN if small else _BOLD,
  }
  if curve.name:
    return {'marker': 's', 'markerfacecolor': 'none', **look}
  return {'marker': 'o', **look}


def _colours(count):
  """Returns colours: those that are told apart best, or shades of many."""
  import matplotlib  # noqa: PLC0415

  if count <= 10:
    return list(matplotlib.colormaps['tab10'](np.arange(count)))
  return list(matplotlib.colormaps['turbo'](np.linspace(0.03, 0.97, count)))
