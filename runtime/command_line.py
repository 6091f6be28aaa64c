"""What main.py and the tools share: --config, --workdir, errors in one line."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

from errors import UserError, one_line
from runtime import console, distributed
from runtime import workdir as workdir_lib

# Once for all: a process may import several of them, and absl refuses a flag
# that is defined twice.
CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  'FILE.py[:KEY=VALUE,...], what to run: a file of configs/ with arguments',
  lock_config=True,
)
WORKDIR = flags.DEFINE_string(
  'workdir', '', 'of the run: where everything is written'
)
_HELP = ('--help', '-help', '-h', '-?', '--helpfull', '--helpshort')
# Gives a config the fields that the command line sets: path -> text.
Prepare = Callable[[ConfigDict, Mapping[str, str]], None]
# Returns the config that a run has left in a file of JSON.
Read = Callable[[str], ConfigDict]


class _Parser(flags.ArgumentParser):
  """Loads a config file, then makes room for what the command line sets."""

  def __init__(
    self, load: flags.ArgumentParser, read: Read, prepare: Prepare, argv
  ):
    self._load, self._read = load, read
    self._prepare, self._argv = prepare, argv

  def parse(self, argument):
    """As absl has it: from the flag's text to its value."""
    load = self._read if _is_record(argument) else self._load.parse
    config = load(argument)
    if isinstance(config, ConfigDict):  # else the file is missing: said later
      self._prepare(config, overrides(self._argv))
    return config

  def flag_type(self):
    """As absl has it."""
    return self._load.flag_type()


def overrides(argv: Sequence[str]) -> dict[str, str]:
  """Returns the texts of --config.FIELD=TEXT by field; the last one counts."""
  found = {}
  for argument, after in zip(argv, [*argv[1:], '']):
    if match := re.fullmatch(
      r'--?(no)?config\.([^=]+)(?:=(.*))?', argument, re.S
    ):
      found[match[2]] = after if match[3] is None else match[3]
  return found


def asks_for_help(argv: Sequence[str]) -> bool:
  """Whether a command line has --help, or what people write for it."""
  return any(argument in _HELP for argument in argv[1:])


def config_path(argv: Sequence[str]) -> str:
  """Returns the text of --config, '' where it is not given."""
  return text_of('config', argv)


def text_of(flag: str, argv: Sequence[str]) -> str:
  """Returns the text of a flag, '' where it is not given."""
  for argument, after in zip(argv, [*argv[1:], '']):
    if match := re.fullmatch(f'--?{flag}(?:=(.*))?', argument, re.S):
      return after if match[1] is None else match[1]
  return ''


def _is_record(path):
  return path.rpartition('/')[2] == 'config.json'


def _with_recorded(argv: list[str], needed: bool) -> list[str]:
  """Adds the config of the run that --workdir or init_from names.

  Of weights that tools.publish has written: a folder beside the file.

  Raises:
    UserError: there is none, nor --config, and one is needed.
  """
  if config_path(argv):
    return argv
  workdir = text_of('workdir', argv)
  weights = overrides(argv).get('init_from', '')
  tried = []
  for path in filter(None, (workdir, weights)):
    place = workdir_lib.record_of(path)
    if (file := place / 'config.json').exists():
      return [argv[0], f'--config={file}', *argv[1:]]
    tried.append(f'{file}')
  if not needed:
    return argv
  also = f', and there is no {" nor ".join(tried)}' if tried else ''
  raise UserError(f'--config is missing{also}: see --help')


def parse(
  argv: list[str],
  read: Read,
  prepare: Prepare,
  stray: bool = False,
  needed: bool = True,
) -> list[str]:
  """Parses flags as absl does; one line and exit code 2 where it cannot.

  Args:
    argv: the command line. Without --config it is that of the run that
      --workdir or --config.init_from names.
    read: of a file of JSON that --config names.
    prepare: of a config just loaded.
    stray: whether there may be arguments that are no flags.
    needed: whether there has to be a config.

  Returns:
    The command line without its flags.
  """
  flag = flags.FLAGS['config']
  flag.parser = _Parser(flag.parser, read, prepare, argv)
  try:
    rest = flags.FLAGS(_with_recorded(argv, needed))
    if needed or CONFIG.value is not None:
      CONFIG.value.train  # noqa: B018  a missing file shows only when it is used
    if rest[1:] and not stray:
      raise UserError(f'stray argument {rest[1]!r}: flags are --name=value')
    return rest
  except UserError as error:
    fail(error)
  except (flags.Error, TypeError, ValueError) as error:
    fail(UserError(f'command line: {" ".join(str(error).split())}'))
  except OSError as error:
    fail(UserError(f'--config: {one_line(error)}'))


def describe_flags(*names: str) -> str:
  """Returns flags with their meaning and default, as lines for a terminal."""
  lines = []
  for name in names:
    flag = flags.FLAGS[name]
    values = getattr(flag.parser, 'enum_values', None)
    form = f'--{name}={"|".join(values)}' if values else f'--{name}'
    default = '' if flag.default in (None, '') else f' ({flag.default})'
    meaning = flag.help.removeprefix(f'<{form.partition("=")[2]}>: ')
    lines.append(f'  {form:23} {meaning}{default}')
  return '\n'.join(lines)


def leave_with(say: Callable[[str], str], path: str) -> NoReturn:
  """Prints what `say` returns for a path, and ends; as `parse` where it cannot.

  Args:
    say: text for the text of --config.
    path: its argument.
  """
  console.accept_all_letters()
  try:
    text = say(path)
  except OSError as error:
    fail(UserError(f'--config: {one_line(error)}'))
  with console.ends_unread():
    print(text)
  sys.exit(0)


def fail(error: UserError) -> NoReturn:
  """Prints the error, and leaves."""
  print(f'error: {error}', file=sys.stderr)
  distributed.leave(UserError.EXIT_CODE)
