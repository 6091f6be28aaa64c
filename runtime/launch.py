"""From the flags of a process to its exit code, alone or as one of many."""

import logging as std_logging
import sys
from collections.abc import Callable

import jax
from absl import flags, logging

from errors import UserError
from runtime import (
  command_line,
  compile_cache,
  console,
  distributed,
  memory,
  mesh,
)
from runtime.preemption import PreemptedError, Preemption

FLAGS = (
  'coordinator', 'num_processes', 'process_id', 'start_timeout', 'peer_timeout'
)  # fmt: skip
_COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'HOST:PORT of process 0; detected on TPU, Slurm, Kubernetes, MPI',
)
_PROCESSES = flags.DEFINE_integer(
  'num_processes', None, 'of the run, with --coordinator'
)
_PROCESS = flags.DEFINE_integer('process_id', None, 'of this one, from 0')
_START_TIMEOUT = flags.DEFINE_integer(
  'start_timeout', 300, 'seconds to wait for all processes to start', 1
)
_PEER_TIMEOUT = flags.DEFINE_integer(
  'peer_timeout', 30, 'seconds of silence after which a process is lost', 1
)


def run(job: Callable[[Preemption], None]) -> None:
  """Joins the other processes, does the job, and ends with its exit code.

  Args:
    job: told by the argument when to stop. Codes: docs/running.md.
  """
  _quiet()
  console.accept_all_letters()
  if jax.config.values['jax_enable_x64']:  # by the environment: JAX_ENABLE_X64
    console.say('JAX_ENABLE_X64 is set: training is in float32 all the same')
    jax.config.update('jax_enable_x64', False)
  preemption = Preemption()
  try:
    distributed.start(
      _COORDINATOR.value,
      _PROCESSES.value,
      _PROCESS.value,
      distributed.Timeouts(_START_TIMEOUT.value, _PEER_TIMEOUT.value),
    )
    preemption.install()
    with mesh.devices_by_name():
      memory.keep()  # or one line of no devices, before anything is read
    compile_cache.enable()
    job(preemption)
    code = 0
  except UserError as error:
    command_line.fail(error)
  except PreemptedError as error:
    print(f'preempted: {error}', file=sys.stderr)
    code = PreemptedError.EXIT_CODE
  except KeyboardInterrupt:
    print('\ninterrupted: the same command continues', file=sys.stderr)
    distributed.leave(130)
  distributed.leave(code, together=True)


def _quiet():
  """Silences libraries: what a person needs of it is in our own errors."""
  sys.unraisablehook = _unraisable_hook
  # Orbax narrates each save, and a failed one once from every thread; asyncio
  # joins in.
  logging.set_verbosity(logging.FATAL)
  std_logging.getLogger('asyncio').setLevel(std_logging.CRITICAL)


def _unraisable_hook(unraisable):
  # After a failed save or read, TensorStore's threads call back into an event
  # loop that Orbax has closed, once for each array.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
