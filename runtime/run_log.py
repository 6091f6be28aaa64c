"""What a run says: metrics.jsonl, TensorBoard events, and the console.

metrics.jsonl is the record: one object a line with 'step' and flat names.
Everything but 'time/...' is a function of the config and the step, so a run
that was killed and continued has the same lines as one that was not.
"""

import json
import pathlib
import shutil
import sys
import time
from typing import Any

import tqdm
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

from runtime import console, storage
from runtime.clock import Clock

_QUIET_SECONDS = 10.0  # between progress lines where no terminal shows them
_WIDE = 120  # columns of a terminal on which a progress line says all


FIRST_LOSS = 'train/first_loss'  # of the first step, in its line


class RunLog:
  """Writes the logs of one run from one process.

  Args:
    place: the workdir.
    step: the step that the run continues from; later lines are dropped, since
      they are about to be written again.
    total: last step.
    batch_size: images a step.
    writes: False only reads what there is: processes other than the first.
  """

  def __init__(
    self,
    place: pathlib.Path,
    step: int,
    total: int,
    batch_size: int,
    *,
    writes: bool = True,
  ):
    self.best: dict[str, Any] | None = None
    self.last_eval: dict[str, Any] | None = None
    self.first_loss: float | None = None
    self._files: _Files | None = None
    lines, strange = read_lines(place / 'metrics.jsonl')
    kept = [line for line in lines if line['step'] <= step]
    for line in kept:
      self._remember(line)
    self._progress = _Progress(step, total, batch_size, quiet=not writes)
    if writes:
      if strange:
        self._progress.print(_set_aside(place / 'metrics.jsonl', strange))
      self._files = _Files(place, step, kept)

  def write(self, step: int, values: dict[str, Any]) -> None:
    """Adds a line to metrics.jsonl and its numbers to TensorBoard."""
    self._remember({'step': step, **values})
    if self._files:
      self._files.write(step, values)

  def flush(self) -> None:
    """Puts all of it where it lasts: before a checkpoint of this step."""
    if self._files:
      self._files.flush()

  def progress(self, step: int, loss: float, clock: Clock) -> None:
    """Moves the progress line (terminal), or prints one now and then."""
    self._progress.show(step, loss, clock)

  def say(self, text: str) -> None:
    """Prints a line above the progress line."""
    if self._files:
      self._progress.print(text)

  def close(self) -> None:
    """Closes the files and the progress line."""
    self._progress.close()
    if self._files:
      self._files.close()

  def _remember(self, line):
    self.first_loss = line.get(FIRST_LOSS, self.first_loss)
    if 'eval/top1_error' not in line:
      return
    self.last_eval = line
    key = 'eval/top1_error'
    if self.best is None or line[key] < self.best[key]:
      self.best = line


class _Files:
  """metrics.jsonl and the TensorBoard events, open for appending."""

  def __init__(self, place: pathlib.Path, step: int, kept: list[dict]):
    self._growing = storage.Growing(place)
    metrics = self._growing.directory / 'metrics.jsonl'
    storage.write(metrics, ''.join(json.dumps(line) + '\n' for line in kept))
    self._lines = metrics.open('a')
    # Its name has the second: a start in the same one must not write over it.
    starts = len(list(self._growing.directory.glob('events*')))
    prefix = str(self._growing.directory / 'events')
    self._events = EventsWriter(prefix, filename_suffix=f'.{starts}')
    # Tells TensorBoard to forget what an earlier start wrote from there on.
    restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write_event(step + 1, session_log=restart)
    self.flush()

  def write(self, step, values):
    self._lines.write(json.dumps({'step': step, **values}) + '\n')
    self._lines.flush()
    for name, value in values.items():
      if isinstance(value, (int, float)):
        self._write_event(step, summary=summary.scalar(name, value))
    self._events.flush()
    self._growing.upload(now=False)

  def flush(self):
    self._events.flush()
    self._growing.upload()

  def close(self):
    self._lines.close()
    self._events.close()
    self._growing.close()

  def _write_event(self, step, **fields):
    self._events.write_event(
      event_pb2.Event(step=step, wall_time=time.time(), **fields)
    )


class _Progress:
  """tqdm on a terminal; elsewhere a line every `_QUIET_SECONDS`."""

  def __init__(self, step, total, batch_size, quiet):
    self._total, self._batch_size, self._quiet = total, batch_size, quiet
    self._printed = time.monotonic()
    self._bar = None
    if sys.stderr.isatty() and not quiet:
      self._bar = tqdm.tqdm(
        total=total,
        initial=step,
        dynamic_ncols=True,
        bar_format='step {n_fmt}/{total_fmt} |{bar}|{postfix}, ETA {remaining}',
      )

  def show(self, step, loss, clock):
    if self._bar is not None:
      self._bar.n = step
      text = clock.rate_text()
      if shutil.get_terminal_size().columns >= _WIDE:
        text = ', '.join([text, *clock.load_texts()])
      self._bar.set_postfix_str(f'{text}, loss {loss:.4f}', refresh=False)
      self._bar.update(0)
    elif time.monotonic() - self._printed > _QUIET_SECONDS:
      self._printed = time.monotonic()
      left = (self._total - step) * self._batch_size / clock.rate()
      eta = tqdm.tqdm.format_interval(left)
      texts = [
        f'step {step}/{self._total}',
        clock.rate_text(),
        f'ETA {eta}',
        f'loss {loss:.4f}',
        *clock.load_texts(),
      ]
      self.print(', '.join(texts))

  def print(self, text):
    if self._bar is not None:
      self._bar.clear()
    console.say(text)
    if self._bar is not None:
      self._bar.refresh()

  def close(self):
    if self._bar is not None:
      self._bar.close()


def read_lines(path: pathlib.Path) -> tuple[list[dict[str, Any]], list[int]]:
  """Returns the lines of a metrics.jsonl, and the numbers of strange ones.

  Strange, counted from 1, is what no run writes: no object with a step, or no
  text. A last line that a kill has cut is not, and is left out. No file: no
  lines.
  """
  content = path.read_bytes() if path.exists() else b''
  *whole, rest = content.split(b'\n')  # rest: empty, or cut
  lines, strange = [], []
  for number, text in enumerate(whole, 1):
    line = _parsed(text)
    if line is not None:
      lines.append(line)
    elif text.strip():
      strange.append(number)
  if (line := _parsed(rest)) is not None:
    lines.append(line)
  return lines, strange


def _parsed(text: bytes) -> dict[str, Any] | None:
  try:
    line = json.loads(text.decode())
    return line if isinstance(line['step'], int) else None
  except (ValueError, TypeError, LookupError, RecursionError):
    return None


def _set_aside(path, strange):
  """Keeps a copy of the file, which is about to be written without them."""
  copy = path.with_name('metrics.damaged.jsonl')
  while copy.exists():
    copy = copy.with_name(f'_{copy.name}')
  storage.write(copy, path.read_bytes())
  return (
    f'{path.name}: line {strange[0]} is none of ours'
    + f', nor are {len(strange) - 1} others' * (len(strange) > 1)
    + f'; left out, the file as it was is {copy.name}'
  )
