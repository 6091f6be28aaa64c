"""Standard output as it may be: in ASCII, or with nobody who reads it."""

import contextlib
import os
import sys
from collections.abc import Iterator

# What a shell calls the end by SIGPIPE, which Python does not die of.
UNREAD = 141


def accept_all_letters() -> None:
  """Lets a letter that standard output cannot show be an escape, not an error.

  A workdir or a class may have any name; stderr is like that already.
  """
  reconfigure = getattr(sys.stdout, 'reconfigure', None)
  if reconfigure:  # not where a test has replaced it
    reconfigure(errors='backslashreplace')


def say(text: str) -> None:
  """Prints a line at once. Where nobody reads it, what is done goes on.

  Then a line on stderr says so, once, and what is printed later is dropped.
  """
  try:
    print(text, flush=True)
  except BrokenPipeError:
    _drop(sys.stdout)
    remark('standard output is closed: this goes on without')


def remark(text: str) -> None:
  """Prints a line on stderr, if anybody reads that: it is no result."""
  try:
    print(text, file=sys.stderr, flush=True)
  except BrokenPipeError:
    _drop(sys.stderr)


@contextlib.contextmanager
def ends_unread() -> Iterator[None]:
  """Ends the process, quietly, with `UNREAD`, where nobody reads any more.

  For what does nothing but print.
  """
  try:
    yield
    if sys.stdout:
      sys.stdout.flush()
  except BrokenPipeError:
    _drop(sys.stdout)
    sys.exit(UNREAD)


def _drop(stream):
  """Sends what is still to be written nowhere: Python flushes at exit."""
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, stream.fileno())
  os.close(nowhere)
