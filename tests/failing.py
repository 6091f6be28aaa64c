"""main.py with an exception in its third step, for tests."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent)]

from absl import app

import main
import train_lib


def fail(loop, step, metrics):
  if step >= 3:
    raise ValueError('failed on purpose')


train_lib._Loop._read = fail
app.run(main.main, flags_parser=main.parse_flags)
