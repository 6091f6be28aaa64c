"""One run at a time in a workdir."""

import signal
import subprocess
import sys

import pytest
from conftest import ROOT, make_config

import train_lib
from errors import UserError
from runtime import claim, storage
from runtime.claim import Claim

HOLDER = """
import pathlib, sys, time
from runtime.claim import Claim
claim = Claim(pathlib.Path(sys.argv[1]))
claim.take()
print('taken', flush=True)
time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
  process = subprocess.Popen(
    [sys.executable, '-c', HOLDER, str(tmp_path)],
    stdout=subprocess.PIPE, text=True, cwd=ROOT,
  )  # fmt: skip
  assert process.stdout.readline() == 'taken\n'
  yield process
  process.kill()
  process.wait()
  process.stdout.close()


@pytest.mark.slow
def test_the_second_run_is_refused_and_a_dead_one_is_no_hindrance(
  tmp_path, other_process
):
  config = make_config(train__steps=2, eval__every='2 steps')
  words = f'is in use by process {other_process.pid} on .* since 20'
  with pytest.raises(UserError, match=words):
    train_lib.train_and_evaluate(config, str(tmp_path))
  assert [p.name for p in tmp_path.iterdir()] == [claim.NAME]
  other_process.send_signal(signal.SIGKILL)
  other_process.wait()
  train_lib.train_and_evaluate(config, str(tmp_path))
  own = Claim(tmp_path)
  own.take()  # given back at the end
  own.release()


def test_a_claim_cut_by_a_kill_is_none(tmp_path):
  (tmp_path / claim.NAME).write_text('{"process": 1')
  own = Claim(tmp_path)
  own.take()
  with pytest.raises(UserError, match='in use by process'):
    Claim(tmp_path).take()
  own.release()
  Claim(tmp_path).take()


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  """A place without locks, where a claim has to be renewed."""

  def write(place, content):  # an object appears whole or not at all
    place.with_suffix('.new').write_text(content)
    place.with_suffix('.new').replace(place)

  monkeypatch.setattr(storage, 'is_local', lambda _: False)
  monkeypatch.setattr(storage, 'write', write)
  monkeypatch.setattr(claim, '_RENEW_SECONDS', 0.1)
  return tmp_path


def test_without_locks_a_claim_that_is_renewed_is_refused(bucket):
  own = Claim(bucket)
  own.take()
  with pytest.raises(UserError, match='in use by process'):
    Claim(bucket).take()
  own.release()
  assert not (bucket / claim.NAME).exists()
  Claim(bucket).take()


@pytest.mark.parametrize('host', ['', 'elsewhere'])
def test_without_locks_a_claim_that_is_not_renewed_is_taken(
  bucket, host, capsys
):
  me = claim._me()
  (bucket / claim.NAME).write_text(
    f'{{"process": 4194304, "host": "{host or me["host"]}", "since": "x"}}'
  )
  own = Claim(bucket)
  own.take()
  # Of this machine it is known at once that no such process lives.
  assert ('looking whether it lives' in capsys.readouterr().out) == bool(host)
  own.release()
