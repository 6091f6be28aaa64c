"""Fixtures. Tests marked slow take most of the time: see CONTRIBUTING.md."""

import ctypes
import functools
import gc
import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Most of a test's time is compilation, which takes five times as long with
# optimisation; what runs long, or must run as a user's does, asks for it back:
# `OPTIMISED`, `optimised`.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')
# Tests compile the same small programs again and again, in many processes and
# from run to run: kept beside pytest's own cache, keyed by program and version.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR', str(ROOT / '.pytest_cache' / 'jax')
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

import jax
import numpy as np
import pytest
from absl import logging

sys.path.insert(0, str(ROOT))

import forking

import input_pipeline
import train_lib
import zoo
from configs import lenet5

logging.set_verbosity(logging.ERROR)

LENET = '--config=configs/lenet5.py:'
SMOKE = LENET + 'smoke'
PEAKS = {}  # of pytest-xdist's workers
FEW = ('--config.train.steps=2', '--config.eval.batch_size=1000')
# The environment of a process that compiles as a user's does.
OPTIMISED = {'JAX_DISABLE_MOST_OPTIMIZATIONS': '0'}


@pytest.fixture
def optimised():
  """Compiles as users do, in this process."""
  name = 'jax_disable_most_optimizations'
  before = jax.config.values[name]
  jax.config.update(name, False)
  jax.clear_caches()  # they do not know the difference
  yield
  jax.config.update(name, before)
  jax.clear_caches()


@pytest.fixture(scope='module', autouse=True)
def tidy():
  """Gives back what a module has taken: each alone stays below 2 GB."""
  yield
  jax.clear_caches()
  gc.collect()
  if sys.platform == 'linux':  # glibc keeps what is freed
    ctypes.CDLL(None).malloc_trim(0)


def peak():
  """Returns the most memory that this process has had, in GB."""
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def pytest_sessionfinish(session):
  if hasattr(session.config, 'workeroutput'):  # of pytest-xdist
    session.config.workeroutput['peak'] = peak()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
  if found := getattr(node, 'workeroutput', {}).get('peak'):
    PEAKS[node.gateway.id] = found


def pytest_terminal_summary(terminalreporter):
  found = (PEAKS or {'this process': peak()}).items()
  said = ', '.join(f'{name} {most:.1f} GB' for name, most in sorted(found))
  terminalreporter.write_line(f'peak memory: {said}')


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
  """The workdir of a short run through main.py."""
  workdir = tmp_path_factory.mktemp('finished')
  result = run_main(SMOKE, f'--workdir={workdir}', *FEW)
  assert result.returncode == 0, result.stderr
  return workdir, result


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """The undisturbed run of 12 steps."""
  workdir = tmp_path_factory.mktemp('whole')
  train_lib.train_and_evaluate(make_config(), str(workdir))
  return workdir


def cases(values, core):
  """Returns parameters of a test that is slow, except for those in `core`."""
  return [
    pytest.param(v, marks=[] if v in core else [pytest.mark.slow])
    for v in values
  ]


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


def random_variables(network, image_shape):
  """Returns variables without compiling the network's own initialisers."""
  image = jax.ShapeDtypeStruct((1, *image_shape), np.float32)
  target = jax.eval_shape(network.init, jax.random.key(0), image)
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key == 'kernel':
      std = (2 / np.prod(leaf.shape[:-1])) ** 0.5
      value = std * rng.standard_normal(leaf.shape, np.float32)
    elif path[-1].key in ('scale', 'var'):
      value = rng.uniform(0.5, 1.5, leaf.shape)
    else:
      value = rng.normal(0, 0.1, leaf.shape)
    return value.astype(leaf.dtype)

  target = {k: v for k, v in target.items() if k != 'aux_logits'}
  return jax.tree_util.tree_map_with_path(draw, target)


def make_shallow(patch, name, blocks):
  """Makes `name` a ResNet of so few blocks a stage: compiles in less time."""
  network = zoo.NETWORKS[name]
  create = functools.partial(_shallow, network.create, blocks)
  patch.setitem(zoo.NETWORKS, name, network._replace(create=create))


def _shallow(create, blocks, **fields):
  return create(**fields).clone(blocks=blocks)


def run_main(*arguments, env=None, timeout=120, prefix=(), cwd=ROOT):
  """Runs main.py as a process; returns the completed process with text.

  Without a `prefix`, and with no variable that the start reads, it is a copy of
  a process that has imported all of it: `forking`.
  """
  env = env or {}
  if not prefix and forking.forks(env):
    return forking.run('main.py', *arguments, env=env, timeout=timeout, cwd=cwd)
  return subprocess.run(
    [*prefix, sys.executable, str(ROOT / 'main.py'), *arguments],
    capture_output=True,
    text=True,
    timeout=timeout,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', **env},
    cwd=cwd,
    check=False,
  )
