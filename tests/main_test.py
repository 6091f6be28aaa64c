"""main.py as a process: the commands of the README; SIGKILL."""

import json
import os
import pty
import select
import shutil
import signal
import termios
import time

import forking
import numpy as np
import pytest
from conftest import FEW, OPTIMISED, ROOT, SMOKE, run_main


def test_train_then_same_command_then_eval(finished):
  workdir, result = finished
  for word in ('first step done', 'mnist5k test, single: top-1 error', 'best'):
    assert word in result.stdout
  assert result.stderr == ''
  result = run_main(SMOKE, f'--workdir={workdir}', *FEW, env=OPTIMISED)
  assert result.returncode == 0
  assert 'at step 2 of 2 already' in result.stdout
  evaluated = []
  for config in ([SMOKE], []):  # without it, the run's own
    result = run_main(
      *config, f'--workdir={workdir}', '--mode=eval', env=OPTIMISED
    )
    assert result.returncode == 0, result.stderr
    evaluated.append(result.stdout.partition(';')[0])
  assert 'of 1,000)' in evaluated[0]
  assert evaluated[0] == evaluated[1]
  starts = (workdir / 'versions.jsonl').read_text().splitlines()
  assert [json.loads(s)['step'] for s in starts] == [0, 2]


@pytest.mark.slow
def test_help_shows_the_flags_and_the_configs():
  result = run_main('--help')
  assert (result.returncode, result.stderr) == (0, '')
  for word in ('--config ', '--workdir ', '--mode=train|eval', '--coordinator'):
    assert f'\n  {word}' in result.stdout
  assert 'configs/googlenet.py     GoogLeNet on ImageNet' in result.stdout
  result = run_main('--config=configs/resnet.py', '--help')
  assert (result.returncode, result.stderr) == (0, '')
  assert '  variant=resnet50 ' in result.stdout


@pytest.mark.slow
def test_without_a_workdir_the_run_is_named(tmp_path):
  config = f'--config={ROOT}/configs/lenet5.py:smoke'
  result = run_main(config, *FEW, cwd=tmp_path)
  assert result.returncode == 0, result.stderr
  place = tmp_path / 'runs/lenet5_mnist5k_smoke'
  assert f'workdir     {place}\n' in result.stdout
  assert (place / 'checkpoints/00000002').is_dir()
  result = run_main(config, '--mode=eval', cwd=tmp_path)
  assert result.returncode == 0, result.stderr
  assert list((place / 'results').iterdir())


def test_the_front_door_without_imagenet(tmp_path):
  result = run_main(
    f'--config={ROOT}/configs/googlenet.py', cwd=tmp_path,
    env={'TFDS_DATA_DIR': str(tmp_path)},
  )  # fmt: skip
  assert result.returncode == 2
  for way in (
    'tools.prepare_imagenet --out',
    ':data=folder',
    ':data=fake,smoke',
  ):
    assert way in result.stderr
  assert 'Traceback' not in result.stderr


@pytest.mark.slow
def test_a_terminal_shows_one_progress_line(tmp_path):
  ours, theirs = pty.openpty()
  termios.tcsetwinsize(theirs, (40, 100))
  name = os.ttyname(theirs)
  arguments = [
    SMOKE, f'--workdir={tmp_path}', '--config.train.steps=30',
    '--config.eval.batch_size=1000',
  ]  # fmt: skip
  process = forking.Process('main.py', arguments, {}, ROOT, name, name)
  said = b''
  while process.poll() is None or select.select([ours], [], [], 0)[0]:
    if select.select([ours], [], [], 0.1)[0]:
      said += os.read(ours, 1 << 16)
  os.close(ours)
  os.close(theirs)
  assert process.returncode == 0, said
  for word in (b'step 30/30', b'images/s, loss', b'ETA'):
    assert word in said


def _wait_for(step, checkpoints, process):
  """Returns when the save of a step, or of a later one, has begun."""
  deadline = time.monotonic() + 60
  name = f'{step:08d}'
  while not any(p.name >= name for p in checkpoints.glob('[0-9]*')):
    assert process.poll() is None
    assert time.monotonic() < deadline
    time.sleep(0.01)


def final_digests(workdir, step):
  place = workdir / 'checkpoints' / f'{step:08d}' / 'manifest' / 'metadata'
  return json.loads(place.read_text())['arrays']


@pytest.mark.slow
def test_killed_at_random_moments_ends_the_same(tmp_path):
  """SIGKILL while steps, saves and deletions go on. KILLS=20 for more runs."""
  kills = int(os.environ.get('KILLS', '2'))
  rng = np.random.default_rng(int(os.environ.get('KILL_SEED', '0')))
  steps = 48
  arguments = (
    SMOKE,
    f'--config.train.steps={steps}',
    '--config.checkpoint.every=3 steps',
    '--config.eval.every=24 steps',
  )
  # Of its own: a kill may leave half an entry in the compilation cache.
  cache = {'JAX_COMPILATION_CACHE_DIR': str(tmp_path / 'cache')}
  env = {**OPTIMISED, **cache}
  undisturbed = tmp_path / 'undisturbed'
  first = run_main(*arguments, f'--workdir={undisturbed}', env=env)
  assert first.returncode == 0
  expected = final_digests(undisturbed, steps)
  killed_at = []
  for i in range(kills):
    workdir = tmp_path / str(i)
    process = forking.Process(
      'main.py', [*arguments, f'--workdir={workdir}'], env, ROOT,
      os.devnull, os.devnull,
    )  # fmt: skip
    begun = 3 * rng.integers(1, steps // 3 - 3)
    _wait_for(begun, workdir / 'checkpoints', process)
    time.sleep(rng.uniform(0, 0.1))
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = sorted(p.name for p in (workdir / 'checkpoints').iterdir())
    result = run_main(*arguments, f'--workdir={workdir}', env=env)
    assert result.returncode == 0, result.stderr
    assert final_digests(workdir, steps) == expected
    killed_at.append(left)
    shutil.rmtree(workdir)
  print(f'{kills} kills; on disk when killed: {killed_at}')
  assert any(f'{steps:08d}' not in left for left in killed_at)
