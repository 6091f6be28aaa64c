"""The config of a run, from the config.json that it left."""

from typing import Any

from ml_collections import ConfigDict

from configs import default
from runtime import storage, workdir

# Their fields are those of `configs/default.py`; other sections have those of
# what they name.
_FIXED = ('data', 'train', 'eval', 'checkpoint')


def read(path: str) -> ConfigDict:
  """Returns the config in a file that `runtime.workdir.record_start` wrote.

  What a field stands for that the file does not have, since it was written
  before there was one: its default.

  Raises:
    UserError: the file is damaged.
    FileNotFoundError: there is none.
  """
  file = storage.path(path)
  found = workdir.read_config(file.parent)
  if not found:
    raise FileNotFoundError(f'{path}: no such file')
  config = default.get_config()
  with config.unlocked():
    for name, value in found.items():
      if name not in _FIXED:
        config[name] = _as_config(value)
        continue
      for field, inner in value.items():
        if inner is not None:  # a length that is not the one that is set
          config[name][field] = _as_config(inner)
  config.profile = ''  # of steps of one start, which are over
  config.lock()
  return config


def read_trained(path: str) -> ConfigDict:
  """As `read`, of a run that is looked at: without what it started from.

  There `init_from` names what is looked at in place of the run.
  """
  config = read(path)
  config.init_from = ''
  return config


def _as_config(value: Any) -> Any:
  """JSON has no tuples."""
  if isinstance(value, dict):
    return ConfigDict({k: _as_config(v) for k, v in value.items()})
  if isinstance(value, list):
    return tuple(_as_config(v) for v in value)
  return value
