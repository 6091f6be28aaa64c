"""What becomes of memory that a computation on CPU gives back."""

import ctypes
import os
import sys

import jax

# Of glibc's malloc.h; -1: never.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
# What does the same for any program, from its start.
KEPT = {
  'MALLOC_MMAP_MAX_': '0',
  'MALLOC_TRIM_THRESHOLD_': '18446744073709551615',
  'MALLOC_ARENA_MAX': '1',
}


def keep() -> None:
  """On CPU has a step compute in the memory of the step before.

  A train step of ResNet-50 on 16 images takes 2.3 GB for what it computes. When
  it ends, glibc's malloc returns arrays of that size to the kernel, which hands
  out pages of zeros for the next step: 580,000 page faults, a sixth to a half
  of its time (docs/performance.md). Here they stay with the process, whose
  memory is as large between steps as in them.

  Only the main thread's heap can be that large; so a computation of one device
  runs in the thread that asks for it, and not in one of JAX's own. One heap for
  all threads (M_ARENA_MAX) would do as well, but then a network compiles 1.3
  times longer.

  Call it before JAX's devices are first used. On accelerators, with another C
  library, or where the environment sets a variable of KEPT (the default is
  MALLOC_MMAP_MAX_=65536), nothing changes.
  """
  if sys.platform != 'linux' or KEPT.keys() & os.environ.keys():
    return
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is None:  # musl
    return
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  if jax.default_backend() == 'cpu':
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)
