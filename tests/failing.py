"""main.py with an exception in its third step, for tests."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent)]

from absl import app

import main
from training import loop


def fail(self, step, metrics):
  if step >= 3:
    raise ValueError('failed on purpose')


loop.Loop._read = fail
app.run(main.main, flags_parser=main.parse_flags)
