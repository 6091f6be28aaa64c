"""Arrays that grow row by row into a file: found whole, or not at all.

    with array_files.Writer(path) as writer:
      writer.add('fc7', rows)        # again and again
      writer.put('keys', keys)       # once

makes NAME.npz; or of a path without a suffix a folder of .npy files, which
`numpy.load(..., mmap_mode='r')` opens without reading them. Memory holds no
more than what is added. Until the end all is beside it, in '.NAME.unfinished'.
"""

import pathlib
import shutil
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy


class Writer:
  """See the module. Raises OSError where it cannot write.

  Args:
    path: of the file, which is replaced, or the folder, which may not be there.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._part = path.with_name(f'.{path.name}.unfinished')
    self._growing: dict[str, tuple[IO[bytes], int, np.ndarray]] = {}
    self.counts: dict[str, int] = {}

  def __enter__(self):
    if self._part.is_dir():  # of a process that was killed
      shutil.rmtree(self._part)
    self._part.mkdir()
    return self

  def add(self, name: str, rows: np.ndarray) -> None:
    """Appends [n, ...] to the array `name`; all of one type and row's shape."""
    if name not in self._growing:
      file = self._file(name).open('wb')
      _write_header(file, rows, 0)
      self._growing[name] = file, file.tell(), rows[:0]
      self.counts[name] = 0
    file, _, like = self._growing[name]
    if (rows.dtype, rows.shape[1:]) != (like.dtype, like.shape[1:]):
      raise ValueError(f'{name}: {rows.dtype} {rows.shape} after {like.shape}')
    file.write(np.ascontiguousarray(rows).data)
    self.counts[name] += len(rows)

  def put(self, name: str, array: np.ndarray) -> None:
    """Writes an array whole; no objects."""
    with self._file(name).open('wb') as file:
      npy.write_array(file, array, allow_pickle=False)

  def __exit__(self, kind, *_):
    try:
      for name, (file, begin, like) in self._growing.items():
        with file:
          if kind is None:
            file.seek(0)
            _write_header(file, like, self.counts[name])
            assert file.tell() == begin  # headers are padded for any count
      if kind is None:
        self._publish()
    finally:
      shutil.rmtree(self._part, ignore_errors=True)

  def _file(self, name):
    return self._part / f'{name}.npy'

  def _publish(self):
    if not is_archive(self._path):
      self._part.rename(self._path)
      return
    archive = self._part / 'archive'
    with zipfile.ZipFile(archive, 'w') as members:
      for file in sorted(self._part.glob('*.npy')):
        members.write(file, file.name)
        file.unlink()  # so that not all is there twice
    archive.replace(self._path)


def is_archive(path: pathlib.Path) -> bool:
  """Whether a path becomes one file, and not a folder."""
  return path.suffix == '.npz'


def _write_header(file, like, count):
  npy.write_array_header_1_0(
    file,
    {
      'descr': npy.dtype_to_descr(like.dtype),
      'fortran_order': False,
      'shape': (count, *like.shape[1:]),
    },
  )
