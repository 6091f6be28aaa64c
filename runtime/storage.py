"""Paths of runs, which may be in a bucket of Google Cloud Storage.

A local path is pathlib's. 'gs://BUCKET/...' is that of `etils.epath`, with the
same methods, over gcsfs, as Orbax has it. An object in a bucket appears whole
or not at all, but cannot be appended to, and a directory cannot be renamed.
"""

import functools
import importlib.util
import logging
import os
import pathlib
import re
import shutil
import tempfile
import time
import uuid

import fsspec
from etils import epath

from errors import UserError, one_line

# Else epath takes TensorFlow wherever it is installed. Read at its first use.
os.environ['EPATH_USE_TF'] = 'false'
# gcsfs remembers listings for ever: those of TensorStore's and of the other
# processes' objects would never be seen.
fsspec.config.conf['gcs'] = {'use_listings_cache': False}
# It narrates each retry. What a person needs of it is in our own errors.
logging.getLogger('gcsfs').setLevel(logging.CRITICAL)

_REACH_SECONDS = 20.0
_UPLOAD_SECONDS = 30.0  # a bucket takes one write a second of an object


def local(text: str | os.PathLike) -> pathlib.Path:
  """Returns a path on a file system, with what `~` and `~NAME` stand for.

  Raises:
    UserError: no user of that name, or one without a home directory.
  """
  try:
    return pathlib.Path(text).expanduser()
  except RuntimeError:
    name = os.fspath(text).partition('/')[0]
    raise UserError(
      f'{text}: {name} is no home directory here; write the path in full'
    ) from None


def cache() -> pathlib.Path:
  """Returns the user's cache directory for this code; it may not exist yet.

  Raises:
    OSError: the user has none: no HOME, and no entry among the users.
  """
  import pooch  # noqa: PLC0415  not for every process that has paths

  try:
    place = pathlib.Path(pooch.os_cache('convnet-classics'))
  except RuntimeError:
    place = pathlib.Path()
  if not place.is_absolute():  # older platformdirs: '~', taken for a folder
    raise OSError('there is no home directory')
  return place


def path(text: str | os.PathLike) -> pathlib.Path:
  """Returns an absolute path.

  Raises:
    UserError: an address of something else, or of a bucket out of reach; no
      UTF-8, which TensorStore cannot write to; or as `local`.
  """
  text = os.fspath(text)
  try:
    text.encode()
  except UnicodeEncodeError:
    raise UserError(
      f'{text!a}: its letters are not of this locale: set PYTHONUTF8=1, or '
      'take another name'
    ) from None
  if '://' not in text:
    return local(text).absolute()
  if not re.match('gs://[^/]', text):
    raise UserError(
      f'{text}: of addresses, only gs://BUCKET/... can be written to. Mount it '
      'as a file system and give its path; see docs/pods.md'
    )
  if importlib.util.find_spec('gcsfs') is None:
    raise UserError(f'{text}: pip install gcsfs')
  _reach(text.split('/')[2])
  return epath.Path(text)


@functools.cache
def _reach(bucket):
  """Asks what Orbax will, but without trying for minutes."""
  try:
    client = importlib.import_module('google.cloud.storage').Client()
    client.get_bucket(bucket, timeout=_REACH_SECONDS, retry=None)
  except Exception as error:
    raise UserError(
      f'gs://{bucket} cannot be reached, see docs/pods.md: {one_line(error)}'
    ) from error


def is_local(place: pathlib.Path) -> bool:
  """Whether a path is on a file system, and not in a bucket."""
  return '://' not in str(place)


def open_directory(place: pathlib.Path) -> None:
  """Makes a directory, if need be, and writes a file to it for a moment.

  Raises:
    OSError: it cannot be made or written to.
  """
  if is_local(place):
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=place):
      return
  file = place / f'.writable_{uuid.uuid4().hex}'
  try:
    file.write_bytes(b'yes')
    file.unlink()
  except Exception as error:
    raise OSError(one_line(error)) from error


def write(place: pathlib.Path, content: str | bytes | bytearray) -> None:
  """Replaces a file at once, so that a kill leaves the old or the new one."""
  if isinstance(content, str):
    content = content.encode()
  if not is_local(place):
    place.write_bytes(content)
    return
  temporary = place.with_name(place.name + '.tmp')
  temporary.write_bytes(content)
  temporary.replace(place)


def append(place: pathlib.Path, text: str) -> None:
  """Adds text to a small file, or begins it."""
  if is_local(place):
    with place.open('a') as file:
      file.write(text)
  else:
    write(place, (place.read_text() if place.exists() else '') + text)


class Growing:
  """Where the files of a directory are written that grow.

  In a bucket they grow in a temporary directory, and `upload` copies them.

  Attributes:
    directory: to append to files in; local.
  """

  def __init__(self, place: pathlib.Path):
    self._temporary: tempfile.TemporaryDirectory | None = None
    self._place = self.directory = place
    self._sizes: dict[str, int] = {}
    self._uploaded = 0.0
    if not is_local(place):
      self._temporary = tempfile.TemporaryDirectory(prefix='run_')
      self.directory = pathlib.Path(self._temporary.name)

  def upload(self, now: bool = True) -> None:
    """Copies what has grown; unless `now`, at most every 30 seconds."""
    due = now or time.monotonic() - self._uploaded > _UPLOAD_SECONDS
    if self._temporary is None or not due:
      return
    self._uploaded = time.monotonic()
    for file in self.directory.iterdir():
      content = file.read_bytes()
      if self._sizes.get(file.name) != len(content):
        write(self._place / file.name, content)
        self._sizes[file.name] = len(content)

  def close(self) -> None:
    """Copies the rest."""
    self.upload()
    if self._temporary is not None:
      self._temporary.cleanup()


def move_directory(old: pathlib.Path, new: pathlib.Path, marker: str) -> None:
  """Moves a directory to where no whole one is.

  In a bucket all is copied and then removed. Where a kill stops that,
  `is_whole` tells which of the two to keep.

  Args:
    old: the directory.
    new: where it comes to be; its parent is made. In a bucket, remains there
      are removed first.
    marker: name of the file in it that is copied last and removed first.
  """
  if is_local(old):
    new.parent.mkdir(exist_ok=True)
    shutil.move(old, new)
    return
  remove_directory(new, marker)
  buckets = fsspec.filesystem('gcs')
  source, target = (str(p).removeprefix('gs://') for p in (old, new))
  names = buckets.find(source)
  for name in sorted(names, key=lambda name: name == f'{source}/{marker}'):
    buckets.cp_file(name, target + name.removeprefix(source))
  remove_directory(old, marker)


def remove_directory(place: pathlib.Path, marker: str) -> None:
  """Removes a directory; in a bucket its `marker` first."""
  if is_local(place):
    shutil.rmtree(place)
    return
  (place / marker).unlink(missing_ok=True)
  if place.exists():
    epath.Path(place).rmtree()


def is_whole(place: pathlib.Path, marker: str) -> bool:
  """Whether a directory is there; in a bucket, whether its `marker` is."""
  return (place if is_local(place) else place / marker).exists()


def room(place: pathlib.Path) -> str:
  """Returns how much can still be written, in brackets; '' for a bucket."""
  if not is_local(place):
    return ''
  return f' ({shutil.disk_usage(place).free / 1e6:,.0f} MB free)'
