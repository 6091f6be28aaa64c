"""What main.py and the tools share: --config, --workdir, errors in one line."""

import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from errors import UserError, one_line
from runtime import distributed

# Once for all: a process may import several of them, and absl refuses a flag
# that is defined twice.
CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'configs/FILE.py[:key=value,...]', lock_config=True
)
WORKDIR = flags.DEFINE_string(
  'workdir', '', 'of the run: where everything is written'
)


def parse(
  argv: list[str], required: Sequence[str] = ('config',), stray: bool = False
) -> list[str]:
  """Parses flags as absl does; one line and exit code 2 where it cannot.

  Args:
    argv: the command line.
    required: flags that must be there.
    stray: whether there may be arguments that are no flags.

  Returns:
    The command line without its flags.
  """
  try:
    rest = flags.FLAGS(argv)
    for name in required:
      if not flags.FLAGS[name].value:
        raise UserError(f'--{name} is missing: see README.md')
    CONFIG.value.train  # noqa: B018  a missing file shows only when it is used
    if rest[1:] and not stray:
      raise UserError(f'stray argument {rest[1]!r}: flags are --name=value')
    return rest
  except UserError as error:
    fail(error)
  except (AttributeError, KeyError) as error:  # "'lrr' Did you mean 'lr'?"
    fail(UserError(f'no config field {" ".join(str(error.args[0]).split())}'))
  except (flags.Error, TypeError, ValueError) as error:
    fail(UserError(f'command line: {" ".join(str(error).split())}'))
  except OSError as error:
    fail(UserError(f'--config: {one_line(error)}'))
  raise AssertionError('fail does not return')


def fail(error: UserError) -> None:
  """Prints the error, and leaves."""
  print(f'error: {error}', file=sys.stderr)
  distributed.leave(UserError.EXIT_CODE)
