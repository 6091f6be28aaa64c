"""Draws curves of runs, from their metrics.jsonl.

    python -m tools.plot_runs --out=curves.png WORKDIR WORKDIR ...
    python -m tools.plot_runs --metric=eval/top1_error --out=error.png runs/*

Needs pip install matplotlib. The label of a curve is its directory's name.
"""

import json
import pathlib

from runtime import storage
from tools import usage


def read(workdir: str, metric: str) -> tuple[list[int], list[float]]:
  """Returns the steps and values of a metric in a run.

  Raises:
    FileNotFoundError: no metrics.jsonl there.
    ValueError: no line of it has the metric; names those that it has.
  """
  lines = (storage.path(workdir) / 'metrics.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  found = [(row['step'], row[metric]) for row in rows if metric in row]
  if not found:
    known = sorted({name for row in rows for name in row} - {'step'})
    raise ValueError(f"{workdir} has no '{metric}', but {', '.join(known)}")
  steps, values = zip(*found, strict=True)
  return list(steps), list(values)


def draw(workdirs: list[str], metric: str, out: str) -> None:
  """Writes the picture; raises as `read` before anything is written.

  Raises:
    UserError: matplotlib is not installed.
  """
  with usage.needs('matplotlib'):
    import matplotlib.pyplot as plt  # noqa: PLC0415

  curves = {pathlib.Path(w).name: read(w, metric) for w in workdirs}
  figure, axes = plt.subplots(figsize=(6, 4), layout='constrained')
  for name, (steps, values) in curves.items():
    axes.plot(steps, values, label=name, linewidth=1.2)
  axes.set(xlabel='step', ylabel=metric)
  axes.grid(alpha=0.3)
  axes.legend()
  figure.savefig(out, dpi=120)


def main():
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument('workdirs', nargs='+', metavar='WORKDIR')
  parser.add_argument(
    '--metric', default='train/loss', help='of metrics.jsonl (%(default)s)'
  )
  parser.add_argument(
    '--out', required=True, metavar='FILE.png', help='the picture to write'
  )
  args = parser.parse_args()
  with usage.errors(OSError, ValueError):
    draw(args.workdirs, args.metric, args.out)


if __name__ == '__main__':
  main()
