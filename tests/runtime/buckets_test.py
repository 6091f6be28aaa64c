"""Runs whose workdir is gs://BUCKET/..., on an emulator of Cloud Storage.

The emulator, with what bucket_server.py adds, serves what gcsfs, TensorStore
and google-cloud-storage ask for; it has no credentials, permissions, limits of
rate, pages of long listings, or folders.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import cv2
import forking
import fsspec
import numpy as np
import pytest
from conftest import ROOT, make_config, run_main
from google.cloud import storage as google
from pod import SMOKE, Pod, digests, record
from preemption_test import StopAt

import train_lib
from errors import UserError
from evaluation.saving import FILES
from experiment import create_experiment
from runtime import checkpoints, claim, storage
from runtime.preemption import PreemptedError
from training.state import abstract_state

pytestmark = pytest.mark.slow

STEPS = 40
LONG = (
  SMOKE,
  f'--config.train.steps={STEPS}',
  '--config.checkpoint.every=10 steps',
  '--config.eval.every=20 steps',
  '--config.eval.batch_size=100',
)


class Stopped(BaseException):
  """Stands for a kill."""


@pytest.fixture(scope='module', autouse=True)
def emulator():
  """Serves the empty bucket 'runs' to this process and its children."""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    port = s.getsockname()[1]
  url = f'http://localhost:{port}'
  command = [sys.executable, str(ROOT / 'tests/bucket_server.py'), str(port)]
  server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('STORAGE_EMULATOR_HOST', url)  # gcsfs, google-cloud-storage
    patch.setenv('TENSORSTORE_GCS_HTTP_URL', url)
    patch.setenv('NO_GCE_CHECK', 'true')  # no search for a login
    for _ in range(300):
      try:
        urllib.request.urlopen(url).close()
        break
      except OSError:
        time.sleep(0.1)
    yield
  server.kill()
  server.wait()


@pytest.fixture
def place(request):
  """A workdir of its own for each test."""
  name = ''.join(c if c.isalnum() else '_' for c in request.node.name)
  return storage.path(f'gs://runs/{name}')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """The undisturbed run of 12 steps, on the disk."""
  workdir = tmp_path_factory.mktemp('whole')
  train_lib.train_and_evaluate(config(), str(workdir))
  return workdir


@pytest.fixture(scope='module')
def there():
  """The same run in a bucket; who damages it mends it."""
  place = storage.path('gs://runs/there')
  train_lib.train_and_evaluate(config(profile='steps 6 to 7'), str(place))
  return place


def config(**fields):
  return make_config(eval__batch_size=250, **fields)


def check_equals(place, whole):
  assert digests(place, 12) == digests(whole, 12)
  assert record(place) == record(whole)


def test_a_run_is_that_of_a_disk(there, whole, tmp_path):
  place = there
  check_equals(place, whole)
  assert 'tensorflow' not in sys.modules
  names = {p.name.split('.out.')[0] for p in place.iterdir()}
  on_disk = {p.name.split('.out.')[0] for p in whole.iterdir()}
  # A lock stays as an empty file.
  assert names == on_disk - {claim.NAME} | {'profile'}
  profiles = place / 'profile/plugins/profile/steps_6_to_7'
  traces = {p.name: len(p.read_bytes()) for p in profiles.iterdir()}
  assert set(traces) == {'process_0.xplane.pb', 'process_0.trace.json.gz'}
  assert min(traces.values()) > 10_000
  (events,) = place.glob('events*')
  (tmp_path / events.name).write_bytes(events.read_bytes())
  from tensorboard.backend.event_processing import (  # noqa: PLC0415  slow
    event_accumulator,
  )

  read = event_accumulator.EventAccumulator(str(tmp_path))
  read.Reload()
  assert [e.step for e in read.Scalars('eval/top1_error')] == [4, 8, 12]

  train_lib.train_and_evaluate(config(), str(place))  # finished already
  starts = (place / 'versions.jsonl').read_text().splitlines()
  assert [json.loads(line)['step'] for line in starts] == [0, 12]

  result = train_lib.evaluate_only(config(), str(place))
  written = json.loads(
    (place / 'results' / 'lenet5.mnist5k.single.json').read_text()
  )
  assert written['result']['wrong'] == result['wrong']

  saving = config(eval__save=f'{place}/saved')
  train_lib.evaluate_only(saving, str(place))
  there = {p.name: p.read_bytes() for p in (place / 'saved').iterdir()}
  assert there.keys() == set(FILES)
  wrong = json.loads(there['result.json'])['result']['wrong']
  assert wrong == result['wrong']
  assert there['predictions.csv'].count(b'\n') == 1001
  (place / 'saved' / 'result.json').unlink()
  with pytest.raises(UserError, match=r'predictions.csv is there, and is not'):
    train_lib.evaluate_only(saving, str(place))

  other = tmp_path / 'other'
  start = make_config(train__steps=4, init_from=str(place))
  train_lib.train_and_evaluate(start, str(other))
  assert digests(other, 4)


def test_predictions_and_plots_read_it(there, tmp_path):
  cv2.imwrite(str(tmp_path / 'digit.png'), np.eye(28, dtype=np.uint8) * 255)
  for command in (
    ['tools.predict', SMOKE, f'--workdir={there}', str(tmp_path / 'digit.png')],
    ['tools.visualize', 'curves', '--metric=eval/loss',
     f'--out={tmp_path / "a.png"}', str(there)],
  ):  # fmt: skip
    done = forking.run(*command)
    assert done.returncode == 0, done.stderr


def test_stopped_and_continued_ends_the_same(place, whole):
  """In a step, in an evaluation, in that of the last step."""
  for call, evaluated in ((3, []), (3, []), (19, [4, 8])):
    with pytest.raises(PreemptedError, match='the same command'):
      train_lib.train_and_evaluate(config(), str(place), None, StopAt(call))
    found = [v['step'] for v in record(place) if 'eval/count' in v]
    assert found == evaluated
  for _ in range(2):
    train_lib.train_and_evaluate(config(), str(place))
    check_equals(place, whole)
  assert not (place / 'replaced_checkpoint').exists()


@pytest.mark.skipif(
  'DEEP' not in os.environ, reason='on a disk in main_test: run with DEEP=1'
)
def test_killed_and_continued_ends_the_same(place, tmp_path):
  undisturbed = tmp_path / 'undisturbed'
  assert run_main(*LONG, f'--workdir={undisturbed}').returncode == 0
  with Pod(tmp_path / 'killed', 1, 1, *LONG, f'--workdir={place}') as pod:
    begun = place / 'checkpoints' / '00000020'  # perhaps not whole yet
    pod.wait_until(begun.exists)
    pod.send(signal.SIGKILL)
    assert pod.codes() == [-signal.SIGKILL]
  assert not (place / 'checkpoints' / f'{STEPS:08d}').exists()
  result = run_main(*LONG, f'--workdir={place}')
  assert result.returncode == 0, result.stderr
  assert 'continues from' in result.stdout
  assert f'checkpoint  {place}/checkpoints/{STEPS:08d}' in result.stdout
  assert digests(place, STEPS) == digests(undisturbed, STEPS)
  assert record(place) == record(undisturbed)


def test_two_processes_are_those_of_a_disk(place, tmp_path):
  arguments = (SMOKE, '--config.train.steps=4', '--config.eval.batch_size=500')
  with Pod(tmp_path / 'disk', 2, 1, *arguments) as pod:
    assert pod.codes() == [0, 0], pod.said()
  with Pod(tmp_path / 'b', 2, 1, *arguments, f'--workdir={place}') as pod:
    assert pod.codes() == [0, 0], pod.said()
  assert digests(place, 4) == digests(tmp_path / 'disk', 4)
  assert record(place) == record(tmp_path / 'disk')
  assert not list(place.glob('.seen*'))


def test_an_array_with_a_flipped_byte_is_set_aside(there, whole, capsys):
  newest = there / 'checkpoints' / '00000012'
  files = fsspec.filesystem('gcs').find(str(newest / 'state'), detail=True)
  file = storage.path('gs://' + max(files, key=lambda f: files[f]['size']))
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  train_lib.train_and_evaluate(config(), str(there))
  aside = there / 'damaged_checkpoints' / '00000012'
  said = capsys.readouterr().out
  assert f'damaged checkpoint {newest} set aside as {aside}' in said
  assert aside.is_dir()
  check_equals(there, whole)


def test_a_save_that_was_cut_short_is_no_checkpoint(there, whole):
  newest = there / 'checkpoints' / '00000012'
  (newest / 'commit_success.txt').unlink()
  with pytest.raises(UserError, match='holds no checkpoint'):
    checkpoints.load_parameters(str(newest), {})
  train_lib.train_and_evaluate(config(), str(there))
  check_equals(there, whole)


class Kill:
  """Raises Stopped at the n-th copied or removed object."""

  def __init__(self, patch, at):
    self.left = at
    self.buckets = fsspec.filesystem('gcs')
    copy = self.buckets.cp_file

    def cp_file(*arguments):
      self.count()
      copy(*arguments)

    def rmtree(path):  # the marker would be one of the last
      for name in sorted(self.buckets.find(str(path)), reverse=True):
        self.count()
        self.buckets.rm_file(name)

    patch.setattr(self.buckets, 'cp_file', cp_file)
    patch.setattr(storage.epath.backend.fsspec_backend, 'rmtree', rmtree)

  def count(self):
    self.left -= 1
    if self.left < 0:
      raise Stopped


@pytest.mark.parametrize('back', [False, True])
def test_killed_anywhere_in_a_move_one_checkpoint_is_whole(place, whole, back):
  """While one is moved aside, to be replaced; and while it is moved back."""
  target = abstract_state(create_experiment(config()))
  home = place / 'checkpoints'
  source = home / '00000012'
  aside = place / 'replaced_checkpoint' / '00000012'
  put = fsspec.filesystem('gcs').put
  put(f'{whole}/checkpoints/00000012/', f'{source}/', recursive=True)
  if back:
    storage.move_directory(source, aside, 'commit_success.txt')
  stops = 0
  while True:
    with pytest.MonkeyPatch.context() as patch:
      Kill(patch, stops)
      try:
        if back:
          checkpoints.Checkpoints(home, 2, 1).close()
        else:
          storage.move_directory(source, aside, 'commit_success.txt')
        break
      except Stopped:
        stops += 2 if 'DEEP' in os.environ else 9
    if not back:
      check_is_whole(home, target, whole)
      assert not aside.parent.exists()
  assert stops > 15
  check_is_whole(home, target, whole)


def check_is_whole(home, target, whole):
  store = checkpoints.Checkpoints(home, 2, 1)
  state, notes = store.restore_latest(target)
  store.close()
  assert notes == []
  assert checkpoints.manifest(state) == digests(whole, 12)


@pytest.mark.parametrize('end', [b'\r', b'\n', b'\r\n', b''])
def test_the_bucket_keeps_every_byte(place, tmp_path, end):
  content = bytes(range(256)) + end
  (tmp_path / 'file').write_bytes(content)
  fsspec.filesystem('gcs').put(str(tmp_path / 'file'), str(place / 'put'))
  storage.write(place / 'written', content)
  assert (place / 'put').read_bytes() == content
  assert (place / 'written').read_bytes() == content


def test_what_others_write_is_seen(place):
  storage.write(place / 'a', 'mine')
  assert [p.name for p in place.iterdir()] == ['a']
  bucket = google.Client().bucket('runs')
  bucket.blob(f'{place.name}/b').upload_from_string('of another process')
  assert sorted(p.name for p in place.iterdir()) == ['a', 'b']
  assert (place / 'b').exists()


def test_growing_files_are_copied_now_and_then(place, monkeypatch):
  growing = storage.Growing(place)
  file = growing.directory / 'a'

  def grow():
    with file.open('a') as out:
      out.write('line\n')

  grow()
  growing.upload()
  for now, lines in ((False, 1), (True, 3)):
    grow()
    growing.upload(now=now)
    assert len((place / 'a').read_text().splitlines()) == lines
  monkeypatch.setattr(storage, '_UPLOAD_SECONDS', 0)
  grow()
  growing.upload(now=False)
  assert len((place / 'a').read_text().splitlines()) == 4
  grow()
  growing.close()
  assert len((place / 'a').read_text().splitlines()) == 5
  assert not growing.directory.exists()


def test_what_is_missing_is_said_in_one_line(monkeypatch):
  result = run_main(SMOKE, '--workdir=gs://nowhere/run')
  assert result.returncode == 2
  assert result.stderr.startswith('error: gs://nowhere cannot be reached')
  assert len(result.stderr.splitlines()) == 1
  data = make_config(data__dir='gs://runs/data')
  with pytest.raises(UserError, match='Copy them to a disk'):
    train_lib.train_and_evaluate(data, 'gs://runs/none')
  monkeypatch.setattr(storage.importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(UserError, match='gs://runs/run: pip install gcsfs'):
    storage.path('gs://runs/run')
