"""Draws curves of runs, from their metrics.jsonl.

    python -m tools.plot_runs --out=curves.png WORKDIR WORKDIR ...
    python -m tools.plot_runs --metric=eval/top1_error --out=error.png runs/*

--by=pass counts passes through the training set, and prints the numbers; means
since the last line are then means of a pass, as in LeNet-5's Figure 5. Errors
are drawn in percent.
--by=examples draws the last value of each run against the size of its training
set, as Figure 6; runs with an augmentation are points of another kind.

Needs pip install matplotlib. The label of a curve is its directory's name.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from runtime import run_log, storage
from runtime.workdir import read_config, train_examples
from tools import usage


class Curve(NamedTuple):
  """A metric of a run: x is a step, a number of passes, or of examples."""

  name: str
  metric: str
  x: Sequence[float]
  y: Sequence[float]


def read(workdir: str, metric: str) -> tuple[list[int], list[float]]:
  """Returns the steps and values of a metric in a run.

  Raises:
    FileNotFoundError: no metrics.jsonl there.
    ValueError: no line of it has the metric; names those that it has.
  """
  file = storage.path(workdir) / 'metrics.jsonl'
  file.stat()  # raises where there is none, for which there are no lines
  rows, _ = run_log.read_lines(file)
  found = [(row['step'], row[metric]) for row in rows if metric in row]
  if not found:
    known = sorted({name for row in rows for name in row} - {'step'})
    raise ValueError(f"{workdir} has no '{metric}', but {', '.join(known)}")
  steps, values = zip(*found, strict=True)
  return list(steps), list(values)


def _examples(workdir) -> int:
  """Returns the size of a run's training set."""
  place = storage.path(workdir)
  found = train_examples(place)
  if not found:
    raise ValueError(
      f'{place / "classes.json"} does not say how many examples were trained '
      'on: it was written before runs recorded that. Any start of the run adds '
      'it'
    )
  return found


def by_pass(workdir: str, metric: str) -> Curve:
  """Returns a metric by the number of passes.

  Means since the last line become one mean a pass, over its steps; other
  metrics keep all their values. Raises as `read`.
  """
  steps, values = read(workdir, metric)
  batch = read_config(storage.path(workdir))['train']['batch_size']
  a_pass = _examples(workdir) / batch  # in steps
  name = pathlib.Path(workdir).name
  if '/mean_' not in metric:
    return Curve(name, metric, [s / a_pass for s in steps], values)
  sums: dict[int, list[float]] = {}
  for before, step, value in zip([0, *steps], steps, values):
    number = int((step - 1) // a_pass) + 1
    total = sums.setdefault(number, [0.0, 0.0])
    total[0] += value * (step - before)
    total[1] += step - before
  means = [value / steps for value, steps in sums.values()]
  return Curve(name, metric, [float(n) for n in sums], means)


def by_examples(workdirs: list[str], metric: str) -> list[Curve]:
  """Returns the last values by the size of the training set.

  A curve without augmentation, and one for each augmentation. Raises as `read`.
  """
  points: dict[str, list[tuple[int, float]]] = {}
  for workdir in workdirs:
    values = by_pass(workdir, metric).y
    kind = read_config(storage.path(workdir))['train']['augment']
    points.setdefault(kind, []).append((_examples(workdir), values[-1]))
  return [
    Curve(
      '' if kind == 'none' else kind, metric, *map(list, zip(*sorted(found)))
    )
    for kind, found in points.items()
  ]


def curves(workdirs: list[str], metrics: list[str], by: str) -> list[Curve]:
  """Returns what is drawn, in order; raises as `read`."""
  if by == 'examples':
    return [c for metric in metrics for c in by_examples(workdirs, metric)]
  if by == 'pass':
    return [by_pass(w, metric) for w in workdirs for metric in metrics]
  return [
    Curve(pathlib.Path(w).name, metric, *read(w, metric))
    for w in workdirs
    for metric in metrics
  ]


def draw(workdirs: list[str], metrics: list[str], by: str, out: str) -> None:
  """Writes the picture; raises as `read` before anything is written.

  Raises:
    UserError: matplotlib is not installed.
  """
  with usage.needs('matplotlib'):
    import matplotlib.pyplot as plt  # noqa: PLC0415

  found = curves(workdirs, metrics, by)
  figure, axes = plt.subplots(figsize=(6, 4), layout='constrained')
  for curve in found:
    label = ' '.join(
      filter(None, (curve.name, curve.metric if len(metrics) > 1 else ''))
    )
    factor = 100 if 'error' in curve.metric else 1
    axes.plot(
      curve.x,
      [factor * y for y in curve.y],
      label=label or curve.metric,
      linewidth=0.8 if curve.metric.startswith('train/') else 1.6,
      **_marks(by, curve),
    )
  axes.locator_params(axis='x', integer=True)
  axes.set(xlabel=_X[by], ylabel=', '.join(metrics), ylim=(0, None))
  if any('error' in metric for metric in metrics):
    axes.set_ylabel('error, %')
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  figure.savefig(out, dpi=120)
  for curve in found if by != 'step' else ():
    pairs = ', '.join(f'{x:g}: {y:.5g}' for x, y in zip(curve.x, curve.y))
    print(f'{curve.name} {curve.metric}: {pairs}'.lstrip())


_X = {
  'step': 'step',
  'pass': 'passes through the training set',
  'examples': 'size of the training set',
}


def _marks(by, curve):
  """Hollow squares are the paper's sign for distorted training."""
  if by != 'examples':
    return {}
  return (
    {'marker': 's', 'markerfacecolor': 'none'}
    if curve.name
    else {'marker': 'o'}
  )


def main():
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument('workdirs', nargs='+', metavar='WORKDIR')
  parser.add_argument(
    '--metric',
    default='train/loss',
    help='of metrics.jsonl, several with commas between (%(default)s)',
  )
  parser.add_argument(
    '--by', default='step', choices=list(_X), help='the axis of x (%(default)s)'
  )
  parser.add_argument(
    '--out', required=True, metavar='FILE.png', help='the picture to write'
  )
  args = parser.parse_args()
  with usage.errors(OSError, ValueError):
    draw(args.workdirs, args.metric.split(','), args.by, args.out)


if __name__ == '__main__':
  main()
