"""The same run on 1 and 8 devices, and on 1, 2 and 4 processes.

Fewer parts than here only with DEEP=1 in the environment, fewer processes and
more of them for the ResNet with PODS=1.
"""

import json
import os
import socket

import forking
import numpy as np
import pytest
from conftest import ROOT
from photographs import make_folder

BASE = {'train__batch_size': 64, 'train__steps': 12, 'eval__batch_size': 64}
BASE |= {'eval__every': '12 steps', 'checkpoint__every': '6 steps'}
# At a small rate rounding of sums in another order is not amplified.
BASE |= {'optimizer__learning_rate': 1e-4}

pytestmark = pytest.mark.slow
deep = pytest.mark.skipif(
  'DEEP' not in os.environ, reason='of the form of another: run with DEEP=1'
)
more = pytest.mark.skipif(
  'PODS' not in os.environ, reason='takes long: run with PODS=1'
)


def start(workdir, devices=1, **task):
  """Starts a worker process; `finish` waits for it."""
  task = {'workdir': str(workdir), 'fields': BASE, **task}
  flags = f'--xla_force_host_platform_device_count={devices}'
  said = workdir.with_name(f'{workdir.name}_{task.get("process", 0)}.log')
  return said, forking.Process(
    'tests/worker.py', [json.dumps(task)], {'XLA_FLAGS': flags}, ROOT, said,
    f'{said}.errors',
  )  # fmt: skip


def finish(started):
  said, process = started
  assert process.wait(timeout=300) == 0
  return json.loads(said.read_text().splitlines()[-1])


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  values = [json.loads(line) for line in lines]
  return [v['train/loss'] for v in values if 'train/loss' in v]


@pytest.fixture(scope='module')
def one_device(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('one')
  return finish(start(workdir, digests=100)), losses(workdir)


def check_same(got, workdir, expected):
  result, expected_losses = expected
  if got['digests']:
    assert got['digests'] == result['digests']
    assert len(set(got['digests'])) == 100
  found = losses(workdir)
  assert len(found) == len(expected_losses) == 12
  np.testing.assert_allclose(found[:2], expected_losses[:2], rtol=1e-6)
  np.testing.assert_allclose(found, expected_losses, rtol=1e-5)
  ours, theirs = got['result'], result['result']
  assert ours['eval/count'] == 1000
  assert ours['eval/loss'] == pytest.approx(theirs['eval/loss'], rel=1e-5)
  # An image between two classes may fall to either.
  assert abs(ours['eval/wrong'] - theirs['eval/wrong']) <= 2


@pytest.mark.parametrize(
  'microbatch', [pytest.param(1, marks=deep), pytest.param(2, marks=deep), 4]
)
def test_eight_devices_train_as_one(tmp_path, one_device, microbatch):
  fields = {**BASE, 'train__microbatch': microbatch}
  got = finish(start(tmp_path, devices=8, fields=fields, digests=100))
  check_same(got, tmp_path, one_device)


@deep  # one step of it: tests/trainer_test.py
@pytest.mark.parametrize('microbatch', [2, 4])
def test_microbatches_train_as_the_whole(tmp_path, one_device, microbatch):
  fields = {**BASE, 'train__microbatch': microbatch}
  check_same(finish(start(tmp_path, fields=fields)), tmp_path, one_device)


def start_all(workdir, processes, **task):
  with socket.socket() as s:
    s.bind(('localhost', 0))
    address = f'localhost:{s.getsockname()[1]}'
  return [
    start(workdir, coordinator=address, processes=processes, process=i, **task)
    for i in range(processes)
  ]


@pytest.mark.parametrize('processes', [pytest.param(2, marks=more), 4])
def test_processes_train_as_one(tmp_path, one_device, processes):
  for got in [finish(w) for w in start_all(tmp_path, processes, digests=100)]:
    check_same(got, tmp_path, one_device)


@pytest.mark.parametrize('processes', [2, pytest.param(4, marks=more)])
def test_a_resnet_on_photographs_trains_as_one(tmp_path, processes):
  folder = str(make_folder(tmp_path / 'photographs', 4, 40, 9))
  task = {
    'folder': folder,
    'digests': 12,
    'fields': {'train__batch_size': 32, 'train__steps': 2},
  }
  one, many = tmp_path / 'one', tmp_path / 'many'
  expected = finish(start(one, **task))
  for got in [finish(w) for w in start_all(many, processes, **task)]:
    assert got['digests'] == expected['digests']
    assert len(set(got['digests'])) == 12
    assert got['result']['eval/count'] == 4 * 9
  np.testing.assert_allclose(losses(many), losses(one), rtol=1e-6)
  assert len(losses(one)) == 2
