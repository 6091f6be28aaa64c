"""What a stop leaves behind; pods_test.py has signals to whole runs."""

import shutil
import signal
import subprocess
import sys

import jax.numpy as jnp
import pytest
from conftest import ROOT, cases, make_config
from pod import digests, record

import train_lib
from errors import UserError
from runtime import checkpoints, distributed
from runtime import workdir as workdir_lib
from runtime.preemption import PreemptedError, Preemption


class StopAt(Preemption):
  """Asks to stop at a call of `agreed`."""

  def __init__(self, call):
    super().__init__()
    self.calls = call

  def agreed(self):
    self.calls -= 1
    return self.calls == 0


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """The undisturbed run: 12 steps, every 4 an evaluation of 4 batches."""
  workdir = tmp_path_factory.mktemp('whole')
  train_lib.train_and_evaluate(config(), str(workdir))
  return workdir


def config():
  return make_config(eval__batch_size=250)


# Calls 1 to 4 are steps, 5 to 8 batches of the evaluation; 24 is the last.
@pytest.mark.parametrize('call', cases([3, 4, 6, 20, 21, 24], [6]))
def test_stopped_in_a_step_or_an_evaluation_ends_the_same(
  tmp_path, whole, call
):
  with pytest.raises(PreemptedError, match='the same command'):
    train_lib.train_and_evaluate(config(), str(tmp_path), None, StopAt(call))
  step = 4 * ((call - 1) // 8) + min((call - 1) % 8 + 1, 4)
  assert (tmp_path / 'checkpoints' / f'{step:08d}').is_dir()
  assert not any(
    v['step'] >= step for v in record(tmp_path) if 'eval/count' in v
  )
  for _ in range(2 if call in (6, 24) else 1):  # nothing is left to make up
    train_lib.train_and_evaluate(config(), str(tmp_path))
    assert digests(tmp_path, 12) == digests(whole, 12)
    assert record(tmp_path) == record(whole)
  assert checkpoints_of(tmp_path) >= {'00000012'}
  assert not (tmp_path / 'replaced_checkpoint').exists()


def checkpoints_of(workdir):
  return {p.name for p in (workdir / 'checkpoints').iterdir()}


@pytest.mark.parametrize('successor', [True, False])
def test_a_kill_while_a_checkpoint_is_replaced(tmp_path, whole, successor):
  place = tmp_path / 'checkpoints'
  shutil.copytree(whole / 'checkpoints', place)
  aside = tmp_path / 'replaced_checkpoint' / '00000012'
  shutil.copytree(place / '00000012', aside)
  if not successor:
    shutil.rmtree(place / '00000012')
  store = checkpoints.Checkpoints(place, 2, 1)
  assert store.steps()[0] == 12
  assert store.evaluated(12)
  store.close()
  assert not aside.parent.exists()


# Says when it is asked to stop, and does not heed it, as in a long save.
DEAF = """
import sys, time
from runtime.preemption import Preemption
preemption = Preemption()
preemption.install()
if sys.argv[1] == 'stepped':
  preemption.step_taken()
print('ready', flush=True)
while not preemption.agreed():
  time.sleep(0.01)
print('asked', flush=True)
time.sleep(60)
"""


@pytest.fixture
def deaf(request):
  process = subprocess.Popen(
    [sys.executable, '-c', DEAF, request.param], text=True, cwd=ROOT,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
  )  # fmt: skip
  assert process.stdout.readline() == 'ready\n'
  yield process
  process.kill()
  process.communicate()


@pytest.mark.parametrize('deaf', ['stepped'], indirect=True)
def test_the_second_sigterm_ends_at_once_what_the_first_asks(deaf):
  deaf.send_signal(signal.SIGTERM)
  assert deaf.stdout.readline() == 'asked\n'
  assert deaf.poll() is None
  deaf.send_signal(signal.SIGTERM)
  _, said = deaf.communicate(timeout=30)
  assert deaf.returncode == 143
  assert 'SIGTERM again: left at once' in said


@pytest.mark.parametrize('deaf', ['at the start'], indirect=True)
def test_the_first_sigterm_ends_at_once_where_nothing_is_lost(deaf):
  deaf.send_signal(signal.SIGTERM)
  said, why = deaf.communicate(timeout=30)
  assert (deaf.returncode, said) == (75, '')
  assert 'before the first step: nothing to save' in why


@pytest.mark.parametrize(
  ('variables', 'name'),
  [
    ({}, None),
    ({'SLURM_JOB_ID': '1'}, None),  # of a shell inside a job
    ({'SLURM_JOB_ID': '1', 'SLURM_STEP_NODELIST': 'a', 'SLURM_PROCID': '0'},
     'Slurm'),
    ({'KUBERNETES_SERVICE_HOST': 'a'}, None),
    ({'KUBERNETES_SERVICE_HOST': 'a', 'JOB_COMPLETION_INDEX': '0'},
     'Kubernetes'),
    ({'TPU_WORKER_HOSTNAMES': 'a,b', 'TPU_WORKER_ID': '0'}, 'GKE TPU'),
  ],
)  # fmt: skip
def test_the_launcher_is_what_the_environment_says(
  monkeypatch, variables, name
):
  for key, value in variables.items():
    monkeypatch.setenv(key, value)
  assert distributed.launcher() == name


@pytest.mark.parametrize('address', ['s3://a/b', 'gs://', 'file:///a'])
def test_an_address_of_something_else_is_no_workdir(address):
  with pytest.raises(UserError, match=f'{address}: of addresses, only gs:'):
    workdir_lib.open_directory(address)


@pytest.mark.parametrize(
  ('reason', 'kind'),
  [
    ('UNKNOWN: Gloo AllGather failed: Connection reset by peer', ValueError),
    ('INTERNAL: [OS error 28: ENOSPC No space left on device]', UserError),
  ],
)
def test_only_what_a_person_can_mend_is_an_error_of_the_user(
  tmp_path, monkeypatch, reason, kind
):
  """A launcher does not start again after a UserError: docs/pods.md."""
  store = checkpoints.Checkpoints(tmp_path / 'checkpoints', 2, 1)

  def fail():
    raise ValueError(reason)

  monkeypatch.setattr(store._manager, 'wait_until_finished', fail)
  monkeypatch.setattr(checkpoints.distributed.jax, 'process_count', lambda: 2)
  with pytest.raises(kind, match=r'Gloo|no space'):
    store.wait()


def test_a_step_that_is_saved_again_is_whole_before_the_run_goes_on(tmp_path):
  store = checkpoints.Checkpoints(tmp_path / 'checkpoints', 2, 1)
  state = {'params': jnp.arange(3.0)}
  store.save(4, state, None)
  store.wait()
  store.save(4, state, {checkpoints.METRIC: 0.5})
  assert store.steps() == [4]
  assert store.evaluated(4)
  assert not (tmp_path / 'replaced_checkpoint').exists()
  store.close()
