"""What ran, and the commands to go on: of its record."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from evaluation import networks
from runtime import workdir as workdir_lib
from seeing.page import fragments, record
from seeing.page.fragments import Markup, element, join, paragraph
from seeing.page.record import Run

_LIBRARIES = ('python', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint',
              'grain', 'numpy')  # fmt: skip


def network_name(run: Run) -> str:
  """Returns the name of the network; what is said where it is not known."""
  return _field(run, 'model', 'name') or 'unknown network'


def data_name(run: Run) -> str:
  """Returns the data set, and of TFDS which one."""
  options = _field(run, 'data', 'options') or {}
  builder = options.get('builder') if isinstance(options, dict) else ''
  name = _field(run, 'data', 'name') or 'unknown data'
  return f'{name} {builder}' if builder else name


def _field(run, section, name):
  found = run.config.get(section)
  return found.get(name) if isinstance(found, dict) else None


def ran(run: Run, parameters: int) -> Markup:
  """Returns what ran, with its config and its starts folded.

  Args:
    run: its record.
    parameters: of the network; 0: not known.
  """
  typed, usual = record.typed_config(run)
  return join(
    [
      fragments.pairs('what ran', facts(run, parameters).items()),
      *(fragments.note(f'{said}.') for said in run.missing),
      _config(run, typed, usual),
      _starts(run),
    ]
  )


def facts(run: Run, parameters: int = 0) -> dict[str, str]:
  """Returns what ran in words; what is not known is left out."""
  start = record.last_start(run)
  known = {
    'network': _network(run, parameters),
    'data': _data(run),
    'recipe': _recipe(run),
    'seed': run.config.get('seed'),
    'starts from': run.config.get('init_from') or None,
    'workdir': run.path,
    'begun': run.starts[0].get('time') if run.starts else None,
    'hardware': hardware(start),
    'versions': _versions(start),
    'code': start.get('git'),
  }
  return {name: str(v) for name, v in known.items() if v is not None}


def _network(run, parameters):
  count = f', {parameters:,} parameters' if parameters else ''
  options = {
    k: v
    for k, v in (run.config.get('model') or {}).items()
    if k not in ('name', 'dtype')
  }
  dtype = _field(run, 'model', 'dtype')
  said = f'{network_name(run)}{count}'
  if dtype not in (None, 'float32'):
    said += f', {dtype}'
  if width := options.get('width'):
    said += f', width {width}' if width != 1 else ''
  return said


def _data(run):
  said = [data_name(run)]
  if run.examples:
    said.append(f'{run.examples:,} images to train on')
  if run.evaluations:
    said.append(f'{run.evaluations[-1][record.COUNT]:,} to test on')
  if run.class_names:
    said.append(f'{len(run.class_names):,} classes')
  if run.image_shape:
    said.append(' x '.join(map(str, run.image_shape)))
  return ', '.join(said)


def _recipe(run):
  train, optimizer = run.config.get('train'), run.config.get('optimizer')
  if not isinstance(train, dict) or not isinstance(optimizer, dict):
    return None
  length = next(
    (f'{train[u]:g} {u}' for u in ('steps', 'epochs') if train.get(u)), ''
  )
  rate = optimizer.get('learning_rate')
  said = [
    length,
    f'batches of {run.batch:,}',
    f'{optimizer.get("name")}, learning rate {rate:g}'
    if isinstance(rate, int | float)
    else f'{optimizer.get("name")}',
    f'schedule {_field(run, "schedule", "name")}',
    f'loss {_field(run, "loss", "name")}',
    f'augmentation {train.get("augment")}',
  ]
  return ', '.join(filter(None, said))


def hardware(start: dict[str, Any]) -> str | None:
  """Returns the devices of a start; None: not known."""
  if not start.get('devices'):
    return None
  processes = start.get('processes', 1)
  return f'{start["devices"]}, {processes} process' + 'es' * (processes != 1)


def _versions(start):
  known = [f'{name} {start[name]}' for name in _LIBRARIES if start.get(name)]
  return ', '.join(known) or None


def shown(value: Any) -> str:
  """Returns a value of a config as the command line has it, nearly."""
  return value if isinstance(value, str) else json.dumps(value)


def _config(run, typed, usual):
  if not run.config:
    return ''
  values = workdir_lib.flatten(run.config)
  changed = set(record.differing(values, usual)) if usual else set()
  names = list(values)
  rows = [
    (
      name,
      shown(value),
      shown(usual[name]) if name in usual and name in changed else '',
    )
    for name, value in values.items()
  ]
  title, said = f'Config: {len(values)} fields', Markup('')
  if typed:
    title += f', {len(changed)} of them not as in the file'
    said = paragraph(
      'Marked: other than ', element('code', typed), ' has it today.'
    )
  header = ('field', 'value', *(('in the file',) * bool(typed)))
  return fragments.folded(
    title,
    said,
    fragments.table(
      'config', header, [row[: len(header)] for row in rows],
      marked=[i for i, name in enumerate(names) if name in changed],
    ),
  )  # fmt: skip


def _starts(run):
  if not run.starts:
    return ''
  rows = [
    (
      start.get('time', ''),
      f'{start.get("step", "")}',
      start.get('devices', ''),
      start.get('processes', ''),
      element('code', command_of(start)),
    )
    for start in run.starts
  ]
  header = ('time', 'from step', 'devices', 'processes', 'command')
  number = f'{len(rows)} start' + 's' * (len(rows) > 1)
  return fragments.folded(
    number, fragments.table('starts', header, rows, numbers=(1, 3))
  )


def command_of(start: dict[str, Any]) -> str:
  """Returns the command of a start, as a shell takes it; '': not known."""
  argv = start.get('command')
  if not isinstance(argv, list) or not argv:
    return ''
  first, *rest = map(str, argv)
  module = '/tools/' in first and first.endswith('.py')
  name = ['-m', f'tools.{first[:-3].rpartition("/")[2]}'] if module else [first]
  return shlex.join(['python', *name, *rest])


def commands(path: str, named: Sequence[str]) -> dict[str, list[str]]:
  """Returns the command lines to go on with, by what they do.

  Args:
    path: of the run, or of a file of weights.
    named: the flags that name the network, as they were typed.
  """
  named = list(named)
  if networks.is_file(path):
    first = {'Train on from it': ['main.py', *named, '--workdir=RUN']}
  else:
    first = {'Go on': ['main.py', *named]}
  return {
    **first,
    'Evaluate': ['main.py', *named, '--mode=eval'],
    'Evaluate, and keep what is said of each image': [
      'main.py', *named, '--mode=eval', '--config.eval.save=DIR',
    ],
    'What is on photographs': ['-m', 'tools.predict', *named, 'PHOTOS'],
    'This page anew': ['-m', 'tools.report', *named, '--out=DIR'],
  }  # fmt: skip


def how_to(path: str, named: Sequence[str]) -> Markup:
  """Returns the commands, from the folder of the code."""
  parts: list[Any] = [
    fragments.note(
      'In the folder of the code; RUN, DIR and PHOTOS are yours to name.'
    )
  ]
  for what, words in commands(path, named).items():
    parts += [
      element('h3', what), fragments.code(shlex.join(['python', *words]))
    ]  # fmt: skip
  return join(parts)
