"""The one exception that is meant for the person at the keyboard."""

import difflib
import errno
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

# Of an OSError, where a person has to make room.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What people type for a field or a value, by habit from elsewhere.
_USUAL = {
  'lr': 'learning_rate',
  'rate': 'learning_rate',
  'wd': 'weight_decay',
  'decay': 'weight_decay',
  'l2': 'weight_decay',
  'bs': 'batch_size',
  'batch': 'batch_size',
  'num_epochs': 'epochs',
  'num_steps': 'steps',
  'max_steps': 'steps',
  'data_dir': 'dir',
  'path': 'dir',
  'dataset': 'data',
  'optim': 'optimizer',
  'scheduler': 'schedule',
  'sgd': 'momentum',
  'cross_entropy': 'softmax',
  'imagenet': 'imagenet2012',
  'imagefolder': 'folder',
  'image_folder': 'folder',
}


class UserError(Exception):
  """Something that a person has to mend: input, disk, or a diverged run.

  The message is one line: the field or file, its value, and the way out.
  `main.py` prints it without a traceback and exits with `EXIT_CODE`, on which
  a launcher should not restart.
  """

  EXIT_CODE = 2


def closest(word: str, known: Iterable[str]) -> str:
  """Returns ' Did you mean X?' for the nearest known word, else the list."""
  known = list(known)
  near = [_USUAL.get(str(word).lower(), '')]
  if near[0] not in known:
    near = difflib.get_close_matches(str(word), known, n=1)
  if near:
    return f" Did you mean '{near[0]}'?"
  return f' Known: {", ".join(known) or "none"}.'


def select(
  section: str,
  name: str,
  table: Mapping[str, Any],
  fields: Mapping[str, Any],
  skip: int = 0,
) -> Any:
  """Returns `table[name]` after checking that it takes exactly `fields`.

  Config sections name a function and give its arguments; this is where a typo
  in either is caught.

  Args:
    section: of the config, for the message; also 'section.field'.
    name: key of the table.
    table: functions by name.
    fields: keyword arguments that the config gives.
    skip: number of leading parameters that do not come from the config.

  Raises:
    UserError: unknown name or field (names the closest), or a missing field.
  """
  if name not in table:
    raise UserError(f"{section} '{name}' is unknown.{closest(name, table)}")
  parameters = list(inspect.signature(table[name]).parameters.values())[skip:]
  known = [p.name for p in parameters]
  for field in fields:
    if field not in known:
      raise UserError(
        f"{section} '{name}' has no field '{field}'.{closest(field, known)}"
      )
  for p in parameters:
    if p.default is p.empty and p.name not in fields:
      raise UserError(f"{section} '{name}' needs the field '{p.name}'")
  return table[name]


def one_line(error: BaseException, limit: int = 200) -> str:
  """Returns the type and the message of an exception, folded and cut."""
  return f'{type(error).__name__}: {" ".join(str(error).split())}'[:limit]
