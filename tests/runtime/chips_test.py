"""Peak rates by the names that JAX gives devices."""

import types

import pytest

from runtime import chips


@pytest.mark.parametrize(
  ('kind', 'dtype', 'expected'),
  [
    ('NVIDIA H100 80GB HBM3', 'bfloat16', 989e12),
    ('NVIDIA H200', 'float32', 495e12),
    ('TPU v5 lite', 'bfloat16', 197e12),
    ('TPU v5p', 'bfloat16', 459e12),
    ('TPU v6 lite', 'bfloat16', 918e12),
    ('NVIDIA GeForce GTX 580', 'float32', None),
    ('cpu', 'float32', None),
  ],
)
def test_peaks(kind, dtype, expected):
  device = types.SimpleNamespace(device_kind=kind)
  assert chips.peak(device, dtype) == expected
