r"""Writes a page about a run, or about several beside each other.

    python -m tools.report --workdir=RUN --out=DIR
    python -m tools.report --config.init_from=FILE --out=DIR
    python -m tools.report --compare RUN RUN ... --out=DIR

DIR/index.html is one file that needs no other and no network: what ran and on
what, the result with its protocol and count, curves, confusions, worst classes,
most confident mistakes, filters, maps of a test image, times, and the commands
to go on. Where something is not at hand, as data that were moved, that is said
in its place; --config.data.dir=PLACE names them. Training writes the page as
well, into RUN/report, with --config.report=True. Needs pip install matplotlib.

--compare has the curves of runs over one another, what differs in their configs
and their results; it reads their records only.
"""

import pathlib
import re
import sys

from absl import flags
from ml_collections import ConfigDict

from errors import UserError
from runtime import command_line, compile_cache, memory, storage
from seeing.page import compare, fragments, record, report
from tools import command

_COMPARE = flags.DEFINE_bool(
  'compare', False, 'several runs: their workdirs are the arguments'
)


def place_of(out: str) -> pathlib.Path:
  """Returns the folder to write to.

  Raises:
    UserError: missing, a file, or it has an index.html of somebody else.
  """
  if not out:
    raise UserError('--out=DIR is missing')
  place = storage.path(out)
  if place.is_file():
    raise UserError(f'--out {out} is a file: index.html goes into a folder')
  file = place / report.NAME
  if file.exists():
    ours = f'content="{fragments.GENERATOR}"'.encode()
    if not file.is_file() or ours not in file.read_bytes()[:4000]:
      raise UserError(
        f'--out {out}: {file} is there, and is none of this command: take '
        'another folder'
      )
  return place


def naming(argv: list[str]) -> list[str]:
  """Returns the flags of a command line that name a run, each as one word."""
  found = []
  for word, after in zip(argv[1:], [*argv[2:], '-']):
    if not re.match(r'--?((no)?config|workdir)\b', word):
      continue
    alone = '=' in word or after.startswith('-')
    found.append(word if alone else f'{word}={after}')
  return found


def main(config: ConfigDict | None, arguments: list[str]) -> None:
  """Writes the page."""
  if _COMPARE.value:
    if command_line.WORKDIR.value or config is not None:
      raise UserError(
        '--compare takes workdirs as arguments: --compare RUN RUN --out=DIR'
      )
    runs = compare.read(arguments)
    place = place_of(command.OUT.value)
    text, said = compare.page(runs), f'{len(runs)} runs'
  else:
    if arguments:
      raise UserError(
        f'stray argument {arguments[0]!r}: several runs need --compare'
      )
    place = place_of(command.OUT.value)
    report.check('tools.report')
    text, said = _of_run(config)
  try:
    written = report.write(text, place)
  except OSError as error:
    raise UserError(f'--out {command.OUT.value}: {error}') from None
  print(said)
  print(f'written to {written}, {len(text.encode()) / 1e6:.2f} MB')


def _of_run(config):
  command.check(config)
  compile_cache.enable()
  memory.keep()
  workdir = command_line.WORKDIR.value
  path = config.init_from or workdir
  if not path:
    raise UserError('--workdir is missing, or --config.init_from=FILE')
  if not storage.path(path).exists():
    raise UserError(f'{path} does not exist: a workdir, or a file of weights')
  run = record.read(path)
  seen = report.look(config, workdir, command.CLASSES.value)
  text = report.page(run, config, seen, naming(sys.argv))
  return text, '\n'.join(
    [f'missing: {said}' for said in (*run.missing, seen.missing) if said]
    or ['nothing is missing']
  )


if __name__ == '__main__':
  command.run(
    main,
    [command_line.WORKDIR, command.CLASSES, _COMPARE, command.OUT],
    stray='RUN',
    config='--compare' not in sys.argv,
  )
