"""Runs main.py as the processes of a pod on this machine, for tests."""

import json
import socket
import time

import forking
from conftest import LENET, ROOT

SMOKE = LENET + 'smoke'


class Pod:
  """A run of several processes with forced CPU devices, already started.

  Args:
    workdir: of the run; what the processes say goes beside it.
    processes: how many.
    devices: of each process.
    *arguments: flags of main.py, with --config.
    peer_timeout: seconds.
    fail: number of a process that raises at its third step.
    last: more flags for the last process alone.
  """

  def __init__(
    self, workdir, processes, devices, *arguments, peer_timeout=10, fail=None,
    last=(),
  ):  # fmt: skip
    self.workdir = workdir
    with socket.socket() as s:
      s.bind(('localhost', 0))
      address = f'localhost:{s.getsockname()[1]}'
    flags = f'--xla_force_host_platform_device_count={devices}'
    self.logs, self.processes = [], []
    for i in range(processes):
      together = (
        f'--coordinator={address}',
        f'--num_processes={processes}',
        f'--process_id={i}',
        f'--peer_timeout={peer_timeout}',
      )
      log = workdir.with_name(f'{workdir.name}_{i}.log')
      log.write_text('')
      self.processes.append(
        forking.Process(
          'tests/failing.py' if i == fail else 'main.py',
          [
            f'--workdir={workdir}',
            *(together if processes > 1 else ()),
            *arguments,
            *(last if i == processes - 1 else ()),
          ],
          env={'XLA_FLAGS': flags},
          cwd=ROOT,
          out=log,
          err=log,
        )
      )
      self.logs.append(log)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    for process in self.processes:
      process.kill()
      process.wait()

  def codes(self, timeout=120, skip=()):
    """Waits for all but `skip` to end; returns their exit codes."""
    deadline = time.monotonic() + timeout
    return [
      p.wait(max(deadline - time.monotonic(), 0.1))
      for i, p in enumerate(self.processes)
      if i not in skip
    ]

  def wait_for_step(self, step, timeout=120):
    """Returns when the checkpoint of a step is there."""
    path = self.workdir / 'checkpoints' / f'{step:08d}'
    self.wait_until(path.exists, timeout)

  def wait_for_word(self, word, timeout=120):
    """Returns when process 0 has said it."""
    self.wait_until(lambda: word in self.said(), timeout)

  def wait_until(self, condition, timeout=120):
    """Returns when `condition` holds; fails where a process ends before."""
    deadline = time.monotonic() + timeout
    while not condition():
      assert time.monotonic() < deadline, self.said()
      assert all(p.poll() is None for p in self.processes), self.said()
      time.sleep(0.02)

  def said(self, process=0):
    """What a process has printed."""
    return self.logs[process].read_text()

  def send(self, signal, *to):
    """Sends a signal to these processes, or to all."""
    for i in to or range(len(self.processes)):
      self.processes[i].send_signal(signal)


def train(workdir, processes, devices, *arguments):
  """Runs to the end."""
  with Pod(workdir, processes, devices, *arguments) as pod:
    assert pod.codes() == [0] * processes, pod.said()


def digests(workdir, step):
  """SHA-256 of every array of the state after a step, as saved."""
  path = workdir / 'checkpoints' / f'{step:08d}' / 'manifest' / 'metadata'
  return json.loads(path.read_text())['arrays']


def record(workdir):
  """Everything of metrics.jsonl that is a function of config and step."""
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  values = [
    {k: v for k, v in json.loads(line).items() if not k.startswith('time/')}
    for line in lines
  ]
  return [line for line in values if len(line) > 1]
