"""config.profile: what is refused, what is traced, and that nothing changes."""

import gzip
import itertools
import json

import jax
import jax.numpy as jnp
import pytest
from conftest import cases, make_config
from pod import digests, record

import train_lib
from errors import UserError
from experiment import check_training, create_experiment
from runtime import profiling
from runtime.clock import Clock
from runtime.preemption import PreemptedError, Preemption
from runtime.profiling import Span, parse

FOLDER = 'profile/plugins/profile'
COMPILES = 'compile_or_get_cached'  # JAX's function, in its own Python events


def test_steps_are_read():
  assert parse('') is None
  assert parse('steps 20 to 30') == Span(20, 30)
  assert parse(' step 2 to  1_000') == Span(2, 1000)
  assert parse('steps 5 to 5 of all processes') == Span(5, 5, True)
  assert str(Span(5, 6, True)) == 'steps 5 to 6 of all processes'
  assert parse(str(Span(5, 6, True))) == Span(5, 6, True)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'profile': '20'}, "profile '20': write 'steps 20 to 30', or"),
    ({'profile': 'steps 2-3'}, "write 'steps 20 to 30'"),
    ({'profile': 'steps 2 to 3 epochs'}, "write 'steps 20 to 30'"),
    ({'profile': 'steps 9 to 2'}, "ends before it begins: 'steps 2 to 9'"),
    ({'profile': 'steps 1 to 3'}, 'begin at step 2'),
    ({'profile': 'steps 2 to 1002'}, 'of 1,001 steps, .* at most 1,000'),
    ({'profile': 'steps 10 to 13'}, 'the run ends at step 12, as train.steps'),
    (
      {'profile': 'steps 3 to 6'},
      r"after step 4 comes an evaluation .eval.every., .* 'steps 5 to 8' would",
    ),
    ({'profile': 'steps 3 to 9'}, 'after step 8 .* or make those rarer'),
    (
      {'profile': 'steps 9 to 12', 'checkpoint.every': '10 steps'},
      r'after step 10 comes a checkpoint .checkpoint.every., .* rarer',
    ),
    (
      {'profile': 'steps 6 to 8', 'train.steps_per_call': 2},
      "steps_per_call is 2, .* 'steps 5 to 8'",
    ),
    (
      {'profile': 'steps 2 to 3', 'train.steps_per_call': 4},
      "the first, which compiles: 'steps 5 to 8'",
    ),
  ],
)
def test_what_cannot_be_traced_is_refused(fields, words):
  with pytest.raises(UserError, match=words):
    check_training(create_experiment(make_config(**fields)))


def test_the_curvature_of_a_pass_is_no_train_step():
  check = lambda span: profiling.check(  # noqa: E731
    span, 30, 1, [profiling.Moment('a pass', '1 epoch', early=True)],
    lambda every, step: step % 10 == 0,
  )  # fmt: skip
  check(Span(12, 20))
  for first, last in ((11, 12), (18, 21)):  # it is before step 11, and 21
    with pytest.raises(UserError, match=r"'steps \d2 to \d+' would do"):
      check(Span(first, last))


def test_evaluation_has_no_profile():
  with pytest.raises(UserError, match='leave it out with --mode=eval'):
    train_lib.evaluate_only(make_config(profile='steps 2 to 3'), 'nowhere')


def steps_in(file):
  """Returns the numbers of the steps of a trace, and the names of all events.

  As Perfetto reads it: Chrome's format of traces.
  """
  with gzip.open(file) as content:
    events = json.load(content)['traceEvents']
  steps = sorted(
    (e['ts'], e['ts'] + e['dur'], int(e['args']['step_num']))
    for e in events
    if e.get('name') == 'train'
  )
  for (_, end, _), (begin, _, _) in itertools.pairwise(steps):
    assert end <= begin  # one after the other
  return [number for _, _, number in steps], {e.get('name', '') for e in events}


class Asked(Preemption):
  """Is asked to stop after a step."""

  def __init__(self, step):
    super().__init__()
    self._left = step

  def step_taken(self):
    self._left -= 1
    self._asked = self._left == 0


@pytest.mark.parametrize('stop', cases([None, 7], [None]))
def test_a_profiled_run_ends_with_the_same_bits(tmp_path, whole, capsys, stop):
  config = make_config(profile='steps 6 to 8')
  place = tmp_path / FOLDER
  if stop:
    with pytest.raises(PreemptedError):
      train_lib.train_and_evaluate(config, str(tmp_path), None, Asked(stop))
    said = capsys.readouterr().out
    assert 'profile     steps 6 to 7 of steps 6 to 8, since the run' in said
    assert steps_in(place / 'steps_6_to_7/process_0.trace.json.gz')[0] == [6, 7]
    train_lib.train_and_evaluate(config, str(tmp_path))
    said = capsys.readouterr().out
    assert 'profile     none of steps 6 to 8: the run continues' in said
  else:
    (tmp_path / FOLDER / 'steps_6_to_8').mkdir(parents=True)
    (tmp_path / FOLDER / 'steps_6_to_8/process_0.SSTABLE').touch()
    train_lib.train_and_evaluate(config, str(tmp_path))
    assert f'--logdir={tmp_path}\n' in capsys.readouterr().out
    names = {p.name for p in (place / 'steps_6_to_8').iterdir()}
    assert names == {'process_0.xplane.pb', 'process_0.trace.json.gz'}
    steps, names = steps_in(place / 'steps_6_to_8/process_0.trace.json.gz')
    assert steps == [6, 7, 8]
    assert not [name for name in names if COMPILES in name]
  assert digests(tmp_path, 12) == digests(whole, 12)
  assert record(tmp_path) == record(whole)


def loop(place, text, start=0, stop=8, together=1, fail=()):
  """Runs a loop of small programs; returns what the profiler said."""
  said = []
  profiler = profiling.Profiler(
    parse(text), place, start, together, Clock(1), said.append
  )
  step = start
  for batch in profiler.steps(range(start, stop, together)):
    if batch in fail:
      break
    step += together
    profiler.done(step, jnp.square(jnp.ones(100)))
  profiler.close()
  return said


def test_a_continued_run_traces_what_is_left(tmp_path):
  said = loop(tmp_path, 'steps 4 to 7', start=3)
  assert said[0] == (
    'profile     steps 5 to 7 of steps 4 to 7: the run continues from step 3 '
    'and compiles in the next'
  )
  assert len(said) == 2
  file = tmp_path / FOLDER / 'steps_5_to_7/process_0.trace.json.gz'
  assert steps_in(file)[0] == [5, 6, 7]
  said = loop(tmp_path, 'steps 4 to 7', start=7)
  assert said == [
    'profile     none of steps 4 to 7: the run continues from step 7'
  ]


def test_a_compilation_would_be_seen(tmp_path):
  with jax.profiler.trace(tmp_path):
    jax.jit(lambda x: jnp.sin(x) * 1.5)(1.0).block_until_ready()
  (file,) = tmp_path.rglob('*.trace.json.gz')
  assert any(COMPILES in name for name in steps_in(file)[1])


def test_a_step_is_named_by_the_last_of_its_call(tmp_path):
  loop(tmp_path, 'steps 3 to 6', together=2)
  file = tmp_path / FOLDER / 'steps_3_to_6/process_0.trace.json.gz'
  assert steps_in(file)[0] == [4, 6]


def test_a_run_that_ends_before_its_first_step_is_done(tmp_path):
  assert loop(tmp_path, 'steps 4 to 7', fail=[3]) == [
    'profile     none of steps 4 to 7: the run ended before'
  ]
  assert not list(tmp_path.iterdir())
  assert len(loop(tmp_path, 'steps 4 to 7')) == 1  # another can be taken


def test_processes_trace_where_they_are_asked_to(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 3)
  loop(tmp_path, 'steps 2 to 3')
  assert not list(tmp_path.iterdir())
  loop(tmp_path, 'steps 2 to 3 of all processes')
  (place,) = (tmp_path / FOLDER).iterdir()
  assert place.name == 'steps_2_to_3_of_all_processes'
  names = {p.name for p in place.iterdir()}
  assert names == {'process_3.xplane.pb', 'process_3.trace.json.gz'}


def test_a_disk_that_is_full_costs_no_run(tmp_path, monkeypatch):
  def write(place, content):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(profiling.storage, 'write', write)
  (said,) = loop(tmp_path, 'steps 2 to 3')
  assert said.startswith('profile     not written: ')
  assert 'No space left' in said
  (said,) = loop(tmp_path, 'steps 2 to 3')  # the profiler is free again
  assert 'No space left' in said
