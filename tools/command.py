"""How the tools run that take a config as main.py does."""

import argparse
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict

import config_lib
from configs import recorded
from errors import UserError
from runtime import command_line, console, mesh
from tools import usage

# Here, since absl refuses a flag that two tools define.
OUT = flags.DEFINE_string('out', '', 'the file to write')
CLASSES = flags.DEFINE_string('classes', '', 'file with a class name a line')
LAYER = flags.DEFINE_list('layer', '', 'one or more: fc7 or pool5,fc7')
SPLIT = flags.DEFINE_enum(
  'split', None, ['train', 'test'], "the config's own data, without PHOTOS"
)


def run(
  do: Callable[[ConfigDict, list[str]], int | None],
  options: Sequence[flags.FlagHolder] = (),
  stray: str = '',
  about: str | None = '',
  config: bool = True,
) -> None:
  """Parses the flags, calls `do`, and exits; with 2 after a UserError.

  Args:
    do: gets the config and the arguments that are no flags; may return an exit
      code. The docstring of its module is the text of --help.
    options: flags that it reads beside --config, for --help.
    stray: what arguments that are no flags stand for; empty: there are none.
    about: what --help says below that docstring.
    config: whether one is needed; else `do` gets None without.
  """
  # Absl's own --help lists the flags of all modules, and exits with 1.
  if command_line.asks_for_help(sys.argv):
    with console.ends_unread():
      _parser(do, options, stray, about).print_help()
    sys.exit()

  def main(argv):
    logging.set_verbosity(logging.FATAL)  # Orbax narrates what it reads
    console.accept_all_letters()
    try:
      with mesh.devices_by_name(), console.ends_unread():
        return do(command_line.CONFIG.value, argv[1:])
    except UserError as error:
      command_line.fail(error)

  def parse(argv):
    return command_line.parse(
      argv, recorded.read_trained, config_lib.make_room, bool(stray), config
    )

  app.run(main, flags_parser=parse)


def _parser(do, options, stray, about) -> argparse.ArgumentParser:
  """Returns a parser that prints the help that argparse would print."""
  parser = usage.parser(do.__module__)
  if about:
    parser.description = f'{parser.description}\n{about}'
  if stray:
    parser.add_argument(stray, nargs='*')
  _add(parser, command_line.CONFIG)
  parser.add_argument(
    '--config.FIELD', metavar='VALUE', help='any field of configs/default.py'
  )
  for option in options:
    _add(parser, option)
  return parser


def _add(parser, holder, **more):
  flag = flags.FLAGS[holder.name]
  text = flag.help.replace('%', '%%')
  if flag.boolean:
    more['action'] = 'store_true'
  elif flag.default:
    text += f' ({flag.default})'
  parser.add_argument(f'--{flag.name}', help=text, **more)


def check(config: ConfigDict) -> None:
  """Refuses nonsense; nothing is trained, so the batch size is no matter."""
  config.train.batch_size = max(config.train.batch_size, 1)
  config_lib.check(config, 1)
