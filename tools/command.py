"""What the tools share that take a config as main.py does."""

import sys

from absl import flags
from ml_collections import ConfigDict, config_flags

import config_lib
from errors import UserError, one_line

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'configs/FILE.py[:key=value,...]', lock_config=True
)
WORKDIR = flags.DEFINE_string('workdir', '', 'of the trained network')
CLASSES = flags.DEFINE_string('classes', '', 'file with a name a line')


def parse(argv: list[str]) -> list[str]:
  """For absl's app.run; leaves with one line where it does not understand.

  Args:
    argv: the command line.

  Returns:
    The command line without its flags.
  """
  try:
    rest = flags.FLAGS(argv)
    if not flags.FLAGS['config'].value:
      raise UserError('--config is missing: --helpshort tells the flags')
    CONFIG.value.train  # noqa: B018  a missing file shows only when it is used
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


def check(config: ConfigDict) -> None:
  """Refuses nonsense; nothing is trained, so the batch size is no matter."""
  config.train.batch_size = max(config.train.batch_size, 1)
  config_lib.check(config, 1)


def fail(error: UserError) -> None:
  """Prints the error, and leaves."""
  print(f'error: {error}', file=sys.stderr)
  sys.exit(UserError.EXIT_CODE)
