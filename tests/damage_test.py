"""Damaged checkpoints: never loaded, set aside, and the run ends the same."""

import shutil

import pytest
from conftest import cases, make_config
from pod import digests, record

import train_lib
from errors import UserError
from experiment import create_experiment
from runtime import checkpoints
from training.state import abstract_state


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
  """The workdir of a run that stopped after 8 of the 12 steps; to be copied."""
  workdir = tmp_path_factory.mktemp('begun') / 'run'
  train_lib.train_and_evaluate(make_config(train__steps=8), str(workdir))
  return workdir


def _truncate(step):
  file = max((step / 'state').rglob('*'), key=_size)
  file.write_bytes(file.read_bytes()[: _size(file) // 2])


def _flip_a_byte(step):
  file = max((step / 'state').rglob('*'), key=_size)
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)


def _size(path):
  return path.stat().st_size if path.is_file() else 0


def _remove_a_file(step):
  max((step / 'state').rglob('*'), key=_size).unlink()


def _empty(step):
  shutil.rmtree(step)
  step.mkdir()


def _lose_the_manifest(step):
  shutil.rmtree(step / 'manifest')


def _misspell_the_manifest(step):
  file = step / 'manifest' / 'metadata'
  file.write_text(file.read_text().replace("['C1']", "['C0']", 1))


DAMAGES = [
  _truncate,
  _flip_a_byte,
  _remove_a_file,
  _empty,
  _lose_the_manifest,
  _misspell_the_manifest,
]


@pytest.mark.parametrize('damage', cases(DAMAGES, [_flip_a_byte]))
def test_damaged_newest_step_is_set_aside_and_the_run_ends_the_same(
  tmp_path, begun, whole, damage, capsys
):
  shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
  newest = tmp_path / 'checkpoints' / '00000008'
  damage(newest)
  train_lib.train_and_evaluate(make_config(), str(tmp_path))
  said = capsys.readouterr().out
  aside = tmp_path / 'damaged_checkpoints' / '00000008'
  assert f'damaged checkpoint {newest} set aside as {aside}' in said
  assert f'continues from {tmp_path / "checkpoints" / "00000004"}' in said
  assert aside.is_dir()
  assert digests(tmp_path, 12) == digests(whole, 12)
  assert record(tmp_path) == record(whole)


@pytest.mark.slow
def test_one_flipped_byte_anywhere_is_never_loaded(tmp_path, whole):
  """Either the state read is provably right, or an older step is used."""
  experiment = create_experiment(make_config())
  target = abstract_state(experiment)
  expected = digests(whole, 12)
  files = sorted((whole / 'checkpoints' / '00000012').rglob('*'))
  outcomes = set()
  for i, file in enumerate(f for f in files if _size(f)):
    place = tmp_path / str(i) / 'checkpoints'
    shutil.copytree(whole / 'checkpoints', place)
    copy = place / file.relative_to(whole / 'checkpoints')
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 0x10
    copy.write_bytes(content)
    store = checkpoints.Checkpoints(place, keep=2, keep_best=1)
    state, notes = store.restore_latest(target)
    store.close()
    step = int(state.step)
    assert step == 12 if not notes else step < 12
    if step == 12:
      assert checkpoints.manifest(state) == expected
    outcomes.add(bool(notes))
  assert True in outcomes


@pytest.mark.slow
def test_nothing_readable_means_nothing_changed(tmp_path):
  train_lib.train_and_evaluate(make_config(train__steps=4), str(tmp_path))
  _truncate(tmp_path / 'checkpoints' / '00000004')
  before = sorted(tmp_path.rglob('*'))
  with pytest.raises(UserError, match=r'no checkpoint in .* can be read'):
    train_lib.train_and_evaluate(make_config(), str(tmp_path))
  assert sorted(tmp_path.rglob('*')) == before
