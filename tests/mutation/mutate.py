"""Faults put into the code one at a time: which do the tests notice?

    pip install cosmic-ray
    python tests/mutation/mutate.py                    # an hour on two cores
    python tests/mutation/mutate.py --only=recipe --sample=40
    python tests/mutation/mutate.py --judge            # what was found so far

Cosmic Ray makes the faults: another number, sign, comparison or operator. They
are drawn from `MODULES`, those where a wrong sign falsifies results, the same
ones for the same seed and the same code. Each goes into a copy of the tree, and
the tests that stand beside its module in `MODULES` run until one fails. What
none notices has survived: a test is missing, or it makes no difference, and
docs/testing.md says why.

Results are lines of --out; what is there is not run again, so that a run that
was stopped continues. They hold for one state of the code: name another --out,
or take the file away, when it has changed.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any

from cosmic_ray import work_db
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec
from modules import MODULES

ROOT = pathlib.Path(__file__).parents[2]
PYTEST = [
  sys.executable,
  *'-m pytest -x -p no:xdist -p no:cacheprovider'.split(),
]
SECONDS = 400  # the tests of a module, at most; a fault may also not end
# Of Cosmic Ray's operators those that make a plausible fault; a shift or a
# bitwise and in place of a sum stops any program.
OPERATORS = re.compile(
  '|'.join(
    (
      'core/NumberReplacer',
      'core/AddNot',
      'core/Replace(And|Or)With(Or|And)',
      'core/Replace(True|False)With(False|True)',
      'core/ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|Mul_Add)',
      'core/ReplaceBinaryOperator_(FloorDiv_Div|Mod_FloorDiv|Pow_Mul)',
      'core/ReplaceBinaryOperator_(Div_FloorDiv|Mod_Mul|FloorDiv_Mul)',
      'core/ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq)',
      'core/ReplaceComparisonOperator_(Lt_Gt|Gt_Lt|NotEq_Eq|Is_IsNot|IsNot_Is)',
      'core/ReplaceUnaryOperator_(USub_UAdd|Delete_USub|Delete_Not)',
      'core/ReplaceContinueWithBreak',
      'core/ReplaceBreakWithContinue',
    )
  )
)


def candidates(only: str) -> list[MutationSpec]:
  """Returns every fault of the modules whose path begins with `only`."""
  modules = [pathlib.Path(m) for m in MODULES if m.startswith(only)]
  with work_db.use_db(':memory:', work_db.WorkDB.Mode.create) as database:
    init(modules, database, {})
    found = [item.mutations[0] for item in database.work_items]
  wanted = [m for m in found if OPERATORS.fullmatch(m.operator_name)]
  return sorted(wanted, key=name_of)


def draw(
  every: list[MutationSpec], count: int, seed: int
) -> list[MutationSpec]:
  """Returns about `count` of the faults, of each module some.

  In proportion to the root of what a module has: else the tables of the
  networks, a third of all, would leave little for a train step of 50 lines.
  """
  by_module: dict[str, list[MutationSpec]] = collections.defaultdict(list)
  for mutation in every:
    by_module[str(mutation.module_path)].append(mutation)
  rng, whole = (
    random.Random(seed),
    sum(len(m) ** 0.5 for m in by_module.values()),
  )
  chosen = []
  for faults in by_module.values():
    share = max(1, round(count * len(faults) ** 0.5 / whole))
    chosen += rng.sample(faults, min(share, len(faults)))
  rng.shuffle(chosen)  # a run that is stopped has seen something of all
  return chosen


def name_of(mutation: MutationSpec) -> str:
  """Returns the same for the same fault in the same code."""
  line, column = mutation.start_pos
  operator = mutation.operator_name.removeprefix('core/')
  return (
    f'{mutation.module_path}:{line}:{column} {operator} {mutation.occurrence}'
  )


def copy_tree(place: pathlib.Path) -> None:
  """Copies to a directory what git has, or would add."""
  listed = subprocess.run(
    ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    cwd=ROOT, capture_output=True, text=True, check=True,
  )  # fmt: skip
  for name in filter(None, listed.stdout.split('\0')):
    if (ROOT / name).is_file():
      (place / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy2(ROOT / name, place / name)


def work_in_a_copy(places: multiprocessing.Queue) -> None:
  """Prepares a process of the pool."""
  os.chdir(places.get())
  # Programs that a fault has not touched need not be compiled again.
  os.environ.setdefault(
    'JAX_COMPILATION_CACHE_DIR', str(ROOT / '.pytest_cache' / 'jax')
  )


def passes(file: str) -> tuple[bool, str]:
  """Returns whether tests pass without a fault, and what they said."""
  done = subprocess.run(
    [*PYTEST, file], capture_output=True, text=True, check=False
  )
  return done.returncode == 0, done.stdout[-2000:]


def tested(mutation: MutationSpec) -> dict[str, Any]:
  """Returns what became of a fault, in the copy that the process works in."""
  command = ' '.join([*PYTEST, MODULES[str(mutation.module_path)]])
  began = time.monotonic()
  result = mutate_and_test([mutation], command, SECONDS)
  output = result.output or ''
  failed = re.search(r'^(?:FAILED|ERROR) (\S+)', output, re.M)
  if not failed:  # nothing could be imported, or there is no pytest any more
    subprocess.run([*PYTEST, '--version'], capture_output=True, check=True)
  return {
    'name': name_of(mutation),
    'outcome': result.test_outcome and str(result.test_outcome.value),
    'by': failed[1] if failed else output[-200:],
    'seconds': round(time.monotonic() - began, 1),
    'diff': [
      line
      for line in (result.diff or '').splitlines()
      if re.match(r'[-+](?!-|\+\+)', line)
    ],
  }


def run(chosen: list[MutationSpec], out: pathlib.Path, jobs: int) -> None:
  """Tests what has no line in `out` yet, and adds one for each."""
  lines = read(out)
  known = {line['name'] for line in lines if 'name' in line}
  left = [m for m in chosen if name_of(m) not in known]
  print(f'{len(chosen)} faults, {len(left)} of them to be tested', flush=True)
  places: multiprocessing.Queue = multiprocessing.Queue()
  with contextlib.ExitStack() as stack:
    for _ in range(jobs):
      place = stack.enter_context(tempfile.TemporaryDirectory())
      copy_tree(pathlib.Path(place))
      places.put(place)
    file = stack.enter_context(out.open('a', buffering=1))
    pool = concurrent.futures.ProcessPoolExecutor(
      jobs, initializer=work_in_a_copy, initargs=(places,)
    )
    stack.callback(pool.shutdown, cancel_futures=True)
    for line in sound(left, lines, pool):
      file.write(json.dumps(line) + '\n')
    waiting = [pool.submit(tested, mutation) for mutation in left]
    done = concurrent.futures.as_completed(waiting)
    for number, future in enumerate(done, 1):
      line = future.result()
      file.write(json.dumps(line) + '\n')
      print(
        f'{number}/{len(left)} {line["outcome"]} {line["name"]} '
        f'{line["seconds"]:.0f} s',
        flush=True,
      )


def sound(
  left: Iterable[MutationSpec],
  lines: Iterable[dict[str, Any]],
  pool: concurrent.futures.Executor,
) -> Iterator[dict[str, Any]]:
  """Yields a line for each file of tests that passes without a fault.

  Of the files that the faults need, those that `lines` has not seen yet. One
  that fails ends the command: it would notice everything.
  """
  words = {
    word
    for mutation in left
    for word in shlex.split(MODULES[str(mutation.module_path)])
  }
  seen = {line.get('passes') for line in lines}
  files = sorted(w for w in words - seen if w.endswith('.py'))
  for name, (passed, said) in zip(files, pool.map(passes, files)):
    if not passed:
      sys.exit(f'without any fault {name} fails already:\n{said}')
    yield {'passes': name}


def read(out: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of a file of results; none where there is no file."""
  if not out.exists():
    return []
  return [json.loads(line) for line in out.read_text().splitlines()]


def judged(lines: Iterable[dict[str, Any]]) -> str:
  """Returns a table by module, and the survivors with what was changed."""
  killed: dict[str, list[bool]] = collections.defaultdict(list)
  survivors = []
  faults = [line for line in lines if 'name' in line]
  for line in sorted(faults, key=lambda line: line['name']):
    killed[line['name'].partition(':')[0]].append(line['outcome'] == 'killed')
    if line['outcome'] != 'killed':
      survivors += ['', f'{line["name"]}: {line["outcome"]}', *line['diff']]
  rows = ['| module | faults | noticed |', '|---|---:|---:|']
  for module, each in killed.items():
    rows.append(f'| `{module}` | {len(each)} | {sum(each)} |')
  every = [noticed for each in killed.values() for noticed in each]
  share = sum(every) / max(len(every), 1)
  rows.append(f'| all | {len(every)} | {sum(every)} ({share:.1%}) |')
  return '\n'.join([*rows, *survivors])


def main() -> None:
  """See the module's docstring."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--only', default='', help='modules that begin so')
  parser.add_argument(
    '--sample', type=int, default=300, help='faults to draw (%(default)s)'
  )
  parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
  parser.add_argument(
    '--jobs', type=int, default=2, help='processes at a time (%(default)s)'
  )
  parser.add_argument(
    '--out', type=pathlib.Path, default=ROOT / '.pytest_cache/mutants.jsonl',
    help='file of results (%(default)s)',
  )  # fmt: skip
  parser.add_argument('--judge', action='store_true', help='run nothing')
  args = parser.parse_args()
  os.chdir(ROOT)
  if not args.judge:
    every = candidates(args.only)
    chosen = draw(every, args.sample, args.seed)
    print(f'{len(every)} faults are possible')
    args.out.parent.mkdir(exist_ok=True)
    run(chosen, args.out.resolve(), args.jobs)
  print(judged(read(args.out)))


if __name__ == '__main__':
  main()
