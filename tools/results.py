"""Writes docs/results.md: the papers' numbers, and ours where we have them.

    python -m tools.results docs/results RUNS > docs/results.md

Reads the files that `--mode=eval` leaves in WORKDIR/results, at any depth of
the folders given. A number of ours stands there only if a file has it, which
counts for a row if network, data, recipe, protocol, scales and number of
networks are the same, and all images of the split were counted.
"""

import importlib
import json
import pathlib
import re
import statistics
from typing import Any

from data import parts
from errors import UserError
from runtime import storage
from runtime import workdir as workdir_lib
from tools import usage
from tools.reported import ROWS, Row

_HEADER = """# Results

{contents}

Written by `python -m tools.results docs/results > docs/results.md`. Error in
percent, top-1 / top-5: as reported, and ours, where a file of `--mode=eval` has
the number. {counts}

ImageNet is not free to pass on: its rows need a copy of yours, see
`python -m tools.prepare_imagenet --help`. Train first with the same `--config`,
or take other people's weights with `--config.init_from=FILE`.

A row that starts from another training says so: the commands of such a chain
are in [Recipes](recipes.md#commands).

Protocols are those of [evaluation/protocols.py](../evaluation/protocols.py).
"""
# Data by name: what to get, and images of its split to test on.
_DATA = {
  'imagenet2012': ('ImageNet', 50_000),
  'cifar10': ('CIFAR-10', 10_000),
  'mnist': ('MNIST', 10_000),
}
# What of the config makes a row another one.
_SAME = (
  'model', 'data.name', 'data.geometry', 'train.augment', 'train.steps',
  'train.epochs', 'optimizer',
)  # fmt: skip
# Options that make the training set a part of the data's.
_PARTS = ('first', *parts.HOLDOUTS, 'per_class')


def expected(row: Row) -> dict[str, Any]:
  """Returns the config of a row, as JSON has it."""
  path, *overrides = row.config.split(' --config.')
  file, _, argument = path.partition(':')
  module = importlib.import_module(file.removesuffix('.py').replace('/', '.'))
  config = module.get_config(argument)
  for override in overrides:
    field, _, value = override.partition('=')
    config.update_from_flattened_dict({field: value})
  return workdir_lib.as_json(config)


def _field(tree, path):
  for part in path.split('.'):
    tree = tree.get(part)
  return tree


def matches(row: Row, config: dict[str, Any], found: dict[str, Any]) -> bool:
  """Returns whether a result file is one of a row with that config."""
  result = found['result']
  if result.get('test_set') or found.get('trained_on'):
    return False  # not the test split of its training data, or not all classes
  options = found['config']['data']['options'] or {}
  if any(options.get(field) for field in _PARTS):
    return False  # not the paper's training set
  scales = tuple(result.get('scales', ()))
  if not scales and result['protocol'] == 'center':
    geometry = found['config']['data']['eval_geometry']
    scales = (geometry.get('shorter_side', 256),)
  return (
    result['protocol'] == row.protocol
    and result['count'] == _DATA[config['data']['name']][1]
    and scales == row.scales
    and len(found['networks']) == row.members
    and all(_field(config, f) == _field(found['config'], f) for f in _SAME)
  )


def command(row: Row) -> str:
  """Returns what one types for a row."""
  parts = [
    f'python main.py --mode=eval --config={row.config} --workdir=DIR',
    f'--config.eval.protocol={row.protocol}',
  ]
  if row.scales:
    parts.append(f'--config.eval.scales={",".join(map(str, row.scales))}')
  if row.members > 1:
    more = ','.join(f'DIR{i}' for i in range(2, row.members + 1))
    parts.append(f'--config.eval.members={more}')
  return ' '.join(parts)


def read(folders: list[str]) -> list[dict[str, Any]]:
  """Returns the result files in folders, at any depth, oldest first.

  Raises:
    UserError: a folder is not there, or a file is none of ours.
  """
  found = []
  for folder in folders:
    place = storage.local(folder)
    if not place.is_dir():
      raise UserError(f'{folder} is not a folder')
    for file in sorted(place.rglob('*.json')):
      if 'results' not in (p.name for p in file.parents):
        continue
      try:
        content = json.loads(file.read_text())
        content['result']['count'], content['config']['model']['name']
        content['file'] = str(file)
      except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{file} is no result file: {error!r}') from None
      found.append(content)
  return sorted(found, key=lambda content: content['time'])


def _percent(top1, top5):
  shown = ['-' if v is None else f'{v:.2f}' for v in (top1, top5)]
  return ' / '.join(shown)


def _ours(*found):
  """One result, or the mean and the range of those of several seeds."""
  top1, top5 = (
    [100 * v for f in found if (v := f['result'].get(name)) is not None]
    for name in ('top1_error', 'top5_error')
  )
  mean5 = statistics.fmean(top5) if top5 else None
  shown = _percent(statistics.fmean(top1), mean5)
  if len(found) > 1:
    ends = f'{min(top1):.2f} to {max(top1):.2f}'
    shown += f', mean of {len(found)} seeds, {ends}'
  # Relative to the page, which is in docs/.
  files = [
    pathlib.Path(f['file']).as_posix().removeprefix('docs/') for f in found
  ]
  return f'{shown} ({", ".join(f"[file]({file})" for file in files)})'


def page(found: list[dict[str, Any]]) -> str:
  """Returns docs/results.md."""
  lines, used, rows_run = [], set(), 0
  table = ''
  for row in ROWS:
    config = expected(row)
    if row.table != table:
      table = row.table
      lines += [
        f'\n## {table}\n',
        '| network | protocol | reported | ours | command |',
        '|---|---|---:|---:|---|',
      ]
    ours = f'needs {_DATA[config["data"]["name"]][0]}'
    mine = {}  # by seed; the last one is the newest
    for i, content in enumerate(found):
      if matches(row, config, content):
        mine[content['config']['seed']] = content
        used.add(i)
    if mine:
      ours, rows_run = _ours(*mine.values()), rows_run + 1
    scales = ', '.join(map(str, row.scales))
    protocol = f'{row.protocol} {scales}'.strip()
    note = f' ({row.note})' * bool(row.note)
    if start := config['init_required']:
      note += f'; starts from {re.sub(r" .(variant|scale)=.*", "", start)}'
    lines.append(
      f'| {row.what}{note} | {protocol} | {_percent(row.top1, row.top5)} | '
      f'{ours} | `{command(row)}` |'
    )
  others = [content for i, content in enumerate(found) if i not in used]
  if others:
    lines += _others(others)
  header = _HEADER.format(counts=_counts(rows_run), contents=_contents(lines))
  return header + '\n'.join(lines) + '\n'


def _contents(lines):
  """Links to the headings, by GitHub's rule for their names."""
  titles = [s.removeprefix('\n## ').strip() for s in lines if s[:4] == '\n## ']
  names = [re.sub(r'[^\w -]', '', t.lower()).replace(' ', '-') for t in titles]
  return '\n'.join(f'- [{t}](#{n})' for t, n in zip(titles, names))


def _counts(run):
  return f'Of {len(ROWS)} rows, {run} were run here.'


def _others(found):
  """Runs that are no row of a paper: other data, networks or protocols."""
  rows: dict[tuple[str, ...], dict[int, dict]] = {}  # by what it is, by seed
  for content in found:
    result, config = content['result'], content['config']
    scales = ', '.join(map(str, result.get('scales', ())))
    members = len(content['networks'])
    row = (
      config['model']['name'] + f', {members} networks' * (members > 1),
      result.get('test_set') or _data(content),
      f'{config["optimizer"]["name"]}, {config["train"]["augment"]}',
      f'{result["protocol"]} {scales}'.strip(),
      f'{result["count"]:,}',
      content['versions']['devices'],
    )
    rows.setdefault(row, {})[config['seed']] = content
  lines = [
    '\n## Runs that are no row of a paper\n',
    '| network | data | optimizer, augmentation | protocol | images | ours | '
    'devices |',
    '|---|---|---|---|---:|---:|---|',
  ]
  for (*what, devices), seeds in rows.items():
    lines.append(
      f'| {" | ".join(what)} | {_ours(*seeds.values())} | {devices} |'
    )
  return lines


def _data(content):
  """The data by name, what part of it was trained on, what was evaluated."""
  data = content['config']['data']
  options = data['options'] or {}
  said = [f'{f} {options[f]:,}' for f in (*_PARTS, 'draw') if options.get(f)]
  if content.get('split', 'test') != 'test':
    said.append(content['split'])
  name = f'{data["name"]} {options.get("builder", "")}'.strip()
  return ', '.join([name, *said])


def main(arguments: list[str] | None = None) -> None:
  """Prints the page."""
  parser = usage.parser(__name__)
  parser.add_argument('folders', nargs='*', help='with result files')
  args = parser.parse_args(arguments)
  with usage.errors():
    print(page(read(args.folders)), end='')


if __name__ == '__main__':
  main()
