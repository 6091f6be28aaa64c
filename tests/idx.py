"""Writes IDX files, for tests."""

import gzip
import struct

import numpy as np


def write_idx(path, array, magic=None):
  """Writes uint8 of any shape; as gzip where the name says so."""
  head = magic or bytes([0, 0, 8, array.ndim])
  data = head + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()
  path.write_bytes(gzip.compress(data) if path.suffix == '.gz' else data)


def make_mnist(place):
  """Writes both splits of a small MNIST: train plain, test gzipped."""
  rng = np.random.default_rng(0)
  for stem, n, end in (('train', 30, ''), ('t10k', 20, '.gz')):
    images = rng.integers(0, 256, (n, 28, 28), np.uint8)
    write_idx(place / f'{stem}-images-idx3-ubyte{end}', images)
    labels = np.arange(n, dtype=np.uint8) % 10
    write_idx(place / f'{stem}-labels-idx1-ubyte{end}', labels)
