"""What the tools that take a config share: --config, and errors in a line."""

import sys
from collections.abc import Callable

from absl import app
from ml_collections import ConfigDict, config_flags

from errors import UserError

# Once for all of them: a process may import several, and absl refuses a flag
# that is defined twice.
_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'configs/FILE.py[:key=value,...]', lock_config=True
)


def run(do: Callable[[ConfigDict], None]) -> None:
  """Parses the flags, calls `do` with the config, and exits; 2 on UserError."""

  def main(argv):
    try:
      if argv[1:]:
        raise UserError(f'stray argument {argv[1]!r}: flags are --name=value')
      if _CONFIG.value is None:
        raise UserError('--config is missing: see README.md')
      do(_CONFIG.value)
    except UserError as error:
      print(f'error: {error}', file=sys.stderr)
      sys.exit(UserError.EXIT_CODE)

  app.run(main)
