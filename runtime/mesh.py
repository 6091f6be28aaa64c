"""The devices of a run: all on one axis, over which batches are cut."""

import contextlib
import os
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from errors import UserError

AXIS = 'data'


def all_devices() -> Mesh:
  """Returns all devices on one axis, each process's devices side by side.

  Side by side, a process holds one contiguous slice of every batch.
  """
  devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
  return Mesh(np.array(devices), (AXIS,))


@contextlib.contextmanager
def devices_by_name() -> Iterator[None]:
  """Raises UserError where JAX_PLATFORMS names what is not there.

  JAX looks for its devices at their first use. What it raises where there are
  none depends on the kind, down to an assertion for CUDA without its package.
  """
  try:
    yield
  except (RuntimeError, AssertionError) as error:
    if (wanted := os.environ.get('JAX_PLATFORMS')) and not _found():
      jax.config.update('jax_platforms', None)
      found = _found()
      raise UserError(
        f"JAX_PLATFORMS is '{wanted}', and JAX finds no such device here, but "
        f'{found or "none at all"}: unset it, or install the JAX of that device'
      ) from error
    raise


def _found() -> str:
  """Returns the kind of device that JAX takes: 'cpu'; '' where it has none."""
  try:
    return jax.default_backend()
  except (RuntimeError, AssertionError):
    return ''


def batch_sharding(
  devices: Mesh | AbstractMesh, stacked: bool = False
) -> NamedSharding:
  """Returns the sharding of a batch: its first axis over all devices.

  Args:
    devices: of the run.
    stacked: several batches on an axis in front of it.
  """
  return NamedSharding(devices, PartitionSpec(*(None,) * stacked, AXIS))
