"""Fixtures. Tests marked slow take most of the time: see CONTRIBUTING.md."""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Tests compile the same small programs again and again, in many processes.
_CACHE = tempfile.TemporaryDirectory(prefix='jax-cache-')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

import pytest
from absl import logging

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from configs import lenet5

logging.set_verbosity(logging.ERROR)


@pytest.fixture
def smoke_config():
  """A run of 12 steps on real digits, a checkpoint and evaluation every 4."""
  return make_config()


def make_config(arg='smoke', **fields):
  """Returns an unlocked small config; `fields` are dotted, with __ for dots."""
  config = lenet5.get_config(arg)
  config.update_from_flattened_dict(
    {
      'train.steps': 12,
      'train.epochs': None,
      'train.log_every': 1,
      'train.batch_size': 16,
      'eval.every': '4 steps',
      'checkpoint.every': '4 steps',
    }
  )
  config.update_from_flattened_dict(
    {k.replace('__', '.'): v for k, v in fields.items()}
  )
  return config


def run_main(*arguments, env=None, timeout=120, prefix=(), **options):
  """Runs main.py as a process; returns the completed process with text."""
  return subprocess.run(
    [*prefix, sys.executable, str(ROOT / 'main.py'), *arguments],
    capture_output=True,
    text=True,
    timeout=timeout,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', **(env or {})},
    cwd=ROOT,
    check=False,
    **options,
  )
