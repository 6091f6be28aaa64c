"""Runs of main.py and tools by processes that have imported it all already.

What Python and JAX take to start is most of the time of a short run, and the
tests make hundreds. One process imports what main.py does, starts nothing, and
makes a copy of itself for each run; from there on it is what a user starts, to
its exit. Not for what a start reads: see `forks`.

    python tests/forking.py DESCRIPTOR    that process, with its end of a socket
"""

import atexit
import functools
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
# JAX has read its variables by then; of these a copy is told.
_TOLD = {
  'JAX_DISABLE_MOST_OPTIMIZATIONS': lambda text: bool(int(text)),
  'JAX_COMPILATION_CACHE_DIR': str,
}
_LATE = {'XLA_FLAGS', *_TOLD}  # the first is read where devices are first used
_PAUSE = 0.005  # seconds


def forks(env: dict[str, str]) -> bool:
  """Whether a copy can run with what differs from this environment."""
  return env.keys() <= _LATE and hasattr(os, 'fork')


class Process:
  """A run, as subprocess.Popen has it.

  Args:
    script: path of a Python file, from the root; or the name of a module.
    arguments: its own.
    env: what differs from this process's environment; see `forks`.
    cwd: where it runs.
    out: path of the file that gets standard output.
    err: of standard error; may be the same.
    stdin: of what it reads.
  """

  def __init__(self, script, arguments, env, cwd, out, err, stdin=os.devnull):
    self.args = [script, *map(str, arguments)]
    self.returncode: int | None = None
    env = {**os.environ, 'JAX_PLATFORMS': 'cpu', **env}
    self.pid = _server().start(
      {
        'argv': self.args, 'env': env, 'cwd': str(cwd),
        'files': [str(stdin), str(out), str(err)],
      }
    )  # fmt: skip

  def poll(self) -> int | None:
    """As Popen's."""
    if self.returncode is None:
      self.returncode = _server().ended(self.pid)
    return self.returncode

  def wait(self, timeout=None) -> int:
    """As Popen's."""
    end = time.monotonic() + (timeout or float('inf'))
    while self.poll() is None:
      if time.monotonic() > end:
        raise subprocess.TimeoutExpired(self.args, timeout)
      time.sleep(_PAUSE)
    return self.returncode

  def send_signal(self, number) -> None:
    """As Popen's."""
    if self.poll() is None:
      os.kill(self.pid, number)

  def kill(self) -> None:
    """As Popen's."""
    self.send_signal(signal.SIGKILL)


class _Server:
  """The end of the socket that asks."""

  def __init__(self):
    self._socket, theirs = socket.socketpair()
    self._unread, self._codes = b'', {}
    self._process = subprocess.Popen(
      [sys.executable, __file__, str(theirs.fileno())],
      pass_fds=[theirs.fileno()],
      # Of what can seek, Python asks later where it stands: no terminal knows.
      stdout=subprocess.PIPE,
      env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    )
    theirs.close()
    atexit.register(self._process.kill)

  def start(self, request: dict) -> int:
    self._socket.sendall(json.dumps(request).encode() + b'\n')
    while not (started := [p for p, code in self._read(True) if code is None]):
      pass
    return started[0]

  def ended(self, pid: int) -> int | None:
    self._read(False)
    return self._codes.pop(pid, None)

  def _read(self, waits: bool) -> list[tuple[int, int | None]]:
    """Returns what there is to read: a pid, and its exit code or None."""
    self._socket.setblocking(waits)
    try:
      got = self._socket.recv(1 << 16)
      assert got, 'the process that makes the copies has ended'
    except BlockingIOError:
      got = b''
    finally:
      self._socket.setblocking(True)
    *lines, self._unread = (self._unread + got).split(b'\n')
    said = [tuple(json.loads(line)) for line in lines]
    self._codes |= {pid: code for pid, code in said if code is not None}
    return said


@functools.cache
def _server() -> _Server:
  return _Server()


def run(
  script, *arguments, env=None, timeout=120, cwd=ROOT, stdin=os.devnull
) -> subprocess.CompletedProcess:
  """As subprocess.run, with text; arguments as `Process` has them."""
  with tempfile.TemporaryDirectory() as place:
    out, err = pathlib.Path(place, 'out'), pathlib.Path(place, 'err')
    process = Process(script, arguments, env or {}, cwd, out, err, stdin)
    try:
      code = process.wait(timeout)
    finally:
      process.kill()
    return subprocess.CompletedProcess(
      process.args, code, out.read_text(), err.read_text()
    )


def _serve(end: socket.socket) -> dict:
  """Returns a request, in a process of its own; ends without more of them."""
  unread, children = b'', set()
  end.settimeout(_PAUSE)
  while True:
    try:
      got = end.recv(1 << 16)
      if not got:
        os._exit(0)
      *lines, unread = (unread + got).split(b'\n')
    except TimeoutError:
      lines = []
    for line in lines:
      pid = os.fork()
      if not pid:
        end.close()
        return json.loads(line)
      children.add(pid)
      end.sendall(json.dumps((pid, None)).encode() + b'\n')
    for pid in tuple(children):
      found, status = os.waitpid(pid, os.WNOHANG)
      if found:
        children.remove(pid)
        code = os.waitstatus_to_exitcode(status)
        end.sendall(json.dumps((pid, code)).encode() + b'\n')


def _become(request: dict) -> None:
  """Makes of this process one that was started as the request has it."""
  written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
  for target, path in enumerate(request['files']):
    source = os.open(path, written if target else os.O_RDONLY, 0o644)
    os.dup2(source, target)
    os.close(source)
  os.chdir(request['cwd'])
  os.environ.clear()
  os.environ.update(request['env'])
  for name in _TOLD.keys() & request['env'].keys():
    jax.config.update(name.lower(), _TOLD[name](request['env'][name]))
  script, *arguments = request['argv']
  if not script.endswith('.py'):
    sys.path[0], sys.argv = request['cwd'], ['-m', *arguments]
    runpy.run_module(script, run_name='__main__', alter_sys=True)
    return
  path = str(ROOT / script)
  sys.path[0], sys.argv = os.path.dirname(path), [path, *arguments]
  runpy.run_path(path, run_name='__main__')


if __name__ == '__main__':
  sys.path.insert(0, str(ROOT))
  import jax

  import config_lib  # noqa: F401
  import train_lib  # noqa: F401
  from configs import catalogue  # noqa: F401
  from evaluation import inference  # noqa: F401
  from runtime import command_line, launch  # noqa: F401

  _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
