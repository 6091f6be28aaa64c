"""Many processes: their start, a check that they fit, and their end.

A process learns of the others from `--coordinator`, `--num_processes` and
`--process_id`, or from JAX's own detection on Cloud TPU, Slurm, Kubernetes and
Open MPI. See docs/pods.md for each.
"""

import hashlib
import inspect
import json
import os
import pathlib
import re
import sys
import time
import traceback
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from errors import UserError, one_line
from runtime import storage
from runtime import workdir as workdir_lib

# What `jax.distributed` needs to find of each launcher (jax/_src/clusters).
_LAUNCHERS = {
  'Slurm': ('SLURM_JOB_ID', 'SLURM_STEP_NODELIST', 'SLURM_PROCID'),
  'Open MPI': ('OMPI_MCA_orte_hnp_uri',),
  'Kubernetes': ('KUBERNETES_SERVICE_HOST', 'JOB_COMPLETION_INDEX'),
  'GKE TPU': ('TPU_WORKER_HOSTNAMES', 'TPU_WORKER_ID'),
}
# What XLA's collectives and the coordination service say when another process
# is gone (xla/backends/cpu/collectives, xla/tsl/distributed_runtime).
_LOST = re.compile(
  r'Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|coordination ?service|heartbeat'
  r'|Socket closed|Connection (reset|refused|closed)',
  re.IGNORECASE,
)
_GOOGLE = '0x1ae0'  # PCI vendor: TPU chips, and network cards of its clouds


class Timeouts(NamedTuple):
  """Seconds that a process waits for the others."""

  start: int = 300  # until all have started
  peer: int = 30  # for a sign of life, and for all to end


def start(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
  timeouts: Timeouts | None = None,
) -> None:
  """Joins the other processes, if there are any; before JAX is used.

  From then on this process ends, aborted, once another one has given no sign
  of life for `timeouts.peer`, and an uncaught exception ends it at once: at a
  normal exit it would wait for the others, and they in a collective for it.

  Args:
    coordinator: HOST:PORT of process 0; None detects the environment.
    num_processes: of the run.
    process_id: 0 to num_processes - 1.
    timeouts: other than the default ones.

  Raises:
    UserError: flags that do not fit together, or a coordinator out of reach.
  """
  given = (coordinator, num_processes, process_id)
  flags = dict(zip(('coordinator', 'num_processes', 'process_id'), given))
  missing = [name for name, value in flags.items() if value is None]
  if missing and len(missing) < len(flags):
    raise UserError(
      f'--{missing[0]} is missing: give --coordinator=HOST:PORT, '
      '--num_processes and --process_id, or none of them'
    )
  where = launcher() if missing else '--coordinator'
  if where is None:
    return
  if not missing:
    _check_flags(*given)
  # Absent in jax 0.8, where the handler of `preemption`, installed later,
  # silences the service as well.
  if 'jax_enable_preemption_service' in jax.config.values:
    jax.config.update('jax_enable_preemption_service', False)
  timeouts = timeouts or Timeouts()
  options: dict[str, Any] = {
    'initialization_timeout': timeouts.start,
    'heartbeat_timeout_seconds': timeouts.peer,
    'shutdown_timeout_seconds': timeouts.peer,  # not in jax 0.8
    'cluster_detection_method': None if missing else 'deactivate',
  }
  known = inspect.signature(jax.distributed.initialize).parameters
  options = {k: v for k, v in options.items() if k in known}
  try:
    jax.distributed.initialize(*given, **options)
  except (RuntimeError, ValueError, OSError) as error:
    raise UserError(
      f'the processes did not find each other ({where}, process '
      f'{process_id}, coordinator {coordinator}): {one_line(error)}. '
      'See docs/pods.md'
    ) from error
  sys.excepthook = _excepthook


def launcher() -> str | None:
  """Returns what started this process as one of several; None for nothing.

  Asked before JAX is: its detection takes long where it finds nothing.
  """
  for name, variables in _LAUNCHERS.items():
    if all(v in os.environ for v in variables):
      return name
  if 'tpu' not in os.environ.get('JAX_PLATFORMS', 'tpu'):
    return None
  vendors = pathlib.Path('/sys/bus/pci/devices').glob('*/vendor')
  if any(v.read_text().strip() == _GOOGLE for v in vendors):
    return 'Cloud TPU'
  return None


def _check_flags(coordinator, num_processes, process_id):
  host, _, port = coordinator.rpartition(':')
  if not host or not port.isdigit():
    raise UserError(f"--coordinator '{coordinator}': write HOST:PORT")
  if not 0 <= process_id < num_processes:
    raise UserError(
      f'--process_id {process_id} is not in 0..{num_processes - 1}: '
      f'--num_processes is {num_processes}'
    )


def _excepthook(kind, error, trace):
  traceback.print_exception(kind, error, trace)
  leave(1)


def is_lost_peer(error: BaseException) -> bool:
  """Whether an exception is about another process that is gone.

  Nobody has to mend anything then: a launcher starts all of them again.
  """
  return jax.process_count() > 1 and bool(_LOST.search(str(error)))


def leave(code: int, together: bool = False) -> NoReturn:
  """Ends this process.

  Where there are others, it does so without what Python does at exit, which
  waits for work on devices that the others may never finish.

  Args:
    code: for the launcher; see docs/pods.md.
    together: all processes come here: waits for them, `timeouts.peer` at most.
  """
  if not jax.distributed.is_initialized():
    sys.exit(code)
  sys.stdout.flush()
  sys.stderr.flush()
  if together:
    jax.distributed.shutdown()
  elif jax.process_index() == 0:
    time.sleep(1)  # others that fail alike leave first, with their own code
  os._exit(code)


def check_same(
  config: ConfigDict, place: pathlib.Path | None, files: Mapping[str, str]
) -> None:
  """Checks that all processes do the same thing in the same place.

  Args:
    config: resolved.
    place: the workdir, which exists; None where nothing is written.
    files: digests of what the config names, by what to call it.

  Raises:
    UserError: on all processes; names what differs, and where.
  """
  if jax.process_count() == 1:
    return
  versions = workdir_lib.versions()
  parts = {
    'the config': workdir_lib.as_json(config),
    'the code (git)': versions.pop('git'),
    'Python, libraries or devices': versions,
    '--workdir': str(place),
    **files,
  }
  digests = [_digest(part) for part in parts.values()]
  everyone = multihost_utils.process_allgather(np.stack(digests))
  for i, name in enumerate(parts):
    if others := _others(everyone[:, i]):
      raise UserError(
        f'{name} of process {others} is not that of process 0: start all with '
        'the same command on the same code'
      )
  if place is not None:
    _check_shared(place)


def raise_together(error: UserError | None, of_others: str) -> None:
  """Raises the error of process 0 on all; each would wait for it for ever.

  Args:
    error: of this process; None where all is well.
    of_others: what is said by a process that has none of its own.

  Raises:
    UserError: there is one anywhere.
  """
  if jax.process_count() > 1:
    failed = multihost_utils.process_allgather(np.array([error is not None]))
    if failed.any() and error is None:
      error = UserError(of_others)
  if error is not None:
    raise error


def _digest(part):
  text = json.dumps(part, sort_keys=True, default=str)
  return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def _others(values):
  """'1, 5' for the rows that differ from row 0."""
  return ', '.join(
    str(i) for i, value in enumerate(values) if (value != values[0]).any()
  )


def _check_shared(place):
  """A file that process 0 writes must be there for all."""
  unique = np.frombuffer(uuid.uuid4().bytes, np.uint8)
  unique = multihost_utils.broadcast_one_to_all(unique)
  file = place / f'.seen_by_all_{bytes(unique).hex()}'
  if jax.process_index() == 0:
    storage.write(file, b'seen')
  multihost_utils.sync_global_devices('workdir written')
  seen = multihost_utils.process_allgather(np.array([file.exists()]))
  if jax.process_index() == 0:
    file.unlink()
  if others := _others(seen):
    raise UserError(
      f'--workdir {place} of process {others} is not that of process 0: it '
      'must be one directory on a file system that all share, or in a bucket'
    )
