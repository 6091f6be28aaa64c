"""The devices of a run: all on one axis, over which batches are cut."""

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

AXIS = 'data'


def all_devices() -> Mesh:
  """Returns all devices on one axis, each process's devices side by side.

  Side by side, a process holds one contiguous slice of every batch.
  """
  devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
  return Mesh(np.array(devices), (AXIS,))


def batch_sharding(
  devices: Mesh | AbstractMesh, stacked: bool = False
) -> NamedSharding:
  """Returns the sharding of a batch: its first axis over all devices.

  Args:
    devices: of the run.
    stacked: several batches on an axis in front of it.
  """
  return NamedSharding(devices, PartitionSpec(*(None,) * stacked, AXIS))
