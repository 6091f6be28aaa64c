"""Pods on loopback: death, silence, SIGTERM, other topologies, bad starts.

Real processes, real signals. Some cases only with PODS=1 in the environment;
PREEMPTIONS=20 for a longer storm.
"""

import os
import signal
import time

import numpy as np
import pytest
from conftest import run_main
from pod import SMOKE, Pod, digests, record, train

STEPS = 60
ARGUMENTS = (
  SMOKE,
  '--config.train.batch_size=8',
  f'--config.train.steps={STEPS}',
  '--config.checkpoint.every=5 steps',
  '--config.eval.every=30 steps',
  '--config.eval.batch_size=100',
  # At a small rate rounding is not amplified, so that losses tell the batches.
  '--config.train.log_every=1',
  '--config.optimizer.learning_rate=1e-4',
)
LONG = (*ARGUMENTS, '--config.train.steps=100000')
RESTART = {1, 75, -6}  # error, preempted, SIGABRT: see docs/pods.md

pytestmark = pytest.mark.slow
more = pytest.mark.skipif(
  'PODS' not in os.environ, reason='takes long: run with PODS=1'
)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  """The run of two processes that nothing happens to."""
  workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
  train(workdir, 2, 1, *ARGUMENTS)
  return workdir


@pytest.mark.parametrize(
  'events',
  [
    [(signal.SIGKILL, 1), (signal.SIGSTOP, 0), (signal.SIGTERM, 1)],
    pytest.param(
      [(signal.SIGKILL, 0), (signal.SIGSTOP, 1), (signal.SIGTERM, 0)],
      marks=more,
    ),
    pytest.param([(signal.SIGTERM, 0, 1)], marks=more),
  ],
)
def test_lost_and_preempted_in_turn_ends_the_same(
  tmp_path, undisturbed, events
):
  """Each time the same command continues; all is as if nothing had happened."""
  workdir = tmp_path / 'run'
  for sent, *to in events:
    with Pod(workdir, 2, 1, *ARGUMENTS, peer_timeout=10) as pod:
      pod.wait_for_step(newest(workdir) // 5 * 5 + 5)
      pod.send(sent, *to)
      began = time.monotonic()
      preempted = sent == signal.SIGTERM
      codes = pod.codes(timeout=60, skip=[] if preempted else to)
      print(f'{sent.name} to {to}: {codes} in {time.monotonic() - began:.1f} s')
      if preempted:
        assert codes == [75, 75]
        assert 'preempted: saved' in pod.said()
      assert set(codes) <= RESTART
    assert 0 < newest(workdir) < STEPS
  train(workdir, 2, 1, *ARGUMENTS)
  assert digests(workdir, STEPS) == digests(undisturbed, STEPS)
  assert record(workdir) == record(undisturbed)


@pytest.mark.parametrize('failing', [pytest.param(0, marks=more), 1])
def test_others_end_when_one_fails(tmp_path, failing):
  with Pod(tmp_path / 'run', 2, 1, *LONG, fail=failing) as pod:
    codes = pod.codes(timeout=60)
    assert codes[failing] == 1
    assert set(codes) <= RESTART
    assert 'ValueError: failed on purpose' in pod.said(failing)


@pytest.mark.parametrize('processes', [1, pytest.param(2, marks=more)])
def test_sigterm_in_evaluation_saves_and_makes_up_for_it(tmp_path, processes):
  arguments = (*ARGUMENTS, '--config.train.steps=20')
  whole, workdir = tmp_path / 'whole', tmp_path / 'run'
  train(whole, processes, 1, *arguments)
  # One image at a time: long enough to be hit.
  slow = (*arguments, '--config.eval.batch_size=1')
  with Pod(workdir, processes, 1, *slow) as pod:
    pod.wait_for_step(10)
    time.sleep(1)
    pod.send(signal.SIGTERM, processes - 1)
    assert pod.codes(timeout=60) == [75] * processes
  assert not any('eval/count' in line for line in record(workdir))
  assert digests(workdir, 20) == digests(whole, 20)
  train(workdir, processes, 1, *arguments)
  assert record(workdir) == record(whole)


@pytest.mark.parametrize('processes', [1, 2])
def test_sigterm_in_the_first_compilation_leaves_at_once(
  tmp_path, monkeypatch, processes
):
  workdir = tmp_path / 'run'
  # A cache of its own, so that there is something to compile.
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'cache'))
  with Pod(workdir, processes, 1, *LONG) as pod:
    pod.wait_for_word('start ')
    pod.send(signal.SIGTERM)
    began = time.monotonic()
    codes = pod.codes(timeout=60)
    print(f'{codes} in {time.monotonic() - began:.2f} s')
    assert 75 in codes
    assert set(codes) <= RESTART
    assert 'nothing to save' in pod.said(codes.index(75))
  assert not list((workdir / 'checkpoints').iterdir())


@more
def test_random_preemptions_end_the_same(tmp_path):
  """SIGTERM to one or both, at random moments; PREEMPTIONS=20 for more."""
  count = int(os.environ.get('PREEMPTIONS', '2'))
  steps = 100 * count
  arguments = (*ARGUMENTS, f'--config.train.steps={steps}')
  whole, workdir = tmp_path / 'whole', tmp_path / 'run'
  train(whole, 2, 1, *arguments)
  rng = np.random.default_rng(0)
  seen = []
  while len(seen) < count:
    with Pod(workdir, 2, 1, *arguments) as pod:
      pod.wait_for_word('start ')
      time.sleep(rng.uniform(0, 3))
      pod.send(signal.SIGTERM, *rng.permutation(2)[: rng.integers(1, 3)])
      codes = pod.codes(timeout=60)
    assert set(codes) <= RESTART
    seen.append((codes, newest(workdir)))
  print(seen)
  train(workdir, 2, 1, *arguments)
  assert digests(workdir, steps) == digests(whole, steps)
  assert record(workdir) == record(whole)


def newest(workdir):
  """The newest checkpoint's step; 0 for none."""
  names = [p.name for p in workdir.glob('checkpoints/[0-9]*')]
  return max((int(n) for n in names if n.isdigit()), default=0)


def losses(workdir):
  return np.array(
    [v['train/loss'] for v in record(workdir) if 'train/loss' in v]
  )


@pytest.mark.parametrize(
  'topologies',
  [
    [(1, 1), (2, 1), (1, 2)],
    pytest.param([(4, 1), (1, 4), (2, 2), (1, 1)], marks=more),
  ],
)
def test_other_topologies_continue_the_run(tmp_path, undisturbed, topologies):
  """Processes x devices, in equal parts of the steps."""
  workdir = tmp_path / 'run'
  for i, (processes, devices) in enumerate(topologies):
    end = STEPS * (i + 1) // len(topologies)
    train(
      workdir, processes, devices, *ARGUMENTS, f'--config.train.steps={end}'
    )
  expected, found = losses(undisturbed), losses(workdir)
  assert len(found) == len(expected) == STEPS
  difference = np.abs(found / expected - 1)
  between_batches = np.abs(np.diff(expected) / expected[1:])
  print(f'losses differ by {difference.max():.1e}, relative, at most; those of')
  print(
    f'neighbouring batches by {np.median(between_batches):.1e} in the median'
  )
  assert difference[:2].max() < 1e-6
  assert difference.max() < 0.1 * np.median(between_batches)


def test_processes_that_do_not_fit_are_refused(tmp_path):
  """Another config, another workdir: one line and exit code 2."""
  place = tmp_path / 'run'
  for flag, word in (
    ('--config.seed=1', 'the config of process 1'),
    (f'--workdir={tmp_path / "other"}', '--workdir of process 1'),
  ):
    with Pod(place, 2, 1, *ARGUMENTS, last=[flag]) as pod:
      assert pod.codes(timeout=60) == [2, 2]
      assert word in pod.said()


def test_a_coordinator_out_of_reach_is_an_error(tmp_path):
  arguments = (
    '--coordinator=localhost:1', '--num_processes=2', '--process_id=1',
    '--start_timeout=1',
  )  # fmt: skip
  result = run_main(SMOKE, f'--workdir={tmp_path}', *arguments, timeout=60)
  assert result.returncode not in (0, 2, 75)


def test_flags_of_processes_are_checked(tmp_path):
  for arguments, word in (
    (['--coordinator=here:1'], '--num_processes is missing'),
    (
      ['--coordinator=here', '--num_processes=2', '--process_id=0'],
      'HOST:PORT',
    ),
    (['--coordinator=a:1', '--num_processes=2', '--process_id=2'], 'in 0..1'),
  ):
    result = run_main(SMOKE, f'--workdir={tmp_path}', *arguments)
    assert result.returncode == 2
    assert word in result.stderr
