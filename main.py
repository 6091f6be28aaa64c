"""Trains or evaluates a network of a paper: see README.md.

python main.py --config=configs/FILE.py[:ARGUMENTS] [--workdir=DIR]
    [--mode=eval] [--config.SECTION.FIELD=VALUE ...]
python main.py --workdir=DIR [...]    a run that is there, by its own config
"""

import time

_STARTED = time.monotonic()  # before the slow imports, for the start-up time

from absl import app, flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

import config_lib  # noqa: E402
import train_lib  # noqa: E402
from configs import catalogue, recorded  # noqa: E402
from runtime import command_line, launch  # noqa: E402

_MODE = flags.DEFINE_enum('mode', 'train', ['train', 'eval'], 'what to do')


def parse_flags(argv: list[str]) -> list[str]:
  """Parses flags as absl does; prints help and ends where it is asked for."""
  if command_line.asks_for_help(argv):
    command_line.leave_with(_help, command_line.config_path(argv))
  trains = command_line.text_of('mode', argv) != 'eval'
  read = recorded.read if trains else recorded.read_trained
  return command_line.parse(argv, read, config_lib.make_room)


def _help(path):
  if path:
    return catalogue.describe(path)
  names = ('config', 'workdir', 'mode', *launch.FLAGS)
  return (
    f'{__doc__}\nflags, with their defaults:\n'
    f'{command_line.describe_flags(*names)}\n\n'
    f'configs; --config=FILE --help says more of one:\n{catalogue.listing()}'
  )


def main(_):
  """Does what the flags say."""
  launch.run(_run)


def _run(preemption):
  config, flag = command_line.CONFIG.value, flags.FLAGS['config']
  config_lib.apply_overrides(config, config_flags.get_override_values(flag))
  path = config_flags.get_config_filename(flag)
  workdir = command_line.WORKDIR.value
  workdir = workdir or f'runs/{catalogue.run_name(path, config)}'
  if _MODE.value == 'eval':
    train_lib.evaluate_only(config, workdir)
  else:
    train_lib.train_and_evaluate(config, workdir, _STARTED, preemption)


if __name__ == '__main__':
  app.run(main, flags_parser=parse_flags)
