"""A train step on CPU by kinds of operations: ours against PyTorch.

    pip install torch torchvision            # the CPU builds will do
    python -m benchmarks.operations resnet18
    python -m benchmarks.operations resnet50_v1_5 --batch=16 --rounds=3

The step of `benchmarks.step`, each side in a process of its own, in turn: a
step as it is, one that is watched, and one product of two float32 matrices of
2048 x 2048, for the rate that is there to be had. A row has the median over
rounds of a kind's share of the step that is watched, times the step as it is.

- ours, watched by jax.profiler: wall-clock time. A moment counts once, for the
  innermost operation (a loop does not count what its body does); where the
  threads run two operations, for half of each; where there is none, as rest.
  A fusion is what its product is, else what its result is: normalisation that
  is computed again while a convolution's input is padded counts there.
- PyTorch, watched operation by operation as autograd calls them: one after the
  other; the rest is what passes between. The gradients of a convolution are
  asked for one by one, which oneDNN computes one by one in any case.

GFLOP: two for each multiplication that the network needs, in all images; what
a form of a convolution multiplies beyond that is its own loss. 'memory kept':
PyTorch with runtime/memory.py's variables of malloc, as our side has it.
"""

import datetime
import json
import pathlib
import re
import statistics
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import input as input_benchmark
from benchmarks import operation_kinds as of
from benchmarks import sides, step
from data.ahead import cores
from errors import UserError, closest
from runtime import memory
from tools import summarize, usage


def ours(name: str, batch: str, file: str) -> tuple[Callable[[], object], ...]:
  """Returns functions for a step, one that is watched, and a product.

  Args:
    name: of the network.
    batch: images a step.
    file: where the second writes the time of each kind, as JSON.
  """
  memory.keep()
  stepped, state, images, _ = step.our_step(
    name, step.NETWORKS[name][0], int(batch)
  )
  key = jax.random.key(1)
  compiled = stepped.lower(state, images, key).compile()
  text = compiled.as_text()
  kinds, module = of.kinds_of(text), re.findall(r'HloModule ([\w.]+)', text)[0]
  matrix = jax.random.normal(key, (of.SIZE, of.SIZE))
  product = jax.jit(jnp.matmul)

  def train():
    nonlocal state
    state = compiled(state, images, key)
    jax.block_until_ready(state)

  def watched():
    events = of.events_of(of.trace_of(train), module)
    pathlib.Path(file).write_text(json.dumps(of.times(events, kinds)))

  return train, watched, lambda: product(matrix, matrix).block_until_ready()


def theirs(
  name: str, batch: str, file: str
) -> tuple[Callable[[], object], ...]:
  """Returns the same of PyTorch."""
  from benchmarks import torch_operations  # noqa: PLC0415

  return torch_operations.make(name, step.NETWORKS[name][1], int(batch), file)


def operations(name: str, batch: int) -> dict[str, float]:
  """Returns how many floating-point operations a step needs, by kind.

  Of convolutions and what is fully connected. The auxiliary heads of GoogLeNet
  are not among them.
  """
  options: dict[str, Any] = step.NETWORKS[name][0]
  rows = summarize.rows(name, **options)
  rows = [row for row in rows if row.macs]
  dense = sum(row.macs for row in rows if of.DENSE_LAYER.search(row.name))
  convolutions = sum(row.macs for row in rows) - dense
  first = rows[0].macs  # nobody needs the gradient of images
  counts = {
    of.FORWARD: convolutions,
    of.INPUT: convolutions - first,
    of.KERNEL: convolutions,
    of.DENSE: 3 * dense,
  }
  return {kind: 2.0 * batch * macs for kind, macs in counts.items()}


class Measured(NamedTuple):
  """Of a side: seconds of a step, of each kind in it, of a product."""

  step: float
  kinds: dict[str, float]
  product: float


def median(rounds: list[tuple[float, dict[str, float], float]]) -> Measured:
  """Returns medians over rounds; kinds are scaled to the step as it is."""
  steps, watched, products = zip(*rounds)
  parts = [
    {kind: step * found.get(kind, 0) / sum(found.values()) for kind in of.KINDS}
    for step, found in zip(steps, watched)
  ]
  return Measured(
    statistics.median(steps),
    {kind: statistics.median(p[kind] for p in parts) for kind in of.KINDS},
    statistics.median(products),
  )


def measure(name: str, batch: int, rounds: int) -> list[Measured]:
  """Returns ours, PyTorch's, and PyTorch's with memory kept, in turn."""
  with tempfile.TemporaryDirectory() as folder:
    files = [pathlib.Path(folder) / f'{number}.json' for number in range(3)]
    makes: tuple[tuple[str, dict[str, str]], ...] = (
      ('ours', {}),
      ('theirs', {}),
      ('theirs', memory.KEPT),
    )
    all_ = [
      sides.Side(
        f'benchmarks.operations:{make}', name, str(batch), str(file), **env
      )
      for (make, env), file in zip(makes, files)
    ]
    found: list[list[Any]] = [[] for _ in all_]
    for number in range(rounds + 1):
      for side, file, values in zip(all_, files, found):
        seconds = [side.seconds(which) for which in range(3)]
        if number:  # the first warms up
          kinds = json.loads(file.read_text())
          values.append((seconds[0], kinds, seconds[2]))
    for side in all_:
      side.end()
  return [median(values) for values in found]


def table(
  needed: dict[str, float], ours: Measured, default: Measured, kept: Measured
) -> str:
  """Returns the table of a network.

  Args:
    needed: operations of a step by kind, of those that are products.
    ours: what was measured.
    default: of PyTorch.
    kept: of PyTorch with memory kept.
  """
  measured = ours, default, kept
  lines = [
    '| kind | GFLOP | ours, ms | PyTorch, ms | memory kept, ms | '
    'ours, GFLOP/s | PyTorch | memory kept |',
    '|---|' + '---:|' * 7,
  ]

  def row(name, seconds, count=None):
    rates = [count / s / 1e9 if count and s else None for s in seconds]
    cells = [f'{count / 1e9:,.1f}' if count else '']
    cells += [f'{1e3 * s:,.0f}' for s in seconds]
    cells += ['' if rate is None else f'{rate:.0f}' for rate in rates]
    lines.append(f'| {name} | {" | ".join(cells)} |')

  for kind in of.KINDS:
    row(kind, [m.kinds[kind] for m in measured], needed.get(kind))
  row('all', [m.step for m in measured], sum(needed.values()))
  row(
    f'a product of {of.SIZE}x{of.SIZE} by {of.SIZE}x{of.SIZE}',
    [m.product for m in measured],
    2.0 * of.SIZE**3,
  )
  return '\n'.join(lines)


def main() -> None:
  """Prints a table for each network."""
  parser = usage.parser(__name__)
  parser.add_argument(
    'names',
    nargs='*',
    metavar='NETWORK',
    help=f'{", ".join(step.NETWORKS)}; all',
  )
  parser.add_argument(
    '--batch', type=int, default=16, help='images a step (%(default)s)'
  )
  parser.add_argument(
    '--rounds', type=int, default=3, help='of each side (%(default)s)'
  )
  args = parser.parse_args()
  with usage.errors():
    for flag in ('batch', 'rounds'):
      if getattr(args, flag) < 1:
        raise UserError(f'--{flag}={getattr(args, flag)}: must be at least 1')
    for name in args.names:
      if name not in step.NETWORKS:
        known = closest(name, step.NETWORKS)
        raise UserError(f"no network '{name}' here.{known}")
  with usage.errors(), usage.needs('torch torchvision'):
    import torch  # noqa: PLC0415
    import torchvision  # noqa: F401, PLC0415
  with usage.errors():
    for name in args.names or step.NETWORKS:
      measured = measure(name, args.batch, args.rounds)
      print(
        f'{name}, batch {args.batch}, {cores()} cores of '
        f'{input_benchmark.processor()}; jax {jax.__version__}, torch '
        f'{torch.__version__}; {datetime.date.today():%d %B %Y}\n'
      )
      print(table(operations(name, args.batch), *measured), flush=True)
      print()


if __name__ == '__main__':
  main()
