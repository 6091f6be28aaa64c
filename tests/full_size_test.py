"""The ImageNet configs as a person runs them: full width, full resolution."""

import json
import math
import os
import shutil

import pytest
from conftest import run_main
from photographs import make_folder

pytestmark = pytest.mark.slow
# Batches that fit into memory, and into minutes on 2 cores.
RUNS = {
  'alexnet:data=folder': {},
  'zfnet:data=folder': {},
  # Deeper ones start from a trained A.
  'vgg:data=folder,variant=vgg_a': {},
  'googlenet:data=folder': {},
  'resnet:data=folder': {'train.statistics_batches': 2},  # 200 in the file
}


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
  """Nine photographs of three classes, and six for tests: 500x375."""
  root = tmp_path_factory.mktemp('photographs')
  return make_folder(root, train=3, val=2, height=375, width=500)


@pytest.mark.parametrize('text', RUNS)
def test_two_steps_then_a_third(text, photographs, tmp_path):
  if 'DEEP' not in os.environ:
    pytest.skip('takes minutes: run with DEEP=1 in the environment')
  name, _, argument = text.partition(':')
  workdir = tmp_path / 'run'
  fields = {'data.dir': photographs, 'train.batch_size': 4, **RUNS[text]}
  command = (
    f'--config=configs/{name}.py:{argument}',
    f'--workdir={workdir}',
    *(f'--config.{k}={v}' for k, v in fields.items()),
  )
  for steps in (2, 3):
    result = run_main(*command, f'--config.train.steps={steps}', timeout=600)
    print(result.stdout)
    assert result.returncode == 0, result.stderr
    assert f'step {steps}: folder test, center: top-1' in result.stdout
  assert 'continues from' in result.stdout
  assert 'steps 2 to 3' in result.stdout
  starts = (workdir / 'versions.jsonl').read_text().splitlines()
  assert [json.loads(line)['step'] for line in starts] == [0, 2]
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  values = [json.loads(line) for line in lines]
  losses = {v['step']: v['train/loss'] for v in values if 'train/loss' in v}
  assert sorted(losses) == [2, 3]
  assert all(map(math.isfinite, losses.values()))
  tests = [v for v in values if 'eval/count' in v]
  assert [v['step'] for v in tests] == [2, 3]
  assert all(v['eval/count'] == 6 for v in tests)
  assert all(math.isfinite(v['eval/loss']) for v in tests)
  assert (workdir / 'checkpoints' / '00000003').is_dir()
  shutil.rmtree(workdir)  # gigabytes
