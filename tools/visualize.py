r"""Draws what the papers' figures show; prints the numbers under the picture.

    python -m tools.visualize KIND --workdir=RUN --out=FILE.png
    python -m tools.visualize KIND --config=configs/FILE.py:... \
        --config.init_from=FILE --out=FILE.png PHOTOS
    python -m tools.visualize KIND --help

Images are those of the config's test split, or PHOTOS: files and folders, where
a kind takes them; KIND --help has what it reads. All but `architecture` need
pip install matplotlib.
"""

import importlib
import pathlib
import sys

from ml_collections import ConfigDict

from errors import UserError, closest
from runtime import compile_cache, memory
from seeing import drawing
from tools import command, usage
from tools.kinds.kind import Kind

# In the order of the papers. A kind is a module of tools.kinds with `KIND`.
_NAMES = (
  'samples', 'distortions', 'mistakes', 'rejection', 'maps', 'robustness',
  'filters', 'predictions', 'neighbours', 'deconv', 'invariance', 'occlusion',
  'correspondence', 'responses', 'curves', 'architecture', 'gradcam',
)  # fmt: skip
_MODULES = {
  name: importlib.import_module(f'tools.kinds.{name}') for name in _NAMES
}
KINDS: dict[str, Kind] = {name: m.KIND for name, m in _MODULES.items()}


def listing() -> str:
  """Returns the kinds, a line each, for --help."""
  wide = max(map(len, KINDS))
  return 'KIND is one of\n\n' + '\n'.join(
    f'    {name:{wide}}  {(module.__doc__ or "").splitlines()[0]}'
    for name, module in _MODULES.items()
  )


def check_out(out: str, kind: str) -> None:
  """Refuses an --out that the kind cannot write, before anything is computed.

  Raises:
    UserError: missing, in no folder, or with another ending.
  """
  endings = KINDS[kind].endings
  if not out:
    raise UserError(f'--out=FILE{endings[0]} is missing')
  path = pathlib.Path(out)
  if path.suffix.lower() not in endings:
    raise UserError(f'--out {out}: {kind} writes {", ".join(endings)}')
  if not path.absolute().parent.is_dir():
    raise UserError(f'--out {out}: there is no folder {path.parent}')


def main(config: ConfigDict | None, arguments: list[str]) -> None:
  """Writes the picture and prints its numbers."""
  name, *files = arguments or ['']
  if name not in KINDS:
    raise UserError(f"KIND is '{name}'.{closest(name, KINDS)}")
  kind = KINDS[name]
  if files and not kind.takes:
    raise UserError(f'{name} takes no files, but {files[0]!r} is given')
  check_out(command.OUT.value, name)
  if kind.config:
    command.check(config)
    memory.keep()
  compile_cache.enable()
  if kind.endings != ('.svg',):  # text of its own
    with usage.needs('matplotlib'):
      import matplotlib  # noqa: PLC0415, F401
  drawn = kind.draw(config, files)
  try:
    drawing.write(drawn.picture, pathlib.Path(command.OUT.value))
  except OSError as error:
    raise UserError(f'--out {command.OUT.value}: {error}') from None
  print('\n'.join(drawn.said))
  print(f'written to {command.OUT.value}')


def _asked(argv: list[str]) -> str:
  """Returns the kind on a command line; '': none."""
  return next((word for word in argv[1:] if word in KINDS), '')


def _run() -> None:
  asked = _asked(sys.argv)
  kind = KINDS.get(asked)
  command.run(
    main,
    [*(kind.options if kind else ()), command.OUT],
    stray=kind.takes or 'KIND' if kind else 'KIND',
    about=_MODULES[asked].__doc__ if asked else listing(),
    config=kind is None or kind.config,
  )


if __name__ == '__main__':
  _run()
