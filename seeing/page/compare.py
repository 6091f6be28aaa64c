"""Several runs on one page: curves over one another, and what differs."""

import shlex
import time
from collections.abc import Sequence

from errors import UserError
from runtime import storage
from runtime import workdir as workdir_lib
from seeing.page import about, fragments, outcome, record
from seeing.page.fragments import element, join, note
from seeing.page.plots import Axes, Line, plot
from seeing.page.record import Run

_NONE = '—'


def read(paths: Sequence[str]) -> list[Run]:
  """Returns the records of runs, by names of their own.

  Where two have the same, they are called as they were typed.

  Raises:
    UserError: fewer than two, one is given twice, is not there, or is no run.
  """
  if len(paths) < 2:
    raise UserError(
      f'--compare has {len(paths)} of the two or more runs that it needs: '
      '--compare RUN RUN --out=DIR'
    )
  places = [str(storage.path(path)) for path in paths]
  for i, path in enumerate(paths):
    if places[i] in places[:i]:
      raise UserError(f'--compare: {path} is given twice')
    if not storage.path(path).exists():
      raise UserError(f'--compare: {path} does not exist')
    if not record.is_run(path):
      raise UserError(
        f'--compare: {path} is no workdir: it has neither config.json nor '
        'metrics.jsonl'
      )
  runs = [record.read(path) for path in paths]
  names = [run.name for run in runs]
  return [
    run._replace(name=run.path) if names.count(run.name) > 1 else run
    for run in runs
  ]


def differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
  """Returns the fields of the configs that are not the same in all runs.

  Returns:
    (field, its value in each run as text; a dash: it has none), by name.
  """
  configs = [workdir_lib.flatten(run.config) for run in runs]
  found = []
  for field in sorted({field for config in configs for field in config}):
    values = [
      about.shown(config[field]) if field in config else _NONE
      for config in configs
    ]
    if len(set(values)) > 1:
      found.append((field, values))
  return found


def page(runs: Sequence[Run]) -> str:
  """Returns the page of runs as `read` returns them."""
  names = ', '.join(run.name for run in runs)
  made = time.strftime('Made on %Y-%m-%d, %H:%M UTC.', time.gmtime())
  return fragments.page(
    f'{len(runs)} runs: {names}',
    note(made),
    [
      ('result', 'Results', _results(runs)),
      ('curves', 'Curves', _curves(runs)),
      ('differences', 'What differs in the configs', _configs(runs)),
      ('runs', 'What ran', _ran(runs)),
      ('pages', 'A page for each', _pages(runs)),
    ],
  )


def _results(runs):
  rows = []
  for run in runs:
    timing = record.timing(run)
    took = ('', '')
    if timing:
      took = (
        outcome.duration(timing.seconds), f'{timing.images_per_second:,.0f}'
      )  # fmt: skip
    found = outcome.rows(run) or [('no evaluation',)]
    for i, row in enumerate(found):
      blank = ('',) * (len(outcome.HEADER) - len(row))
      rows.append((run.name, *row, *blank, *(took if i == 0 else ('', ''))))
  header = ('run', *outcome.HEADER, 'training', 'images/s')
  table = fragments.table('results', header, rows, (2, 3, 4, 5, 6, 11))
  return join([_comparable(runs), table])


def _comparable(runs):
  """Says where errors are of other images, or of another protocol."""
  ways = {
    (
      about.data_name(run), line.get('eval/protocol'),
      line.get('eval/split', 'test'), line[record.COUNT],
    )
    for run in runs
    for line in run.evaluations[-1:]
  }  # fmt: skip
  if len(ways) < 2:
    return ''
  return element(
    'p',
    'Not all errors are of the same images by the same protocol.',
    class_='note warning',
  )


def _curves(runs):
  by_pass = all(run.pass_steps for run in runs)
  said = 'Training is thin, test is bold. Point at a curve, or use arrow keys.'
  notes = [said]
  if not by_pass:
    unknown = ', '.join(run.name for run in runs if not run.pass_steps)
    notes.append(f'By steps, since the size of a pass is not known: {unknown}.')
  if silent := ', '.join(run.name for run in runs if not run.lines):
    notes.append(f'Without curves, for want of a metrics.jsonl: {silent}.')
  panels = [
    ('error', 'top-1 error', _both(runs, 'top1_error', by_pass)),
    ('loss', 'loss', _both(runs, 'loss', by_pass)),
    ('rate', 'learning rate', _rates(runs, by_pass)),
  ]
  drawn = [
    plot(
      Axes(
        f'curve-{key}', title, 'pass' if by_pass else 'step', lines,
        percent=key == 'error', log=key == 'rate', falls=key != 'rate',
      )
    )
    for key, title, lines in panels
  ]  # fmt: skip
  return join(
    [
      *map(note, notes),
      element('div', *filter(None, drawn), class_='grid two'),
    ]
  )


def _both(runs, metric, by_pass):
  return [
    _along(line, run, by_pass)
    for i, run in enumerate(runs)
    for line in outcome.lines_of(run, metric, f'{run.name}, ', i)
  ]


def _rates(runs, by_pass):
  found = []
  for i, run in enumerate(runs):
    x, y = record.series(run, 'train/learning_rate')
    if x:
      found.append(_along(Line(run.name, x, y, True, i), run, by_pass))
  return found


def _along(line, run, by_pass):
  """Returns a curve by steps, or by passes."""
  if not by_pass:
    return line
  return line._replace(x=[step / run.pass_steps for step in line.x])


def _configs(runs):
  without = ', '.join(run.name for run in runs if not run.config)
  missing = note(f'Not known, for want of a config.json: {without}.')
  known = [run for run in runs if run.config]
  found = differences(known)
  if found:
    header = ('field', *(run.name for run in known))
    content = fragments.table(
      'differences', header, [(field, *values) for field, values in found]
    )
  else:
    content = note('Nothing: all fields are equal.')
  return join([missing if without else '', content])


def _ran(runs):
  header = ('', *(run.name for run in runs))
  each = [about.facts(run) for run in runs]
  names = dict.fromkeys(name for facts in each for name in facts)
  rows = [(name, *(facts.get(name, _NONE) for facts in each)) for name in names]
  said = [
    note(f'{run.name}: {missing}.') for run in runs for missing in run.missing
  ]
  return join([fragments.table('what ran', header, rows, kind='wide'), *said])


def _pages(runs):
  return join(
    fragments.code(
      shlex.join(
        ['python', '-m', 'tools.report', f'--workdir={run.path}', '--out=DIR']
      )
    )
    for run in runs
  )
