"""Sides of a comparison, each in a process of its own, that take turns.

As their users have them: neither has the other's threads, nor its settings of
the process, such as what becomes of memory that is freed (`runtime.memory`).

    python -m benchmarks.sides MODULE:FUNCTION ARGUMENT ...    one side
"""

import contextlib
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from errors import UserError
from tools import usage


class Side:
  """A process that takes a step when it is told to.

  Args:
    make: 'module:function' whose call returns functions without arguments.
    *arguments: of that call, as text.
    **env: what differs from the environment here.
  """

  def __init__(self, make: str, *arguments: str, **env: str) -> None:
    self._name = make
    self._process = subprocess.Popen(
      [sys.executable, '-m', __name__, make, *arguments],
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
      env=os.environ | env,
    )  # fmt: skip

  def seconds(self, which: int = 0) -> float:
    """Has one of the functions called; returns how long that took.

    Raises:
      UserError: if the process has ended.
    """
    assert self._process.stdin
    assert self._process.stdout
    with contextlib.suppress(BrokenPipeError):
      print(which, file=self._process.stdin, flush=True)
    said = self._process.stdout.readline()
    if not said:
      raise UserError(f'{self._name} has ended')
    return float(said)

  def end(self) -> None:
    """Ends the process."""
    self._process.communicate()


def compare(
  sides: Sequence[Side], rounds: int, which: int = 0
) -> list[list[float]]:
  """Returns seconds of each round of each side; before them one warms up."""
  seconds: list[list[float]] = [[] for _ in sides]
  for number in range(rounds + 1):
    for times, side in zip(seconds, sides, strict=True):
      taken = side.seconds(which)
      if number:
        times.append(taken)
  return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
  """Returns the median of theirs / ours over pairs, and its range."""
  found = np.divide(theirs, ours)
  return f'{np.median(found):.2f} ({found.min():.2f} to {found.max():.2f})'


def main() -> None:
  """Calls what it is told to on standard input, and prints the seconds."""
  parser = usage.parser(__name__)
  parser.add_argument(
    'make', metavar='MODULE:FUNCTION', help='what returns the functions'
  )
  parser.add_argument('arguments', nargs='*', metavar='ARGUMENT', help='of it')
  args = parser.parse_args()
  module, name = args.make.split(':')
  functions = getattr(importlib.import_module(module), name)(*args.arguments)
  for line in sys.stdin:
    began = time.perf_counter()
    functions[int(line)]()
    print(time.perf_counter() - began, flush=True)


if __name__ == '__main__':
  main()
