"""Published peak rates of accelerators, by what JAX calls their kind."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


class Chip(NamedTuple):
  """Floating-point operations a second, dense, of one device."""

  bfloat16: float
  float32: float  # as JAX multiplies it by default: TF32, or one bfloat16 pass


# NVIDIA's data sheets (A100: 2021; H100 and H200, SXM: 2023 and 2024); Google's
# cloud.google.com/tpu/docs, 'System architecture'. A v4 or v5p is one device.
CHIPS = {
  'NVIDIA A100': Chip(312e12, 156e12),
  'NVIDIA H100 80GB': Chip(989e12, 495e12),
  'NVIDIA H200': Chip(989e12, 495e12),
  'TPU v4': Chip(275e12, 275e12),
  'TPU v5 lite': Chip(197e12, 197e12),
  'TPU v5p': Chip(459e12, 459e12),
  'TPU v5': Chip(459e12, 459e12),
  'TPU v6 lite': Chip(918e12, 918e12),
}


def peak(device: jax.Device, dtype: DTypeLike) -> float | None:
  """Returns operations a second of a device at its best; None if unknown.

  Args:
    device: its `device_kind` begins with a name of `CHIPS`.
    dtype: of the network's computation.
  """
  for name, chip in CHIPS.items():
    if device.device_kind.startswith(name):
      return chip.bfloat16 if jnp.dtype(dtype) == jnp.bfloat16 else chip.float32
  return None
