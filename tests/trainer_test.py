"""Training as a whole: exact resume, damage, divergence, precedence."""

import functools
import json

import jax
import numpy as np
import pytest
from conftest import first_batch, make_config
from pod import digests, record

import train_lib
from errors import UserError
from experiment import check_training, create_experiment
from runtime import checkpoints
from training.state import create_state
from training.train_step import make_train_step


def test_a_run_leaves_what_the_readme_says(whole):
  names = {p.name.split('.out.')[0] for p in whole.iterdir()}
  assert names == {
    'config.json', 'classes.json', 'versions.jsonl', 'metrics.jsonl', 'events',
    'checkpoints', 'in_use.json',
  }  # fmt: skip
  config = json.loads((whole / 'config.json').read_text())
  assert config['model']['name'] == 'lenet5'
  start = json.loads((whole / 'versions.jsonl').read_text())
  assert start['jax'] == jax.__version__
  assert start['step'] == 0
  assert len(start['git'].split('+')[0]) in (40, len('unknown'))
  evals = [line for line in record(whole) if 'eval/count' in line]
  assert [line['step'] for line in evals] == [4, 8, 12]
  assert {line['eval/count'] for line in evals} == {1000}
  assert {line['eval/protocol'] for line in evals} == {'single'}


def test_tensorboard_reads_the_events(whole):
  from tensorboard.backend.event_processing import (  # noqa: PLC0415  slow
    event_accumulator,
  )

  events = event_accumulator.EventAccumulator(str(whole))
  events.Reload()
  steps = [e.step for e in events.Scalars('eval/top1_error')]
  assert steps == [4, 8, 12]
  assert len(events.Scalars('train/loss')) == 12


def test_n_plus_m_steps_equal_n_then_m(tmp_path, whole):
  stop = 5  # where nothing else happens; others: preemption_test.py
  train_lib.train_and_evaluate(make_config(train__steps=stop), str(tmp_path))
  train_lib.train_and_evaluate(make_config(), str(tmp_path))
  assert digests(tmp_path, 12) == digests(whole, 12)
  # The shorter run ended with an evaluation of its own.
  rest = [line for line in record(tmp_path) if line['step'] != stop]
  assert rest == [line for line in record(whole) if line['step'] != stop]


@pytest.mark.slow
def test_the_newest_and_the_best_are_kept(tmp_path):
  config = make_config(
    train__steps=24, checkpoint__keep=1, checkpoint__keep_best=2
  )
  train_lib.train_and_evaluate(config, str(tmp_path))
  config.train.steps = 28  # a restart must not forget which were best
  config.optimizer.learning_rate = 0.0001
  train_lib.train_and_evaluate(config, str(tmp_path))
  evals = [line for line in record(tmp_path) if 'eval/count' in line]
  best = sorted(evals, key=lambda line: line['eval/top1_error'])[:2]
  steps = {int(p.name) for p in (tmp_path / 'checkpoints').iterdir()}
  assert steps == {28} | {line['step'] for line in best}


@pytest.mark.slow
def test_a_finished_run_says_so_and_a_longer_one_goes_on(tmp_path, capsys):
  train_lib.train_and_evaluate(make_config(train__steps=4), str(tmp_path))
  before = record(tmp_path)
  capsys.readouterr()
  result = train_lib.train_and_evaluate(
    make_config(train__steps=4), str(tmp_path)
  )
  said = capsys.readouterr().out
  assert 'at step 4 of 4 already' in said
  assert record(tmp_path) == before
  assert result['eval/count'] == 1000
  train_lib.train_and_evaluate(make_config(train__steps=6), str(tmp_path))
  assert 'changed since the last start: train.steps 4 -> 6' in (
    capsys.readouterr().out
  )
  assert record(tmp_path)[-1]['step'] == 6


@pytest.mark.slow
def test_divergence_stops_with_the_step_and_the_last_good_checkpoint(tmp_path):
  # Not the paper's network: its outputs are bounded, and so is its loss.
  modern = 'smoke,variant=lenet5_modern'
  good = make_config(modern, train__steps=4)
  train_lib.train_and_evaluate(good, str(tmp_path))
  bad = make_config(modern, optimizer__learning_rate=1e30)
  with pytest.raises(UserError, match='training diverged') as error:
    train_lib.train_and_evaluate(bad, str(tmp_path))
  assert str(tmp_path / 'checkpoints' / '00000004') in str(error.value)
  assert 'step 6' in str(error.value) or 'step 5' in str(error.value)
  names = [p.name for p in (tmp_path / 'checkpoints').iterdir()]
  assert names == ['00000004']


def test_another_architecture_is_refused_by_field(tmp_path):
  train_lib.train_and_evaluate(make_config(train__steps=4), str(tmp_path))
  before = (tmp_path / 'config.json').read_text()
  other = make_config('smoke,variant=lenet5_modern')
  with pytest.raises(UserError, match='belongs to another run') as error:
    train_lib.train_and_evaluate(other, str(tmp_path))
  assert 'model.name: lenet5 there, lenet5_modern here' in str(error.value)
  assert (tmp_path / 'config.json').read_text() == before


@pytest.mark.slow
def test_precedence_own_checkpoint_then_init_from_then_scratch(
  tmp_path, whole, capsys
):
  other = str(tmp_path / 'other')
  config = make_config(init_from=str(whole), train__steps=4, seed=5)
  experiment = create_experiment(config)
  store = checkpoints.Checkpoints(tmp_path / 'none', 1, 0)
  state, _ = train_lib.starting_state(experiment, store)
  store.close()
  saved = digests(whole, 12)
  loaded = checkpoints.manifest(state)
  for name in loaded:
    same = loaded[name]['sha256'] == saved[name]['sha256']
    if name.startswith('.params'):
      assert same, name
  assert int(state.step) == 0
  train_lib.train_and_evaluate(config, other)
  assert f'parameters from {whole}' in capsys.readouterr().out
  config.train.steps = 6
  train_lib.train_and_evaluate(config, other)
  assert 'continues from' in capsys.readouterr().out


def test_init_from_that_does_not_fit_names_the_first_difference(
  tmp_path, whole
):
  config = make_config('smoke,variant=lenet5_modern', init_from=str(whole))
  with pytest.raises(UserError, match=r"does not fit: .*\['C3'\]\['kernel'\]"):
    train_lib.train_and_evaluate(config, str(tmp_path))
  config = make_config(init_from=str(tmp_path / 'nowhere'))
  with pytest.raises(UserError, match='holds no checkpoint'):
    train_lib.train_and_evaluate(config, str(tmp_path / 'b'))


def test_evaluate_only_counts_each_example_and_writes_its_result(whole):
  before = sorted(whole.rglob('*'))
  results = [
    train_lib.evaluate_only(make_config(eval__batch_size=b), str(whole))
    for b in (7, 1000, 1001)
  ]
  last = record(whole)[-1]
  for result in results:
    assert result['count'] == 1000
    assert result['top1_error'] == last['eval/top1_error']
  written = whole / 'results' / 'lenet5.mnist5k.single.json'
  after = sorted(whole.rglob('*'))
  assert sorted({*before, written.parent, written}) == after
  content = json.loads(written.read_text())
  assert content['result']['wrong'] == last['eval/wrong']
  assert content['config']['model']['name'] == 'lenet5'


def test_a_run_is_measured_on_what_it_holds_out_and_then_tested(
  tmp_path, capsys
):
  def run(function, options, **fields):
    config = make_config(train__steps=4, **fields)
    config.data.options = options
    result = function(config, str(tmp_path))
    return result, capsys.readouterr().out

  held_out = {'holdout': 1000}
  result, said = run(train_lib.train_and_evaluate, held_out)
  assert 'mnist5k (3,000 + 1,000 images)' in said
  assert 'data        held out: 1,000 of 4,000 images: ' in said
  assert 'mnist5k held out, single' in said
  assert 'mnist5k test' not in said
  assert result['eval/split'] == 'held out'
  found = {}
  for options, split in (
    (held_out, ''), ({}, ''), ({}, 'holdout'), ({}, 'test'),
  ):  # fmt: skip
    again, said = run(train_lib.evaluate_only, options, eval__split=split)
    name = 'test' if split == 'test' else 'held out'
    assert f'mnist5k {name}, single' in said
    assert again['count'] == 1000
    found[name] = again['wrong']
  assert found['held out'] == result['eval/wrong']
  assert found['test'] != found['held out']
  for part, name in (('.held_out', 'held out'), ('', 'test')):
    file = tmp_path / 'results' / f'lenet5.mnist5k{part}.single.json'
    content = json.loads(file.read_text())
    assert (content['split'], content['config']['data']['options']) == (
      name, held_out,
    )  # fmt: skip
    assert content['result']['wrong'] == found[name]
  for number in (0, 400):  # which it was trained on
    with pytest.raises(UserError, match=f'holdout is {number}, but .*split=te'):
      run(train_lib.evaluate_only, {'holdout': number})
  with pytest.raises(UserError, match=r'per_class is 5, but .*: leave it out$'):
    run(train_lib.evaluate_only, {'per_class': 5})
  with pytest.raises(UserError, match='another run'):
    run(train_lib.train_and_evaluate, {})


@functools.cache
def one_step(parts):
  config = make_config('smoke,augment=distort', train__microbatch=parts)
  experiment = create_experiment(config)
  state = create_state(experiment)
  return make_train_step(experiment)(state, first_batch(experiment))


@pytest.mark.slow
@pytest.mark.parametrize('parts', [2, 4])
def test_microbatches_give_the_update_of_the_whole(parts):
  state, metrics = one_step(1)
  other_state, other_metrics = one_step(parts)
  for key in metrics:
    np.testing.assert_allclose(metrics[key], other_metrics[key], rtol=1e-6)
  for a, b in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(other_state.params)
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_sdlm_refreshes_every_pass_and_resumes_exactly(tmp_path):
  fields = {
    'train__batch_size': 1,
    'train__steps_per_call': 1,
    'train__steps': 30,
    'eval__every': '30 steps',
    'checkpoint__every': '10 steps',
    'data__name': 'fake',
    'data__options': {'shape': (28, 28, 1), 'num_classes': 10, 'examples': 12},
    'optimizer__samples': 5,
  }

  def run(steps, place):
    config = make_config('optimizer=sdlm', **{**fields, 'train__steps': steps})
    train_lib.train_and_evaluate(config, str(tmp_path / place))
    return digests(tmp_path / place, steps)

  one = run(30, 'whole')
  run(12, 'parts')  # stops where a pass ends
  run(20, 'parts')  # and inside one
  assert run(30, 'parts') == one
  early = digests(tmp_path / 'whole', 20)
  curvature = [name for name in one if 'curvature' in name]
  assert curvature
  # Steps 20 and 30 lie in different passes of 12.
  assert all(one[name] != early[name] for name in curvature)
  assert record(tmp_path / 'whole')[0]['step'] == 1
  rates = [
    (line['step'], line['train/lowest_rate'], line['train/highest_rate'])
    for line in record(tmp_path / 'parts')
    if 'train/lowest_rate' in line
  ]
  assert [step for step, *_ in rates] == [1, 13, 25]  # of each pass, the first
  assert all(0 < low < high <= 5e-4 / 0.02 for _, low, high in rates)


def test_several_steps_a_call_are_those_steps(tmp_path, whole):
  """They stop, continue and end as by themselves."""
  together = {'train__steps_per_call': 4}
  train_lib.train_and_evaluate(
    make_config(**together, train__steps=8), str(tmp_path / 'a')
  )
  for place in 'ab':
    train_lib.train_and_evaluate(make_config(**together), str(tmp_path / place))
  assert digests(tmp_path / 'a', 12) == digests(tmp_path / 'b', 12)
  assert record(tmp_path / 'a') == record(tmp_path / 'b')
  found, expected = record(tmp_path / 'b'), record(whole)
  assert [v['step'] for v in found] == [v['step'] for v in expected]
  # One program may round where twelve do not.
  np.testing.assert_allclose(
    [v['train/loss'] for v in found if 'train/loss' in v],
    [v['train/loss'] for v in expected if 'train/loss' in v],
    rtol=1e-5,
  )


def test_steps_that_do_not_fit_into_calls_are_refused(tmp_path):
  odd = make_config(train__batch_size=48, eval__every='1 epoch')
  check_training(create_experiment(odd))  # 83.3 steps, one a call
  for fields, word in (
    ({'train__steps_per_call': 5}, 'eval.every .4 steps. falls on steps that'),
    ({'train__steps_per_call': 0}, 'steps_per_call is 0: at least 1'),
    (
      {'train__steps_per_call': 4, 'train__steps': 10},
      r'the length of training .10.',
    ),
  ):
    with pytest.raises(UserError, match=word):
      train_lib.train_and_evaluate(make_config(**fields), str(tmp_path))
  train_lib.train_and_evaluate(make_config(train__steps=5), str(tmp_path))
  with pytest.raises(UserError, match='stands at step 5, which is no multiple'):
    train_lib.train_and_evaluate(
      make_config(train__steps_per_call=4), str(tmp_path)
    )


def test_a_protocol_that_is_not_there_is_refused_before_anything_is_written(
  tmp_path,
):
  config = make_config(eval__protocol='singel')
  with pytest.raises(UserError, match=r"singel.*Did you mean 'single'"):
    train_lib.train_and_evaluate(config, str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()
