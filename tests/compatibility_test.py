"""Runs of an earlier commit are read, continued and evaluated as by itself.

tests/fixtures/README.md says what they are. Numbers below were printed by that
commit. What is read must be equal to the bit; what is computed is compared to
rounding, since other processors and versions round otherwise.
"""

import json
import pathlib
import tarfile

import pytest

import train_lib
from configs import lenet5, resnet_cifar
from evaluation import networks
from experiment import create_experiment
from runtime import checkpoints
from training.state import abstract_state

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
# Steps 21 to 25 of the run, by the commit that wrote it.
LOSSES = (47.93225, 49.99884, 48.10638, 47.91323, 48.52271)


def unpacked(name, place):
  with tarfile.open(FIXTURES / f'{name}.tar.gz') as archive:
    archive.extractall(place, filter='data')
  return place


@pytest.fixture
def workdir(tmp_path):
  """The workdir of LeNet-5 after 20 steps."""
  return unpacked('lenet5_workdir', tmp_path / 'lenet5')


def config_of_lenet5(steps):
  config = lenet5.get_config('smoke')
  config.train.update(steps=steps, log_every=1)
  # The recipe of that commit; that its weights started elsewhere is no matter.
  config.optimizer.learning_rate, config.loss.scale = 3e-3, 1.0
  config.checkpoint.update(keep=1, keep_best=0)
  return config


def saved(workdir, step):
  file = workdir / 'checkpoints' / f'{step:08d}' / 'manifest' / 'metadata'
  return json.loads(file.read_text())


def test_a_workdir_is_restored_to_the_bit(workdir):
  target = abstract_state(create_experiment(config_of_lenet5(25)))
  store = checkpoints.Checkpoints(workdir / 'checkpoints', 1, 0)
  state, notes = store.restore_latest(target)
  store.close()
  assert notes == []
  assert checkpoints.manifest(state) == saved(workdir, 20)['arrays']


def test_a_workdir_continues(workdir, capsys):
  result = train_lib.train_and_evaluate(config_of_lenet5(25), str(workdir))
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  values = [json.loads(line) for line in lines]
  losses = [
    v['train/loss'] for v in values if v['step'] > 20 and 'train/loss' in v
  ]
  assert losses == pytest.approx(LOSSES, rel=1e-5)
  assert result['eval/wrong'] == 900
  # Fields that are newer than the run are not said to have changed.
  said = capsys.readouterr().out
  new = [line for line in said.splitlines() if 'nothing -> ' in line]
  assert new == ['changed since the last start: loss.scale nothing -> 1.0']
  assert 'changed since the last start: train.steps 20 -> 25' in said
  assert result['eval/loss'] == pytest.approx(45.97044921875, rel=1e-5)


def test_a_workdir_is_evaluated(workdir):
  before = saved(workdir, 20)['metrics']
  result = train_lib.evaluate_only(config_of_lenet5(20), str(workdir))
  assert (result['wrong'], result['count']) == (900, 1000)
  assert before['wrong'] == result['wrong']
  assert result['loss'] == pytest.approx(before['loss'], rel=1e-6)


def test_a_checkpoint_by_itself_is_evaluated_by_its_average(tmp_path):
  place = unpacked('resnet20_checkpoint', tmp_path / 'alone')
  config = resnet_cifar.get_config('data=fake,smoke')
  config.model.width, config.train.average = 0.25, 0.9
  config.data.options.examples = 256
  config.init_from = str(place / '00000003')
  result = train_lib.evaluate_only(config, str(tmp_path / 'results'))
  assert (result['wrong'], result['count']) == (236, 256)
  assert result['loss'] == pytest.approx(7.774723529815674, rel=1e-5)


def test_its_parameters_are_those_of_the_manifest(tmp_path):
  place = unpacked('resnet20_checkpoint', tmp_path / 'alone') / '00000003'
  variables = networks.load_variables(
    'resnet20_cifar', str(place), num_classes=10, width=0.25
  )
  arrays = json.loads((place / 'manifest' / 'metadata').read_text())['arrays']
  found = checkpoints.manifest(variables)
  assert len(found) == sum(
    '.params' in k or '.model_state' in k for k in arrays
  )
  for name, entry in found.items():
    old = name.replace("['params']", '.params', 1)
    if old == name:
      old = f'.model_state{name}'
    assert entry == arrays[old]
