"""A trace of some steps of training, for TensorBoard's profiler and Perfetto.

Of `--config.profile='steps 20 to 30'` it is

    WORKDIR/profile/plugins/profile/steps_20_to_30/process_0.xplane.pb
    WORKDIR/profile/plugins/profile/steps_20_to_30/process_0.trace.json.gz

which is where TensorBoard's plugin looks. What a run computes does not change.
"""

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from errors import UserError, one_line
from runtime import storage
from runtime.clock import Clock

FOLDER = 'profile'  # of the workdir
_PREFIX = 'process_'
_SUFFIXES = ('.xplane.pb', '.trace.json.gz')
# A trace is in memory until it ends, and viewers show about a million events:
# on CPU a step of LeNet-5 has 1,200 (jax 0.10.2).
_MOST = 1000


class Span(NamedTuple):
  """Steps, counted from 1, the last included."""

  first: int
  last: int
  everywhere: bool = False  # on all processes, not on the first alone

  def __str__(self):
    of_all = ' of all processes' * self.everywhere
    return f'steps {self.first} to {self.last}{of_all}'


def parse(text: str) -> Span | None:
  """Reads 'steps 20 to 30', 'steps 20 to 30 of all processes'; '': None.

  Raises:
    UserError: not of this form; reversed; too many; with the first step, which
      compiles.
  """
  if not text:
    return None
  match = re.fullmatch(
    r'\s*steps?\s+([\d_]*\d)\s+to\s+([\d_]*\d)(\s+of\s+all\s+processes)?\s*',
    str(text),
  )
  if not match:
    raise UserError(
      f"profile '{text}': write 'steps 20 to 30', or 'steps 20 to 30 of all "
      "processes'"
    )
  span = Span(int(match[1]), int(match[2]), bool(match[3]))
  first, last, _ = span
  if first > last:
    raise UserError(
      f"profile '{text}' ends before it begins: '{Span(last, first)}'"
    )
  if first < 2:
    raise UserError(
      f"profile '{text}': the first step compiles, which no profile is of; "
      'begin at step 2 or later'
    )
  if last - first >= _MOST:
    raise UserError(
      f"profile '{text}' is of {last - first + 1:,} steps, a trace that no "
      f'viewer opens: at most {_MOST:,}, a few are enough'
    )
  return span


class Moment(NamedTuple):
  """Something that happens between steps.

  Args:
    what: in words, with the field.
    every: its duration.
    early: whether the step that follows it begins with it.
  """

  what: str
  every: str
  early: bool = False


def check(
  span: Span,
  steps: int,
  together: int,
  moments: Sequence[Moment],
  due: Callable[[str, int], bool],
) -> None:
  """Refuses steps that cannot be traced, before anything is compiled.

  Args:
    span: what `parse` read.
    steps: of the training.
    together: steps of a call of the device.
    moments: what else happens, which would compile in the middle.
    due: whether something of such a duration comes after such a step.

  Raises:
    UserError: names the value, and what would do.
  """
  if span.last > steps:
    raise UserError(
      f"profile '{span}': the run ends at step {steps}, as train.steps or "
      'train.epochs has it'
    )
  whole = span._replace(
    first=max((span.first - 1) // together, 1) * together + 1,
    last=max(-(-span.last // together), 2) * together,
  )
  if together > 1 and span != whole:
    raise UserError(
      f"profile '{span}': train.steps_per_call is {together}, and a profile is "
      f"of whole calls, without the first, which compiles: '{whole}'"
    )

  def inside(span):
    return [
      (step, moment)
      for moment in moments
      for step in range(span.first - moment.early, span.last)
      if due(moment.every, step)
    ]

  if found := inside(span):
    step, moment = max(found, key=lambda pair: pair[0])
    begin = step + 1 + moment.early
    other = span._replace(first=begin, last=begin + span.last - span.first)
    fits = other.last <= steps and not inside(other) and together == 1
    raise UserError(
      f"profile '{span}': after step {step} comes {moment.what}, and a profile "
      'is of train steps alone. '
      + (f"'{other}' would do" if fits else 'Take fewer, or make those rarer')
    )


class Profiler:
  """Traces a span of the steps of a loop; only what is ahead of it.

  Args:
    span: the steps; None: none.
    place: the workdir.
    step: the one that the loop continues from.
    together: steps of a call, the first of which compiles.
    clock: of the loop; it pauses where a trace begins or is written.
    say: prints a line.
  """

  def __init__(
    self,
    span: Span | None,
    place: pathlib.Path,
    step: int,
    together: int,
    clock: Clock,
    say: Callable[[str], None],
  ):
    self._place, self._together = place, together
    self._clock, self._say = clock, say
    self._step = step
    self._out: Any = None
    self._annotation = contextlib.ExitStack()
    self._temporary: tempfile.TemporaryDirectory | None = None
    self._span = span and self._ahead(span)
    if span and not span.everywhere and jax.process_index() > 0:
      self._span = None

  def _ahead(self, span):
    """Returns what of a span is ahead; says so if that is not all."""
    begin = self._step + self._together + 1
    if span.first >= begin:
      return span
    left = span._replace(first=begin) if span.last >= begin else None
    self._say(
      f'profile     {left or "none"} of {span}: the run continues from step '
      f'{self._step}' + ' and compiles in the next' * (span.last > self._step)
    )
    return left

  def steps(self, batches: Iterable) -> Iterator:
    """Yields the batches; a step lasts from asking for one to `done`."""
    iterator = iter(batches)
    while True:
      if self._span and self._step + 1 == self._span.first:
        self._start()
      if self._temporary:
        number = self._step + self._together
        self._annotation.enter_context(
          jax.profiler.StepTraceAnnotation('train', step_num=number)
        )
      batch = next(iterator, None)
      if batch is None:
        return
      yield batch

  def done(self, step: int, out: Any) -> None:
    """Ends a step, and with the last one its trace.

    Args:
      step: the last of the call.
      out: of the device, in that step; nothing of it is changed.
    """
    self._step, self._out = step, out
    self._annotation.close()
    if self._span and step == self._span.last:
      self.close()

  def _start(self):
    """Begins the trace when the device is done with what was before."""
    temporary = tempfile.TemporaryDirectory(prefix='profile_')
    with self._clock.paused():
      jax.block_until_ready(self._out)
      try:
        jax.profiler.start_trace(temporary.name)
      except Exception as error:  # noqa: BLE001  as in `close`
        self._say(f'profile     not written: {one_line(error)}')
        temporary.cleanup()
      else:
        self._temporary = temporary

  def close(self) -> None:
    """Writes the trace if there is one, also of a run that ends inside it.

    Whatever goes wrong costs no run.
    """
    self._annotation.close()
    span, temporary, self._temporary = self._span, self._temporary, None
    if span is None or temporary is None:
      return
    if self._step < span.first:
      jax.profiler.stop_trace()
      self._say(f'profile     none of {span}: the run ended before')
      return
    traced = span._replace(last=self._step)
    early = f' of {span}, since the run ended' * (traced != span)
    try:
      with self._clock.paused():
        jax.block_until_ready(self._out)
        jax.profiler.stop_trace()
        size = self._write(traced, pathlib.Path(temporary.name))
        temporary.cleanup()
    except Exception as error:  # noqa: BLE001  of the profiler, of the disk
      self._say(f'profile     not written: {one_line(error)}')
    else:
      self._say(
        f'profile     {traced}{early}: {size / 1e6:.1f} MB, tensorboard '
        f'--logdir={self._place}'
      )

  def _write(self, span: Span, source: pathlib.Path) -> int:
    """Copies the files of the profiler to the workdir; returns their bytes."""
    folder = self._place / FOLDER / 'plugins' / 'profile'
    folder /= str(span).replace(' ', '_')
    folder.mkdir(parents=True, exist_ok=True)
    # A bucket has no empty folder, whose content could be listed.
    for file in folder.glob('*') if jax.process_index() == 0 else ():
      if not file.name.endswith(_SUFFIXES):  # what viewers made of older ones
        file.unlink()
    written = 0
    for suffix in _SUFFIXES:
      # The profiler's names are of hosts, which may have several processes.
      (file,) = source.rglob(f'*{suffix}')
      content = file.read_bytes()
      name = f'{_PREFIX}{jax.process_index()}{suffix}'
      storage.write(folder / name, content)
      written += len(content)
    return written
