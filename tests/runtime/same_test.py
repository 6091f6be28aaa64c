"""What processes must have in common, told as two of them would tell it."""

import pathlib

import numpy as np
import pytest
import two_processes
from conftest import make_config
from jax.experimental import multihost_utils

from errors import UserError
from runtime import distributed
from runtime import workdir as workdir_lib

RATE = make_config().optimizer.learning_rate
VERSIONS = {'git': 'abc', 'python': '3.11.1', 'processes': 2}


@pytest.fixture
def alike(monkeypatch, tmp_path):
  """Returns the check of a process beside one that has the usual things."""
  versions = dict(VERSIONS)
  monkeypatch.setattr(workdir_lib, 'versions', lambda: dict(versions))
  monkeypatch.setattr(distributed, '_check_shared', lambda place: None)

  def run(fields=(), place=tmp_path, files='1234', **found):
    versions.update(found)
    config = make_config(**dict(fields))
    distributed.check_same(config, place, {'the mean image': files})

  others = two_processes.say(monkeypatch, run)
  two_processes.hear(monkeypatch, others)
  return run


def test_processes_that_are_alike_go_on(alike):
  alike()


@pytest.mark.parametrize(
  ('mine', 'named'),
  [
    ({'fields': {'seed': 1}}, 'the config'),
    ({'fields': {'optimizer__learning_rate': float(np.nextafter(RATE, 1))}},
     'the config'),
    ({'fields': {'data__options': {'held_out': 10}}}, 'the config'),
    ({'place': pathlib.Path('/elsewhere')}, '--workdir'),
    ({'place': None}, '--workdir'),
    ({'files': '1235'}, 'the mean image'),
    ({'git': 'abc+changes'}, r'the code \(git\)'),
    ({'python': '3.11.2'}, 'Python, libraries or devices'),
  ],
)  # fmt: skip
def test_what_differs_is_named_by_its_process(alike, mine, named):
  with pytest.raises(UserError, match=f'^{named} of process 1 is not that of'):
    alike(**mine)


@pytest.mark.parametrize('seen', [True, False])
def test_a_workdir_that_another_process_does_not_see_is_refused(
  monkeypatch, tmp_path, seen
):
  """Each has a disk of its own at the same path."""
  monkeypatch.setattr(multihost_utils, 'sync_global_devices', lambda name: None)
  monkeypatch.setattr(multihost_utils, 'broadcast_one_to_all', lambda x: x)
  monkeypatch.setattr(
    multihost_utils,
    'process_allgather',
    lambda mine: np.array([mine, [seen]]),
  )
  if seen:
    distributed._check_shared(tmp_path)
  else:
    with pytest.raises(UserError, match=r'of process 1 .* one directory on a'):
      distributed._check_shared(tmp_path)
  assert not list(tmp_path.iterdir())
