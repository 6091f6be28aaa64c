"""What bad input gets: main.py as a process, one line, exit code 2."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import LENET, ROOT, SMOKE, run_main
from idx import write_idx

pytestmark = pytest.mark.slow  # a process each


def check_refused(result, *words):
  """One line, exit code 2, no traceback."""
  said = result.stderr + result.stdout
  assert result.returncode == 2, said
  assert 'Traceback' not in said
  lines = [line for line in said.splitlines() if line.startswith('error: ')]
  assert len(lines) == 1, said
  for word in words:
    assert word in lines[0]


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], ['--config is missing: see --help']),
    (['--workdir=nowhere'], ['and there is no', 'nowhere/config.json']),
    ([LENET + 'varian=x'], ["Did you mean 'variant'"]),
    ([LENET + 'variant=lenet'], ["Did you mean 'lenet5'"]),
    ([LENET + 'variant=vgg16'], ["Did you mean 'vgg_d' of configs/vgg.py?"]),
    ([SMOKE, '--config.train.stepz=3'],
     ["no config field 'train.stepz'. Did you mean 'steps'?"]),
    ([SMOKE, '--config.trian.steps=3'],
     ["no config field 'trian.steps'. Did you mean 'train'?"]),
    ([SMOKE, '--config.optimizer.lr=3'], ["Did you mean 'learning_rate'?"]),
    ([SMOKE, '--config.optimizer.name=adam'], ['Known: momentum, sdlm.']),
    ([SMOKE, '--config.data.options.builder=mnist'], ['data.options.builder']),
    ([SMOKE, '--config.train.steps=many'], ['config.train.steps', 'many']),
    ([SMOKE, '--config.optimizer.learning_rate=x'], ['learning_rate', 'x']),
    ([SMOKE, '--config.model.name=lenet6'], ["Did you mean 'lenet5'"]),
    ([SMOKE, '--config.train.batch_size=63', '--config.train.microbatch=2'],
     ['63', 'microbatch 2', '64 would']),
    ([SMOKE, '--config.train.steps=0'], ['train.steps is 0']),
    ([SMOKE, '--config.train.steps=5', '--config.train.epochs=1'],
     ['give one']),
    ([LENET + 'data=mnist', '--config.data.dir=/no/such'], ['/no/such']),
    (['--config=configs/lenet6.py'], ['configs/lenet6.py']),
    ([SMOKE, '--workdri=x'], ['workdri']),
    ([SMOKE, 'stray'], ['stray']),
    ([SMOKE, '--mode=test'], ['mode']),
  ],
)  # fmt: skip
def test_bad_input(tmp_path, arguments, words):
  place = tmp_path / 'run'
  if arguments:
    arguments = [*arguments, f'--workdir={place}']
  check_refused(run_main(*arguments, timeout=30), *words)
  assert not place.exists() or not list(place.iterdir())


def test_batch_that_does_not_divide_by_devices(tmp_path):
  flags = {'XLA_FLAGS': '--xla_force_host_platform_device_count=8'}
  arguments = [SMOKE, f'--workdir={tmp_path}', '--config.train.batch_size=60']
  check_refused(run_main(*arguments, env=flags), '60', '8 devices', '64 would')


def test_devices_that_are_not_there(tmp_path):
  for name in ('rocm', 'nonsense'):
    result = run_main(
      SMOKE, f'--workdir={tmp_path}/run', env={'JAX_PLATFORMS': name}
    )
    check_refused(result, f"JAX_PLATFORMS is '{name}'", 'unset it')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('damage', 'word'),
  [
    ('truncated', 'truncated'),
    ('magic', 'magic number'),
    ('label', 'label 11 of example 2'),
    ('unreadable', 'cannot be read'),
  ],
)
def test_bad_idx_files(tmp_path, damage, word):
  data = tmp_path / 'data'
  data.mkdir()
  labels = np.array([0, 1, 11 if damage == 'label' else 2], np.uint8)
  for stem in ('train', 't10k'):
    write_idx(
      data / f'{stem}-images-idx3-ubyte',
      np.zeros((3, 28, 28), np.uint8),
      b'\0\0\x0c\x03' if damage == 'magic' else None,
    )
    write_idx(data / f'{stem}-labels-idx1-ubyte', labels)
  file = data / 'train-images-idx3-ubyte'
  if damage == 'truncated':
    file.write_bytes(file.read_bytes()[:-1])
  if damage == 'unreadable':  # gzip in name and first bytes only
    file.write_bytes(b'\x1f\x8b' + b'garbage')
  result = run_main(
    LENET + 'data=mnist', f'--config.data.dir={data}', f'--workdir={tmp_path}/w'
  )
  check_refused(result, word, str(data))


@pytest.mark.skipif(
  os.geteuid() == 0 and not shutil.which('setpriv'),
  reason="root may write anywhere: needs util-linux's setpriv, or another user",
)
def test_workdir_that_is_not_writable(tmp_path):
  tmp_path.chmod(0o555)
  prefix = ()
  if os.geteuid() == 0:
    prefix = ('setpriv', '--bounding-set=-all', '--inh-caps=-all')
    locked = pathlib.Path('/proc/run')  # no one may make files there
    result = run_main(SMOKE, f'--workdir={locked}', prefix=prefix)
  else:
    result = run_main(SMOKE, f'--workdir={tmp_path}/run')
  check_refused(result, 'is not writable')


def test_workdir_of_another_architecture(finished):
  workdir, _ = finished
  before = {p: p.stat().st_mtime_ns for p in workdir.rglob('*')}
  result = run_main(
    LENET + 'smoke,variant=lenet5_modern', f'--workdir={workdir}'
  )
  check_refused(result, 'model.name: lenet5 there, lenet5_modern here')
  # The same of a run whose config is its own.
  result = run_main(f'--workdir={workdir}', '--config.data.image_size=36')
  check_refused(result, 'data.image_size: 32 there, 36 here')
  assert {p: p.stat().st_mtime_ns for p in workdir.rglob('*')} == before


def test_checkpoint_that_does_not_fit(finished, tmp_path):
  workdir, _ = finished
  result = run_main(
    LENET + 'smoke,variant=lenet5_modern',
    f'--config.init_from={workdir}',
    f'--workdir={tmp_path}',
  )
  check_refused(result, 'does not fit', "['C3']['kernel']", '[5, 5, 6, 16]')


def test_without_a_network_the_papers_data_names_mnist5k(tmp_path):
  # A proxy that refuses at once stands for a machine without a network.
  proxies = dict.fromkeys(('http_proxy', 'https_proxy'), 'http://127.0.0.1:9')
  env = {**proxies, 'XDG_CACHE_HOME': str(tmp_path / 'cache')}
  began = time.monotonic()
  result = run_main(LENET, f'--workdir={tmp_path}/run', env=env, timeout=60)
  check_refused(result, 'data=mnist5k', "data.name 'mnist'")
  assert time.monotonic() - began < 30


def _tmpfs_works():
  command = 'mount -t tmpfs -o size=1m none /mnt'
  run = subprocess.run(
    ['unshare', '-rm', 'sh', '-c', command], capture_output=True, check=False
  )
  return run.returncode == 0


def test_full_disk_keeps_the_last_good_checkpoint(tmp_path):
  if not shutil.which('unshare') or not _tmpfs_works():
    pytest.skip('needs a small file system: unshare -rm with mount -t tmpfs')
  # 3 MB hold the first checkpoints, of 0.5 MB each.
  arguments = (
    SMOKE,
    f'--workdir={tmp_path}/run',
    '--config.train.steps=1000',
    '--config.checkpoint.every=10 steps',
    '--config.checkpoint.keep=100',
    '--config.eval.every=1000 steps',
  )
  quoted = ' '.join(f"'{a}'" for a in (sys.executable, 'main.py', *arguments))
  script = (
    f'mount -t tmpfs -o size=3m none {tmp_path} && cd {ROOT} && {quoted}; '
    f'code=$?; ls {tmp_path}/run/checkpoints; exit $code'
  )
  result = subprocess.run(
    ['unshare', '-rm', 'sh', '-c', script],
    capture_output=True, text=True, check=False, timeout=240,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
  )  # fmt: skip
  check_refused(
    result,
    'no space left',
    'Last good checkpoint',
    f'{tmp_path}/run/checkpoints/',
  )
  error = result.stderr.split('Last good checkpoint: ')[1]
  assert pathlib.Path(error.split(';')[0]).name in result.stdout
