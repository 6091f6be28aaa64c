"""What a workdir says of its run; what it does not say is told, not refused."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from configs import catalogue
from runtime import command_line, run_log
from runtime import workdir as workdir_lib

ERROR, COUNT = 'eval/top1_error', 'eval/count'
RATE, WAIT = 'time/images_per_second', 'time/data_wait_fraction'
MFU, MEMORY = 'time/mfu', 'time/peak_device_memory_gb'
_MEAN = 'train/mean_'


class Run(NamedTuple):
  """The record of a run, or of a file of weights beside it."""

  path: str  # as it was typed
  name: str
  config: dict[str, Any]  # as config.json has it
  starts: list[dict[str, Any]]  # of versions.jsonl
  lines: list[dict[str, Any]]  # of metrics.jsonl
  results: list[dict[str, Any]]  # of results/*.json
  class_names: tuple[str, ...]
  image_shape: tuple[int, ...]
  examples: int  # in the training set; 0: not known
  missing: list[str]  # in words

  @property
  def batch(self) -> int:
    """Examples a step; 0: not known."""
    return self.config.get('train', {}).get('batch_size', 0)

  @property
  def pass_steps(self) -> float:
    """Steps that a pass through the training set has; 0: not known."""
    return self.examples / self.batch if self.batch else 0.0

  @property
  def evaluations(self) -> list[dict[str, Any]]:
    """Lines of the evaluations in training."""
    return [line for line in self.lines if ERROR in line and COUNT in line]


def read(path: str) -> Run:
  """Returns what is on record of a workdir, or of a file of weights.

  Raises:
    UserError: config.json or classes.json is damaged.
  """
  place = workdir_lib.record_of(path)
  missing = []

  def there(name, what):
    if (place / name).exists():
      return True
    missing.append(f'{name} is not there: {what}')
    return False

  there('config.json', 'the settings of the run are not known')
  starts = []
  if there('versions.jsonl', 'versions, hardware and command are not known'):
    starts = _objects(place / 'versions.jsonl')
  lines, strange = run_log.read_lines(place / 'metrics.jsonl')
  if there('metrics.jsonl', 'there are no curves') and strange:
    missing.append(
      f'metrics.jsonl: {len(strange)} lines, the first {strange[0]}, are none '
      'of ours and are left out'
    )
  names: tuple[str, ...] = ()
  shape: tuple[int, ...] = ()
  examples = 0
  if there('classes.json', 'names of the classes are not known'):
    names, shape = workdir_lib.read_classes(place) or ((), ())
    if not (examples := workdir_lib.train_examples(place)):
      missing.append(
        'classes.json does not say how many images were trained on: passes '
        'are not known'
      )
  return Run(
    path, place.name, workdir_lib.read_config(place), starts, lines,
    _results(place, missing), names, shape, examples, missing,
  )  # fmt: skip


def is_run(path: str) -> bool:
  """Whether there is any record of a run."""
  place = workdir_lib.record_of(path)
  return any((place / n).exists() for n in ('config.json', 'metrics.jsonl'))


def _objects(file: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the objects in a file of lines; what is none is left out."""
  found = []
  for text in file.read_bytes().splitlines():
    try:
      entry = json.loads(text)
    except (ValueError, RecursionError):
      continue
    if isinstance(entry, dict):
      found.append(entry)
  return found


def _results(place, missing):
  """Returns what --mode=eval has written, by the name of the file."""
  found = []
  for file in sorted((place / 'results').glob('*.json')):
    try:
      content = json.loads(file.read_text())
      result = content['result']
      if not {'count', 'wrong', 'top1_error', 'protocol'} <= result.keys():
        raise ValueError('no result')
      found.append({**content, 'file': file.name})
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
      missing.append(f'results/{file.name} cannot be read')
  return found


def series(run: Run, metric: str) -> tuple[list[int], list[float]]:
  """Returns the steps and values of a metric; those that are numbers."""
  found = [
    (line['step'], float(line[metric]))
    for line in run.lines
    if isinstance(line.get(metric), int | float)
    and abs(line[metric]) < float('inf')
  ]
  return [step for step, _ in found], [value for _, value in found]


def training_metric(run: Run, name: str) -> str:
  """Returns what to draw of 'loss' or 'top1_error' in training.

  The mean since the last line; of runs before there was one, that of a batch;
  '' where there is none, or a batch is a single example: its values are noise.
  """
  metrics = (f'{_MEAN}{name}', *((f'train/{name}',) * (run.batch != 1)))
  return next((m for m in metrics if series(run, m)[0]), '')


class Timing(NamedTuple):
  """How long the steps took: without evaluations, checkpoints, compilation."""

  seconds: float
  images_per_second: float
  waiting: float  # share of the seconds that waited for data
  startup: Sequence[float]  # seconds to the first step, of each start
  mfu: float | None  # share of the devices' rate; None where it is not known
  memory: float | None  # of a device at its highest, gigabytes; or None


def timing(run: Run) -> Timing | None:
  """Returns the sums over the lines; None where they have no times.

  A lap's images are those since the line before: a start that was stopped
  between two lines has fewer, which is not on record.
  """
  seconds = waited = images = used = 0.0
  before = 0
  for line in run.lines:
    rate = line.get(RATE)
    if not isinstance(rate, int | float) or not rate > 0:
      continue
    done = (line['step'] - before) * run.batch
    before = line['step']
    images += done
    seconds += done / rate
    waited += done / rate * line.get(WAIT, 0.0)
    used += done / rate * line.get(MFU, 0.0)
  if not seconds:
    return None
  _, startup = series(run, 'time/startup_seconds')
  _, memory = series(run, MEMORY)
  return Timing(
    seconds,
    images / seconds,
    waited / seconds,
    startup,
    used / seconds or None,
    max(memory, default=None),
  )


def typed_config(run: Run) -> tuple[str, dict[str, Any]]:
  """Returns the text of --config at the first start, and its values, flat.

  ('', {}) where it is not on record or not there any more.
  """
  for start in run.starts:
    argv = start.get('command')
    if not isinstance(argv, list) or not all(isinstance(a, str) for a in argv):
      continue
    text = command_line.config_path(argv)
    file, _, argument = text.partition(':')
    if not file.endswith('.py'):
      continue
    try:
      module = catalogue.load(file)
      config = module.get_config(*([argument] if argument else []))
    except Exception:  # noqa: BLE001  a file of others, from another day
      return '', {}
    return text, workdir_lib.flatten(workdir_lib.as_json(config))
  return '', {}


def differing(values: dict[str, Any], usual: dict[str, Any]) -> list[str]:
  """Returns the fields of a flat config that have another value than usual."""
  return [
    name
    for name, value in values.items()
    if name not in usual or not _equal(usual[name], value)
  ]


def _equal(a, b):
  return json.dumps(a) == json.dumps(b)


def last_start(run: Run) -> dict[str, Any]:
  """Returns the versions of the last start; {}: not known."""
  return run.starts[-1] if run.starts else {}
