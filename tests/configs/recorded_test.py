"""A run's config comes back from the file that it left."""

import json

import pytest
from ml_collections import ConfigDict

import config_lib
from configs import catalogue, recorded
from errors import UserError
from runtime import workdir


def every_config():
  """The default of each file, and each argument by itself."""
  for path in catalogue.files():
    module = catalogue.load(path)
    yield pytest.param(path, '', id=path)
    for key, argument in module.get_arguments().items():
      for word in [f'{key}={v}' for v in argument.values[1:]] or [key]:
        yield pytest.param(path, word, id=f'{path}:{word}')


def types_of(config, path=''):
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from types_of(value, f'{path}{name}.')
    else:
      yield f'{path}{name}', type(value)


@pytest.mark.parametrize(('path', 'words'), list(every_config()))
def test_a_config_is_read_as_it_was_written(tmp_path, path, words):
  try:
    config = catalogue.load(path).get_config(words)
  except UserError:  # not without another argument
    return
  workdir.record_start(tmp_path, config, 0)
  found = recorded.read(str(tmp_path / 'config.json'))
  assert found.to_dict() == config.to_dict()
  assert dict(types_of(found)) == dict(types_of(config))
  with pytest.raises(AttributeError):
    found.nothing = 1


def test_its_length_can_be_set_and_sections_follow_what_they_name(tmp_path):
  config = catalogue.load('configs/lenet5.py').get_config('optimizer=sdlm')
  workdir.record_start(tmp_path, config, 0)
  found = recorded.read(str(tmp_path / 'config.json'))
  given = {'train.steps': '7', 'optimizer.name': 'momentum'}
  config_lib.make_room(found, given)
  assert 'mu' not in found.optimizer
  found.train.steps, found.optimizer.name = 7, 'momentum'
  config_lib.apply_overrides(found, given)
  assert (found.train.steps, found.train.epochs) == (7, None)


def test_a_run_is_looked_at_and_not_what_it_started_from(tmp_path):
  config = catalogue.load('configs/lenet5.py').get_config()
  config.init_from = 'a.npz'
  workdir.record_start(tmp_path, config, 0)
  path = str(tmp_path / 'config.json')
  assert recorded.read(path).init_from == 'a.npz'  # to go on training
  looked_at = recorded.read_trained(path)
  assert looked_at.init_from == ''
  looked_at.init_from = 'a.npz'
  assert looked_at.to_dict() == config.to_dict()


def test_a_profile_is_of_the_start_that_was_asked_for_it(tmp_path):
  config = catalogue.load('configs/lenet5.py').get_config()
  config.profile = 'steps 20 to 30'
  workdir.record_start(tmp_path, config, 0)
  assert recorded.read(str(tmp_path / 'config.json')).profile == ''


def test_what_is_not_there_yet_is_the_default(tmp_path):
  config = catalogue.load('configs/lenet5.py').get_config()
  old = workdir.as_json(config)
  del old['train']['average'], old['init_layers']
  (tmp_path / 'config.json').write_text(json.dumps(old))
  found = recorded.read(str(tmp_path / 'config.json'))
  assert (found.train.average, found.init_layers) == (0.0, ())


def test_what_is_damaged_or_missing_is_said(tmp_path):
  with pytest.raises(FileNotFoundError):
    recorded.read(str(tmp_path / 'config.json'))
  (tmp_path / 'config.json').write_text('{"train": 3}')
  with pytest.raises(UserError, match='cannot be read'):
    recorded.read(str(tmp_path / 'config.json'))
