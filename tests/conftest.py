"""Fixtures. Tests marked slow take most of the time: see CONTRIBUTING.md."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Tests compile the same small programs again and again, in many processes and
# from run to run: kept beside pytest's own cache, keyed by program and version.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR', str(ROOT / '.pytest_cache' / 'jax')
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

import pytest
from absl import logging

sys.path.insert(0, str(ROOT))

import input_pipeline
from configs import lenet5

logging.set_verbosity(logging.ERROR)

LENET = '--config=configs/lenet5.py:'
SMOKE = LENET + 'smoke'
FEW = ('--config.train.steps=2', '--config.eval.batch_size=1000')


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
  """The workdir of a short run through main.py."""
  workdir = tmp_path_factory.mktemp('finished')
  result = run_main(SMOKE, f'--workdir={workdir}', *FEW)
  assert result.returncode == 0, result.stderr
  return workdir, result


def make_config(arg='smoke', **fields):
  """Returns the config of 12 steps on real digits, an evaluation every 4.

  `fields` replace others: dotted names, with __ for dots.
  """
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


def first_batch(experiment):
  """Returns the first global batch of training."""
  batches = input_pipeline.train_batches(
    experiment.train_source,
    experiment.config.train.batch_size,
    seed=experiment.config.seed,
    start=0,
    stop=1,
    sharding=experiment.batch_sharding,
  )
  return next(batches)


def run_main(*arguments, env=None, timeout=120, prefix=(), cwd=ROOT, **options):
  """Runs main.py as a process; returns the completed process with text."""
  return subprocess.run(
    [*prefix, sys.executable, str(ROOT / 'main.py'), *arguments],
    capture_output=True,
    text=True,
    timeout=timeout,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', **(env or {})},
    cwd=cwd,
    check=False,
    **options,
  )
