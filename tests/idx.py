"""Writes IDX files, for tests."""

import gzip
import struct


def write_idx(path, array, magic=None):
  """Writes uint8 of any shape; as gzip where the name says so."""
  head = magic or bytes([0, 0, 8, array.ndim])
  data = head + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()
  path.write_bytes(gzip.compress(data) if path.suffix == '.gz' else data)
