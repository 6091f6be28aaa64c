"""How the tools run that take a config as main.py does."""

from collections.abc import Callable

from absl import app, flags, logging
from ml_collections import ConfigDict

import config_lib
from errors import UserError
from runtime import command_line

# Here, since absl refuses a flag that two tools define.
OUT = flags.DEFINE_string('out', '', 'the file to write')
CLASSES = flags.DEFINE_string('classes', '', 'file with a class name a line')


def run(do: Callable[[ConfigDict, list[str]], int | None], stray=False) -> None:
  """Parses the flags, calls `do`, and exits; with 2 after a UserError.

  Args:
    do: gets the config and the arguments that are no flags; may return an exit
      code.
    stray: whether there may be such arguments.
  """

  def main(argv):
    logging.set_verbosity(logging.FATAL)  # Orbax narrates what it reads
    try:
      return do(command_line.CONFIG.value, argv[1:])
    except UserError as error:
      command_line.fail(error)

  def parse(argv):
    return command_line.parse(argv, config_lib.make_room, stray=stray)

  app.run(main, flags_parser=parse)


def check(config: ConfigDict) -> None:
  """Refuses nonsense; nothing is trained, so the batch size is no matter."""
  config.train.batch_size = max(config.train.batch_size, 1)
  config_lib.check(config, 1)
