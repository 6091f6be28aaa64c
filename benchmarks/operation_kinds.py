"""Kinds of operations in a train step, and the time of each, from a trace.

Of our own steps, as jax.profiler and the compiler name their operations on
CPU; `operations` is the command.
"""

import collections
import gzip
import json
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax

from tools import hlo

FORWARD = 'convolutions, forward'
INPUT = 'convolutions, gradient of the input'
KERNEL = 'convolutions, gradient of the kernel'
AHEAD = 'normalisation, activation, sums, forward'
BACK = 'normalisation, activation, sums, backward'
POOLS = 'pools, both ways'
DENSE = 'fully connected, both ways'
OPTIMIZER = 'optimizer'
REST = 'copies, padding, rest'
KINDS = (
  FORWARD, INPUT, KERNEL, AHEAD, BACK, POOLS, DENSE, OPTIMIZER, REST
)  # fmt: skip
SIZE = 2048  # of a plain product: rows and columns
DENSE_LAYER = re.compile(r'(?:^|/)\w*(?:fc\d*|classifier)(?:[/.]|$)')
_POOL = re.compile(r'[/.]\w*pool(?:ed|\d*)[/.]')
_MOVES = {
  'bitcast', 'broadcast', 'concatenate', 'constant', 'copy', 'dynamic-slice',
  'dynamic-update-slice', 'get-tuple-element', 'iota', 'pad', 'parameter',
  'reshape', 'reverse', 'slice', 'transpose', 'tuple',
}  # fmt: skip


class Event(NamedTuple):
  """An operation that a thread ran, from when to when."""

  thread: int
  start: float
  end: float
  op: str


def kinds_of(text: str) -> dict[str, str]:
  """Returns the kind of each instruction of a program, by its name.

  Args:
    text: optimized HLO of a train step.
  """
  computations, entry = hlo.parse(text)
  kernels = {
    _size_of(made.shapes[0].dims)
    for made in computations[entry].values()
    if made.op == 'parameter' and 'kernel' in made.path
  }
  return {
    made.name: _kind(computations, made, kernels)
    for computation in computations.values()
    for made in computation.values()
  }


def _size_of(dims):
  """Sizes that a transpose, or an axis of one, does not change."""
  return tuple(sorted(d for d in dims if d > 1))


def _inside(computations, made) -> Iterator[hlo.Instruction]:
  """Instructions that are fused in one, or itself."""
  if made.op == 'fusion':
    for name in made.runs:
      for inner in computations[name].values():
        yield from _inside(computations, inner)
  else:
    yield made


def _kind(computations, made, kernels):
  inside = list(_inside(computations, made))
  products = [i for i in inside if i.op in ('convolution', 'dot')]
  path = next((i.path for i in (*products, made, *inside) if i.path), '')
  back = 'transpose(' in path
  if DENSE_LAYER.search(path):
    return DENSE
  by_us = 'kernel_gradient/' in path
  if products or by_us or '_conv/' in path:
    if not back:
      return FORWARD
    of_kernel = by_us or any(
      _size_of(product.shapes[0].dims) in kernels for product in products
    )
    return KERNEL if of_kernel else INPUT
  if _POOL.search(path):
    return POOLS
  if {i.op for i in inside} <= _MOVES:
    return REST
  if 'jvp(' in path:
    return BACK if back else AHEAD
  return OPTIMIZER


def events_of(trace: dict[str, Any], module: str) -> list[Event]:
  """Returns what a trace (.trace.json) has of the operations of a program."""
  return [
    Event(e['tid'], e['ts'], e['ts'] + e['dur'], e['args']['hlo_op'])
    for e in trace['traceEvents']
    if e.get('ph') == 'X' and e.get('args', {}).get('hlo_module') == module
  ]


def innermost(events: Iterable[Event]) -> Iterator[Event]:
  """Yields the events of one thread without those inside of them."""
  open_: list[Event] = []
  at = -math.inf
  ends = Event(0, math.inf, math.inf, '')
  for event in (*sorted(events, key=lambda e: (e.start, -e.end)), ends):
    while open_ and open_[-1].end <= event.start:
      done = open_.pop()
      yield done._replace(start=at)
      at = max(at, done.end)
    if open_:
      yield open_[-1]._replace(start=at, end=event.start)
    open_.append(event)
    at = event.start


def times(events: Iterable[Event], kinds: dict[str, str]) -> dict[str, float]:
  """Returns the wall-clock time of each kind, in the events' unit.

  From the first event to the last; the sum is what passed between them.

  Args:
    events: of all threads.
    kinds: of operations, by name.
  """
  threads = collections.defaultdict(list)
  for event in events:
    threads[event.thread].append(event)
  changes = []
  for thread in threads.values():
    for event in innermost(thread):
      if event.start < event.end:
        changes += [(event.start, 1, event.op), (event.end, -1, event.op)]
  found: dict[str, float] = collections.defaultdict(float)
  running: collections.Counter[str] = collections.Counter()
  at = None
  for moment, change, op in sorted(changes):
    if at is not None and moment > at:
      for kind, number in running.items() or [(REST, 1)]:
        found[kind] += (moment - at) * number / max(running.total(), 1)
    kind = kinds.get(op, REST)
    running[kind] += change
    if not running[kind]:
      del running[kind]
    at = moment
  return dict(found)


def trace_of(function: Callable[[], None]) -> dict[str, Any]:
  """Returns what jax.profiler writes of a call, for `events_of`."""
  options = jax.profiler.ProfileOptions()
  options.python_tracer_level = 0
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder, profiler_options=options):
      function()
    [file] = pathlib.Path(folder).rglob('*.trace.json.gz')
    return json.loads(gzip.decompress(file.read_bytes()))
