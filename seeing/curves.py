"""Metrics of runs as curves: LeNet-5's Figures 5 and 6, ResNet's 1, 4 and 6.

A run is a workdir, or a file as its metrics.jsonl; NAME.metrics.jsonl beside
NAME.json, a file of results, has the config that is in it.
"""

import json
import numbers
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from errors import UserError, closest
from recipe import durations
from runtime import run_log, storage, workdir

STEP, PASS, EXAMPLES, SIZE = BY = 'step', 'pass', 'examples', 'size'
_MEANS = '/mean_'  # in the name of what is a mean since the last line
TRAINING, TEST = 'train/mean_top1_error', 'eval/top1_error'
_SUFFIX = '.metrics.jsonl'


class Run(NamedTuple):
  """What is on record of a run."""

  path: str
  name: str
  lines: list[dict[str, Any]]  # of metrics.jsonl
  config: dict[str, Any]  # {}: not known
  examples: int  # in its training set; 0: not known

  @property
  def batch(self) -> int:
    """Examples a step; 0: not known."""
    return self.config.get('train', {}).get('batch_size', 0)


class Curve(NamedTuple):
  """A metric of a run: x is a step, a number of passes, or of examples."""

  name: str
  metric: str
  x: Sequence[float]
  y: Sequence[float]


def open_run(path: str) -> Run:
  """Returns what is on record of a run.

  Args:
    path: a workdir, or a file of metrics.

  Raises:
    UserError: nothing there, or damaged.
  """
  file = storage.path(path)
  if not file.exists():
    raise UserError(f'{path} does not exist: a workdir, or its metrics.jsonl')
  if file.is_dir():
    file = workdir.containing(file) / 'metrics.jsonl'
  if not file.exists():
    raise UserError(f'{path} is no workdir: there is no metrics.jsonl in it')
  lines, _ = run_log.read_lines(file)
  if not lines:
    raise UserError(f'{file} has no lines of a run')
  place = file.parent
  if file.name.endswith(_SUFFIX):
    name = file.name.removesuffix(_SUFFIX)
    config = _of_results(file.with_name(f'{name}.json'))
    examples = 0
  else:
    name, config = place.name, workdir.read_config(place)
    examples = workdir.train_examples(place)
  return Run(path, name, lines, config, examples or _counted(lines, config))


def open_runs(paths: Sequence[str]) -> list[Run]:
  """Returns runs by names of their own: their paths, where two have the same.

  Raises:
    UserError: as `open_run`; or one is given twice.
  """
  runs = [open_run(path) for path in paths]
  if twice := [p for i, p in enumerate(paths) if p in paths[:i]]:
    raise UserError(f'{twice[0]} is given twice')
  names = [run.name for run in runs]
  return [
    run._replace(name=run.path) if names.count(run.name) > 1 else run
    for run in runs
  ]


def _of_results(file) -> dict[str, Any]:
  """Returns the config in a file of results; {}: none there."""
  try:
    found = json.loads(file.read_text())['config']
    return found if isinstance(found['train'], dict) else {}
  except (OSError, ValueError, TypeError, LookupError):
    return {}


def _counted(lines, config) -> int:
  """Returns the size of a training set, from evaluations every N epochs; 0.

  A step is the end of a pass where it is the first one behind it: of the last
  such step the size follows to `batch / passes` examples. An evaluation of a
  last, broken pass is none.
  """
  every = config.get('eval', {}).get('every')
  batch = config.get('train', {}).get('batch_size')
  if not (every and batch):
    return 0
  length = durations.parse(every, 'eval.every')
  steps = [line['step'] for line in lines if 'eval/count' in line]
  if length.unit != 'epochs' or len(steps) < 2:
    return 0  # a single one may be of a shorter run's end
  found = 0
  for number, step in enumerate(steps, 1):
    if steps[0] * number - step not in range(number):  # rounded up, each
      break
    found = round(step * batch / (number * length.amount))
  return found


def has(run: Run, metric: str) -> bool:
  """Whether a run has numbers of this name."""
  return any(isinstance(line.get(metric), numbers.Real) for line in run.lines)


def errors(run: Run) -> list[str]:
  """Returns its metrics of top-1 error: in training and test, where it has it.

  In training that is counted on the fly, the mean since the last line: the
  error of the last batch alone is no curve.

  Raises:
    UserError: it has none of them.
  """
  found = [metric for metric in (TRAINING, TEST) if has(run, metric)]
  if not found:
    raise UserError(
      f'{run.path} has no {TRAINING} or {TEST}: --metric=NAME for one of '
      f'{", ".join(_known(run))}'
    )
  return found


def _known(run):
  names = {name for line in run.lines for name in line} - {'step'}
  return sorted(name for name in names if has(run, name))


def read(run: Run, metric: str) -> tuple[list[int], list[float]]:
  """Returns the steps and values of a metric in a run.

  Raises:
    UserError: no line of it has the metric; names the closest.
  """
  if not has(run, metric):
    raise UserError(
      f"{run.path} has no '{metric}'.{closest(metric, _known(run))}"
    )
  found = [(row['step'], row[metric]) for row in run.lines if metric in row]
  steps, values = zip(*found, strict=True)
  return list(steps), list(values)


def by_step(run: Run, metric: str) -> Curve:
  """Returns a metric by the step. Raises as `read`."""
  return Curve(run.name, metric, *read(run, metric))


def by_examples(run: Run, metric: str) -> Curve:
  """Returns a metric by the number of examples seen.

  Raises:
    UserError: as `read`; or the size of a batch is not known.
  """
  steps, values = read(run, metric)
  return Curve(run.name, metric, [s * _batch(run) for s in steps], values)


def by_pass(run: Run, metric: str) -> Curve:
  """Returns a metric by the number of passes through the training set.

  Means since the last line become one mean a pass, over its steps; other
  metrics keep all their values.

  Raises:
    UserError: as `read`; or the size of a batch or of the training set is not
      known.
  """
  steps, values = read(run, metric)
  a_pass = _examples(run) / _batch(run)  # in steps
  if _MEANS not in metric:
    return Curve(run.name, metric, [s / a_pass for s in steps], values)
  sums: dict[int, list[float]] = {}
  for before, step, value in zip([0, *steps], steps, values):
    number = int((step - 1) // a_pass) + 1
    total = sums.setdefault(number, [0.0, 0.0])
    total[0] += value * (step - before)
    total[1] += step - before
  means = [value / steps for value, steps in sums.values()]
  return Curve(run.name, metric, [float(n) for n in sums], means)


def by_size(runs: Sequence[Run], metric: str) -> list[Curve]:
  """Returns the last values by the size of the training set.

  A curve without augmentation, and one for each augmentation, which is its
  name. Means are of the last pass. Raises as `by_pass`.
  """
  points: dict[str, list[tuple[int, float]]] = {}
  for run in runs:
    kind = run.config.get('train', {}).get('augment', 'none')
    last = by_pass(run, metric).y[-1]
    points.setdefault(kind, []).append((_examples(run), last))
  return [
    Curve(
      '' if kind == 'none' else kind, metric, *map(list, zip(*sorted(found)))
    )
    for kind, found in points.items()
  ]


def curves(
  runs: Sequence[Run], by: str, metrics: Sequence[str] = ()
) -> list[Curve]:
  """Returns what is drawn, run by run.

  Args:
    runs: from `open_runs`.
    by: of `BY`: what x is.
    metrics: by default `errors` of each run.

  Raises:
    UserError: as what they are made by.
  """
  if by == SIZE:
    wanted = metrics or dict.fromkeys(m for run in runs for m in errors(run))
    return [
      curve
      for metric in wanted
      for curve in by_size(
        [run for run in runs if metrics or metric in errors(run)], metric
      )
    ]
  make = {STEP: by_step, PASS: by_pass, EXAMPLES: by_examples}[by]
  return [
    make(run, metric) for run in runs for metric in metrics or errors(run)
  ]


def _batch(run) -> int:
  if not run.batch:
    raise UserError(
      f'{run.path}: no config beside it tells the size of a batch, which '
      '--by=step does without'
    )
  return run.batch


def _examples(run) -> int:
  if not run.examples:
    record = pathlib.PurePath(run.path) / 'classes.json'
    raise UserError(
      f'{record} does not say how many examples were trained on: it was '
      'written before runs recorded that. Any start of the run adds it'
    )
  return run.examples
