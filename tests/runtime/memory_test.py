"""Memory that a step gives back is there for the next one."""

import os
import subprocess
import sys

import pytest

from runtime import memory

# 40 MB are computed, 4 MB come out.
PROGRAM = """
import resource
import jax
from runtime import memory
memory.keep()
import jax.numpy as jnp

@jax.jit
def step(x):
  parts = x * jnp.arange(10.0)[:, None, None]
  return jax.lax.optimization_barrier(parts).sum(0)

x = jnp.ones((1024, 1024))
faults = []
for _ in range(40):
  step(x).block_until_ready()
  faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print((faults[-1] - faults[9]) / 30)
"""
PAGES = 40 * 2**20 // 4096


@pytest.mark.skipif(
  sys.platform != 'linux', reason="glibc's malloc: run where it is installed"
)
@pytest.mark.parametrize(
  ('chosen', 'kept'),
  [({}, True), ({'MALLOC_MMAP_MAX_': '65536'}, False)],
)
def test_a_step_faults_no_pages_unless_the_environment_chose(chosen, kept):
  env = {k: v for k, v in os.environ.items() if k not in memory.KEPT}
  ran = subprocess.run(
    [sys.executable, '-c', PROGRAM],
    env={**env, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': '', **chosen},
    capture_output=True, text=True, check=True,
  )  # fmt: skip
  # Until the heap has room for all sizes it grows now and then.
  assert (float(ran.stdout) < PAGES / 2) == kept, ran.stdout
