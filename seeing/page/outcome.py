"""What came out of a run and how long it took: tables and curves."""

from typing import Any

from seeing.page import fragments, record
from seeing.page.about import data_name, hardware
from seeing.page.fragments import Markup, element, join, paragraph
from seeing.page.plots import Axes, Line, plot
from seeing.page.record import Run

HEADER = ('what', 'top-1 error', 'wrong', 'of', 'top-5 error', 'loss', 'split',
          'protocol', 'when')  # fmt: skip


def passes(run: Run, step: int) -> str:
  """Returns ', pass 3.2' of a step; '' where that is not known."""
  return f', pass {step / run.pass_steps:.4g}' if run.pass_steps else ''


def result_line(run: Run, line: dict[str, Any]) -> str:
  """Returns an evaluation in training in words, with protocol and count."""
  wrong = line.get('eval/wrong', round(line[record.ERROR] * line[record.COUNT]))
  split = line.get('eval/split', 'test')
  return (
    f'{wrong:,} of {line[record.COUNT]:,} wrong ({data_name(run)} {split}, '
    f'protocol {line.get("eval/protocol", "not recorded")}) at step '
    f'{line["step"]:,}{passes(run, line["step"])}'
  )


def headline(run: Run, now: dict[str, Any] | None) -> Markup:
  """Returns the last result of a run, large.

  Args:
    run: its record.
    now: what was counted for its page, where that was possible.
  """
  if run.evaluations:
    line = run.evaluations[-1]
    error, said = line[record.ERROR], result_line(run, line)
  elif now:
    error = now['top1_error']
    said = (
      f'{now["wrong"]:,} of {now["count"]:,} wrong ({data_name(run)}, protocol '
      f'{now["protocol"]})'
    )
  else:
    return fragments.note('No evaluation is on record.')
  return paragraph(
    element('strong', f'{error:.2%}'), ' top-1 error: ', said, class_='result'
  )


def results(run: Run, now: dict[str, Any] | None) -> Markup:
  """Returns the evaluations: the last, the best, those of --mode=eval.

  Args:
    run: its record.
    now: as of `headline`.
  """
  parts = []
  for line in run.lines:
    if said := line.get('diverged'):
      parts.append(
        element(
          'p', f'Diverged? Step {line["step"]:,}: {said}',
          class_='note warning',
        )
      )  # fmt: skip
  found = rows(run)
  if now:
    found.append(_filed({**now, 'result': now}, 'counted for this page'))
    parts.append(_compared(run, now))
  if found:
    parts.append(fragments.table('results', HEADER, found, (1, 2, 3, 4, 5)))
  else:
    parts.append(fragments.note('No evaluation is on record.'))
  return join(parts)


def rows(run: Run) -> list[tuple[str, ...]]:
  """Returns the evaluations of a run as lines of a table with `HEADER`."""
  found = [_evaluation(run, *named) for named in _last_and_best(run)]
  return found + [_filed(result) for result in run.results]


def _last_and_best(run):
  if not run.evaluations:
    return []
  best = min(run.evaluations, key=lambda line: line[record.ERROR])
  found = [('last', run.evaluations[-1])]
  if best[record.ERROR] < run.evaluations[-1][record.ERROR]:
    found.append(('best', best))
  return found


def _evaluation(run, what, line):
  count = line[record.COUNT]
  return (
    what,
    f'{line[record.ERROR]:.2%}',
    f'{line.get("eval/wrong", round(count * line[record.ERROR])):,}',
    f'{count:,}',
    _percent(line.get('eval/top5_error')),
    _decimal(line.get('eval/loss')),
    line.get('eval/split', 'test'),
    line.get('eval/protocol', ''),
    f'step {line["step"]:,}{passes(run, line["step"])}',
  )


def _compared(run, now):
  """Returns a warning where the record's last evaluation is another."""
  last = run.evaluations[-1] if run.evaluations else {}
  there = last.get('eval/wrong')
  same = last.get(record.COUNT) == now['count']
  if not last or (same and there in (None, now['wrong'])):
    return ''
  return element(
    'p',
    f'The record has {there} of {last[record.COUNT]:,} wrong at step '
    f'{last["step"]:,}; what is counted for this page is of other weights or '
    'images.',
    class_='note warning',
  )


def _filed(content, what=''):
  result, paths = content['result'], content.get('networks') or ['']
  scales = ', '.join(map(str, result.get('scales') or ()))
  number = f'ensemble of {len(paths)}' if len(paths) > 1 else 'evaluation'
  return (
    what or f'{number}, {content["file"]}',
    f'{result["top1_error"]:.2%}',
    f'{result["wrong"]:,}',
    f'{result["count"]:,}',
    _percent(result.get('top5_error')),
    _decimal(result.get('loss')),
    result.get('test_set') or content.get('split', ''),
    result['protocol'] + f' at {scales}' * bool(scales),
    content.get('time', ''),
  )


def _percent(value):
  return f'{value:.2%}' if isinstance(value, int | float) else ''


def _decimal(value):
  return f'{value:.4f}' if isinstance(value, int | float) else ''


def curves(run: Run) -> Markup:
  """Returns error, loss and learning rate by step, and the numbers folded."""
  panels = [
    _by_step(run, 'error', 'top-1 error', 'top1_error', percent=True),
    _by_step(run, 'loss', 'loss', 'loss'),
    _rates(run),
  ]
  return join(
    [
      fragments.note(_legend(run) if any(panels) else 'No curves on record.'),
      element('div', *filter(None, panels), class_='grid two'),
      _numbers(run),
    ]
  )


def _legend(run):
  metric = record.training_metric(run, 'loss')
  each = 'all steps since the point before'
  if not metric and run.batch == 1:
    return (
      'Test is bold. Training is not drawn: what is on record is of single '
      'examples, whose error is 0 or 1. Point at a curve, or use arrow keys.'
    )
  if 'mean_' not in metric:
    each = 'a single batch'
  return (
    f'Training is thin, each point the mean of {each}; test is bold. Point at '
    'a curve, or use arrow keys.'
  )


def lines_of(
  run: Run, name: str, named: str = '', colour: int | None = None
) -> list[Line]:
  """Returns the curves of 'loss' or 'top1_error': training thin, test bold.

  Args:
    run: its record.
    name: of the metric.
    named: before what they are, in a legend of several runs.
    colour: of both; by default one each.
  """
  thin = record.training_metric(run, name)
  found = []
  for number, (metric, what) in enumerate(
    ((thin, 'training'), (f'eval/{name}', 'test'))
  ):
    x, y = record.series(run, metric)
    if x:
      look = number if colour is None else colour
      found.append(Line(f'{named}{what}', x, y, what == 'test', look))
  return found


def _by_step(run, key, title, metric, percent=False):
  lines = lines_of(run, metric)
  return plot(
    Axes(
      f'curve-{key}',
      title,
      'step',
      lines,
      percent,
      falls=True,
      a_pass=run.pass_steps,
    )
  )


def _rates(run):
  named = {
    'train/learning_rate': 'learning rate',
    'train/lowest_rate': 'lowest effective',
    'train/highest_rate': 'highest effective',
  }
  lines = [
    Line(name, *record.series(run, metric), bold=False, colour=i + 2)
    for i, (metric, name) in enumerate(named.items())
  ]
  return plot(
    Axes(
      'curve-rate', 'learning rate', 'step',
      [line for line in lines if line.x], log=True, a_pass=run.pass_steps,
    )
  )  # fmt: skip


def _numbers(run):
  """Returns the evaluations in training as a table."""
  if not run.evaluations:
    return ''
  rows = [
    _evaluation(run, f'{line["step"]:,}', line) for line in run.evaluations
  ]
  header = ('step', 'top-1 error', 'wrong', 'of', 'top-5 error', 'loss')
  return fragments.folded(
    f'{len(rows)} evaluations in numbers',
    fragments.table('evaluations', header, [row[:6] for row in rows], range(6)),
  )


def times(run: Run) -> Markup:
  """Returns how long the steps took, and what of it was waiting for data."""
  found = record.timing(run)
  if found is None:
    return fragments.note('No times are on record.')
  startup = ', '.join(f'{s:.1f} s' for s in found.startup)
  rows = [
    ('training', f'{duration(found.seconds)}, without evaluation and saving'),
    ('rate', f'{found.images_per_second:,.0f} images/s'),
    ('waiting for data', f'{found.waiting:.1%} of the time'),
    ('to the first step', startup or 'not recorded'),
    *_load(found),
    ('on', hardware(record.last_start(run)) or 'not recorded'),
  ]
  bad = sum(record.series(run, 'time/replaced_photographs')[1])
  if bad:
    rows.append(('photographs replaced', f'{bad:,.0f}, not decodable'))
  panels = [
    plot(
      Axes(
        f'curve-{key}', title, 'step',
        [Line(title, *record.series(run, metric), bold=False, colour=4 + i)],
        percent, a_pass=run.pass_steps,
      )
    )
    for i, (key, title, metric, percent) in enumerate((
      ('speed', 'images a second', record.RATE, False),
      ('wait', 'share waiting for data', record.WAIT, True),
    ))
  ]  # fmt: skip
  return join(
    [
      fragments.pairs('time', rows),
      element('div', *filter(None, panels), class_='grid two'),
    ]
  )


def _load(found):
  """Returns rows on what the devices were used for, as far as it is known."""
  if found.mfu is not None:
    yield 'model FLOP utilisation', f'{found.mfu:.1%} of their published rate'
  if found.memory is not None:
    yield 'memory of a device', f'{found.memory:.1f} GB at most'


def duration(seconds: float) -> str:
  """Returns 41.3 s, 12 min 5 s, 3 h 20 min."""
  if seconds < 60:
    return f'{seconds:.1f} s'
  whole = round(seconds)
  if whole < 3600:
    return f'{whole // 60} min {whole % 60} s'
  return f'{whole // 3600} h {whole % 3600 // 60} min'
