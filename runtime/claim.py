"""One run at a time in a workdir: who is in it, and whether that one lives.

On a file system the claim is a lock of the operating system, which ends with
its process however that ends. A bucket has no locks: there the owner renews its
claim, and who finds one that is not renewed takes over.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import threading
import time
from typing import Any

import jax

from errors import UserError
from runtime import console, distributed, storage

try:
  import fcntl
except ImportError:  # not on Windows
  fcntl = None  # type: ignore[assignment]

NAME = 'in_use.json'
_RENEW_SECONDS = 15.0
_PATIENCE = 3  # renewals that may be missed


class Claim:
  """Holds a directory from `take` to `release`.

  Args:
    place: the directory, which is there.
    field: that named it.
  """

  def __init__(self, place: pathlib.Path, field: str = '--workdir'):
    self._file, self._field = place / NAME, field
    self._lock: Any = None
    self._stop = threading.Event()
    self._renewing: threading.Thread | None = None

  def take(self) -> None:
    """Takes the workdir, for all processes of a run.

    Raises:
      UserError: another run holds it; on all processes.
    """
    error = None
    if jax.process_index() == 0:
      try:
        self._take()
      except UserError as found:
        error = found
    distributed.raise_together(
      error, f'{self._file.parent} is in use: see process 0'
    )

  def release(self) -> None:
    """Gives the workdir back."""
    self._stop.set()
    if self._renewing is not None:
      self._renewing.join()
      with contextlib.suppress(Exception):  # a bucket out of reach by now
        self._file.unlink()
    if self._lock is not None:
      # Not removed: who has opened it already would lock a file that is gone.
      with contextlib.suppress(OSError):
        self._lock.truncate(0)
      self._lock.close()

  def _take(self):
    if storage.is_local(self._file):
      self._take_locally()
      return
    self._wait_for_the_dead()
    self._renew(0)
    self._renewing = threading.Thread(target=self._keep_renewing, daemon=True)
    self._renewing.start()

  def _take_locally(self):
    if fcntl is None:
      return
    self._lock = self._file.open('a+')
    try:
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      self._lock.seek(0)
      owner = _parsed(self._lock.read())
      self._lock.close()
      self._lock = None
      raise self._in_use(owner) from None
    except OSError:  # a file system without locks
      return
    with contextlib.suppress(OSError):  # a full disk: what counts is the lock
      self._lock.truncate(0)
      self._lock.write(json.dumps(_me()) + '\n')
      self._lock.flush()

  def _wait_for_the_dead(self):
    """Returns once nobody renews the claim; raises where somebody does."""
    owner = self._read()
    if not owner or _is_dead(owner):
      return
    console.say(
      f'{self._file}: was in use by {_who(owner)}; looking whether it lives, '
      f'{_RENEW_SECONDS * _PATIENCE:.0f} s'
    )
    for _ in range(_PATIENCE):
      time.sleep(_RENEW_SECONDS)
      now = self._read()
      if not now:
        return
      if now != owner:
        raise self._in_use(now)

  def _keep_renewing(self):
    number = 0
    while not self._stop.wait(_RENEW_SECONDS):
      number += 1
      with contextlib.suppress(Exception):  # training says what fails
        self._renew(number)

  def _renew(self, number):
    storage.write(self._file, json.dumps({**_me(), 'renewed': number}) + '\n')

  def _read(self):
    return _parsed(self._file.read_text()) if self._file.exists() else {}

  def _in_use(self, owner):
    return UserError(
      f'{self._field} {self._file.parent} is in use by {_who(owner)}: stop '
      f'that run, or choose another {self._field}'
    )


_SINCE = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')


def _me():
  return {'process': os.getpid(), 'host': platform.node(), 'since': _SINCE}


def _parsed(text):
  try:
    owner = json.loads(text)
  except ValueError:  # cut by a kill
    return {}
  return owner if isinstance(owner, dict) else {}


def _who(owner):
  return (
    f'process {owner.get("process", "?")} on {owner.get("host", "?")} since '
    f'{owner.get("since", "?")}'
  )


def _is_dead(owner):
  """Whether the owner was a process of this machine that is gone."""
  if owner.get('host') != platform.node():
    return False
  try:
    os.kill(int(owner['process']), 0)
  except (ProcessLookupError, ValueError, KeyError):
    return True
  except OSError:  # somebody else's
    return False
  return False
