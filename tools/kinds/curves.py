"""Error in training and test, by step: LeNet-5, Figures 5, 6; ResNet, 1, 4, 6.

    python -m tools.visualize curves --out=error.png RUN RUN ...
    python -m tools.visualize curves --out=error.png --by=pass RUN RUN ...
    python -m tools.visualize curves --out=loss.png --metric=train/loss RUN ...

RUN is a workdir, or a metrics.jsonl. Training is thin, test bold, a colour a
run. --by=pass counts passes through the training set, by which runs of other
batches compare; means since the last line become means of a pass, as in
LeNet-5's Figure 5. --by=size draws the last value of each run by the size of
its training set, as Figure 6: those with an augmentation as hollow squares.
"""

import math
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from errors import UserError
from seeing import curves
from seeing.curves import Curve, Run
from seeing.drawn import curves as drawing_curves
from tools.kinds.kind import Drawn, Kind

_BY = flags.DEFINE_enum(
  'by',
  'step',
  list(curves.BY),
  'step, pass through the training set, examples seen; or size of that set',
)
_METRIC = flags.DEFINE_list(
  'metric',
  '',
  'of metrics.jsonl, several with commas between; else the top-1 errors',
)
_TOP = flags.DEFINE_float(
  'top', None, 'where y ends, as 0.2 for errors up to 20 %'
)
_MOST = 25  # numbers of a curve that are printed


def draw(_: ConfigDict, paths: list[str]) -> Drawn:
  """Returns curves, and their numbers."""
  top = 0.0 if _TOP.value is None else _TOP.value
  if _TOP.value is not None and not 0 < top < math.inf:
    raise UserError(f'--top is {top:g}: above 0, as 0.2 for 20 %')
  if not paths:
    raise UserError('no runs: name workdirs, or files as their metrics.jsonl')
  by = _BY.value
  runs = curves.open_runs(paths)
  metrics = [metric for metric in _METRIC.value if metric]
  found = curves.curves(runs, by, metrics)
  said = [*_notes(runs, by, metrics), *map(_numbers, found)]
  if above := [c for c in found if top and min(c.y) > top]:
    names = ', '.join(f'{c.name} {c.metric}'.strip() for c in above)
    said.append(f'above --top={top:g}, not seen: {names}')
  return Drawn(drawing_curves.curves(found, by, top), said)


def _notes(runs: Sequence[Run], by: str, metrics: Sequence[str]) -> list[str]:
  """Returns what to know before these are compared."""
  said = []
  batches = sorted({run.batch for run in runs if run.batch})
  if by == 'step' and len(batches) > 1:
    said.append(
      f'note: batches of {", ".join(map(str, batches))}: a step is not the '
      'same for all. --by=pass compares them'
    )
  if not metrics:
    said += [
      f'note: {run.name} has no mean error of training on record, only that of '
      'single batches: --metric=train/top1_error'
      for run in runs
      if not curves.has(run, curves.TRAINING)
      and curves.has(run, 'train/top1_error')
    ]
  return said


def _numbers(curve: Curve) -> str:
  if len(curve.y) <= _MOST:
    pairs = ', '.join(f'{_place(x)}: {y:.5g}' for x, y in zip(curve.x, curve.y))
  else:
    at = min(range(len(curve.y)), key=lambda i: curve.y[i])
    pairs = (
      f'{curve.y[at]:.5g} at {_place(curve.x[at])} is the lowest, '
      f'{curve.y[-1]:.5g} at {_place(curve.x[-1])} the last'
    )
  return f'{curve.name} {curve.metric}: {pairs}'.lstrip()


def _place(x: float) -> str:
  """A step behind the end of a pass is its end."""
  return f'{x:.0f}' if abs(x - round(x)) < 0.01 else f'{x:.2f}'


KIND = Kind(draw, (_BY, _METRIC, _TOP), takes='RUNS', config=False)
