"""Trains or evaluates a network: see README.md.

python main.py --config=configs/lenet5.py:data=mnist5k --workdir=/tmp/lenet5
"""

import logging as std_logging
import sys
import time

_STARTED = time.monotonic()  # before the slow imports, for the start-up time

from absl import app, flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

import config_lib  # noqa: E402
import train_lib  # noqa: E402
from errors import UserError  # noqa: E402
from runtime import command_line, compile_cache, distributed  # noqa: E402
from runtime.preemption import PreemptedError, Preemption  # noqa: E402

_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'eval'], 'what to do')
_COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'HOST:PORT of process 0; detected on TPU, Slurm, K8s, MPI',
)
_PROCESSES = flags.DEFINE_integer('num_processes', None, 'of the run')
_PROCESS = flags.DEFINE_integer('process_id', None, 'of this one, from 0')
_START_TIMEOUT = flags.DEFINE_integer(
  'start_timeout', 300, 'seconds to wait for all processes to start', 1
)
_PEER_TIMEOUT = flags.DEFINE_integer(
  'peer_timeout', 30, 'seconds of silence after which a process is lost', 1
)


def _parse_flags(argv):
  return command_line.parse(argv, required=('config', 'workdir'))


def _unraisable_hook(unraisable):
  # After a failed save or read, TensorStore's threads call back into an event
  # loop that Orbax has closed, once for each array.
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)


def main(_):
  """Does what the flags say."""
  sys.unraisablehook = _unraisable_hook
  # Orbax narrates each save, and a failed one once from every thread; asyncio
  # joins in. What a person needs of it is in our own error.
  logging.set_verbosity(logging.FATAL)
  std_logging.getLogger('asyncio').setLevel(std_logging.CRITICAL)
  preemption = Preemption()
  try:
    distributed.start(
      _COORDINATOR.value,
      _PROCESSES.value,
      _PROCESS.value,
      distributed.Timeouts(_START_TIMEOUT.value, _PEER_TIMEOUT.value),
    )
    preemption.install()
    compile_cache.enable()
    _run(preemption)
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


def _run(preemption):
  config, workdir = command_line.CONFIG.value, command_line.WORKDIR.value
  config_lib.apply_overrides(
    config, config_flags.get_override_values(flags.FLAGS['config'])
  )
  if _MODE.value == 'eval':
    train_lib.evaluate_only(config, workdir)
  else:
    train_lib.train_and_evaluate(config, workdir, _STARTED, preemption)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse_flags)
