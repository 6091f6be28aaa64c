"""Runs docs/tour.ipynb, from top to bottom.

    python tests/tour.py            whether it runs
    python tests/tour.py --write    and keeps what it shows, and what it uses

The notebook keeps digests of the files of ours that it has imported; where one
has changed, tests/tour_test.py runs it again.
"""

import argparse
import hashlib
import json
import pathlib
import time

import nbclient
import nbformat

ROOT = pathlib.Path(__file__).parents[1]
PLACE = ROOT / 'docs' / 'tour.ipynb'
USES = 'uses'  # in the metadata: digests by path
_SECONDS = 600  # a cell, at most
_IMPORTED = """
print(__import__('json').dumps(sorted(
  str(__import__('pathlib').Path(m.__file__).relative_to(ROOT))
  for m in list(sys.modules.values())
  if str(getattr(m, '__file__', None) or '').startswith(f'{ROOT}/')
  and '.venv' not in m.__file__
)))
"""


def read() -> nbformat.NotebookNode:
  """Returns the notebook as it is kept."""
  return nbformat.read(PLACE, as_version=4)


def digest(path: str) -> str:
  """Returns that of a file of ours; '': it is not there."""
  file = ROOT / path
  if not file.exists():
    return ''
  return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def run(notebook: nbformat.NotebookNode) -> float:
  """Executes it in place; returns the seconds.

  Raises:
    nbclient.exceptions.CellExecutionError: a cell fails.
  """
  began = time.monotonic()
  notebook.cells.append(nbformat.v4.new_code_cell(_IMPORTED))
  client = nbclient.NotebookClient(
    notebook, timeout=_SECONDS, resources={'metadata': {'path': PLACE.parent}}
  )
  client.execute()
  last = notebook.cells.pop()
  imported = json.loads(last.outputs[0].text)
  notebook.metadata[USES] = {path: digest(path) for path in imported}
  for cell in notebook.cells:
    cell.metadata.pop('execution', None)  # times, which change at every run
  return time.monotonic() - began


def main() -> None:
  """See the module's docstring."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--write', action='store_true', help='keeps the outputs')
  args = parser.parse_args()
  notebook = read()
  print(f'{run(notebook):.0f} seconds')
  if args.write:
    nbformat.write(notebook, PLACE)


if __name__ == '__main__':
  main()
