"""Curves of runs, against sums by hand."""

import json

import pytest
from conftest import ROOT, make_config

import train_lib
from errors import UserError
from seeing import curves

RESULTS = ROOT / 'docs' / 'results'
MEAN = 'train/mean_top1_error'
TEST = 'eval/top1_error'


def fake_run(place, lines, examples=100, batch=10, augment='none', **more):
  place.mkdir(parents=True)
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (place / 'metrics.jsonl').write_text(text)
  config = {'train': {'batch_size': batch, 'augment': augment}, **more}
  (place / 'config.json').write_text(json.dumps(config))
  classes = {'train_examples': examples} if examples else {}
  (place / 'classes.json').write_text(json.dumps(classes))
  return str(place)


@pytest.mark.slow
def test_curves_of_a_run_are_read_and_what_is_missing_is_named(tmp_path):
  train_lib.train_and_evaluate(make_config(), str(tmp_path))
  run = curves.open_run(str(tmp_path))
  steps, values = curves.read(run, 'train/loss')
  assert steps == list(range(1, 13))
  assert len(values) == 12
  assert curves.read(run, TEST)[0] == [4, 8, 12]
  assert curves.errors(run) == [MEAN, TEST]
  with pytest.raises(UserError, match=r"no 'train/los'. Did you .*train/loss'"):
    curves.read(run, 'train/los')


def test_means_of_a_pass_weigh_the_lines_by_their_steps(tmp_path):
  lines = [
    {'step': 4, MEAN: 0.8},
    {'step': 8, MEAN: 0.6},
    {'step': 10, MEAN: 0.1, 'train/loss': 1.0},  # the pass ends between two
    {'step': 10, TEST: 0.5},
    {'step': 14, MEAN: 0.2},
    {'step': 20, MEAN: 0.1},
    {'step': 20, TEST: 0.25},
  ]
  run = curves.open_run(fake_run(tmp_path / 'a', lines))
  found = curves.by_pass(run, MEAN)
  assert found.x == [1.0, 2.0]
  expected = [(4 * 0.8 + 4 * 0.6 + 2 * 0.1) / 10, (4 * 0.2 + 6 * 0.1) / 10]
  assert found.y == pytest.approx(expected)
  test = curves.by_pass(run, TEST)
  assert (test.x, test.y) == ([1.0, 2.0], [0.5, 0.25])
  assert curves.by_examples(run, TEST).x == [100, 200]
  assert curves.by_step(run, TEST).x == [10, 20]


def test_last_values_by_size_of_the_training_set(tmp_path):
  runs = curves.open_runs([
    fake_run(tmp_path / name, [{'step': 5, TEST: e}], n, 1, a)
    for name, e, n, a in (
      ('a', 0.3, 60, 'none'), ('b', 0.5, 15, 'none'), ('c', 0.2, 60, 'distort')
    )
  ])  # fmt: skip
  plain, distorted = curves.curves(runs, 'size')
  assert (plain.name, list(plain.x), list(plain.y)) == (
    '',
    [15, 60],
    [0.5, 0.3],
  )
  assert (distorted.name, list(distorted.y)) == ('distort', [0.2])


@pytest.mark.parametrize('batch', [1, 64])
@pytest.mark.parametrize('every', ['1 epoch', '0.5 epochs', '2 epochs'])
def test_a_training_set_is_counted_from_evaluations(tmp_path, batch, every):
  passes = float(every.split()[0])
  ends = [-(-int(60000 * passes * n) // batch) for n in range(1, 11)]
  ends.append(ends[-1] + 100)  # the last pass is a broken one
  lines = [{'step': s, TEST: 0.1, 'eval/count': 9} for s in ends]
  for number in (2, 5, 10, 11):
    where = tmp_path / str(number)
    more = {'eval': {'every': every}}
    path = fake_run(where, lines[:number], 0, batch, **more)
    found = curves.open_run(path).examples
    assert abs(found - 60000) <= batch / passes / min(number, 10)
  one = fake_run(tmp_path / 'one', lines[:1], 0, batch, eval={'every': every})
  assert curves.open_run(one).examples == 0


def test_published_files_have_their_config_beside_them():
  single, many = curves.open_runs(
    [
      str(RESULTS / f'lenet5.mnist.{name}.metrics.jsonl')
      for name in ('seed0', 'momentum.seed0')
    ]
  )
  assert (single.batch, many.batch) == (1, 64)
  assert (single.examples, many.examples) == (60000, 60000)
  assert single.name == 'lenet5.mnist.seed0'
  assert curves.errors(single) == [
    TEST
  ]  # of training, it has but that of a batch
  assert curves.errors(many) == [MEAN, TEST]
  for curve in curves.curves([single, many], 'pass', [TEST]):
    assert curve.x == pytest.approx(range(1, 21), abs=1e-3)


def test_runs_of_the_same_name_are_told_apart(tmp_path):
  paths = [
    fake_run(tmp_path / n, [{'step': 1, TEST: 1.0}])
    for n in ('a/run', 'b/run', 'other')
  ]
  names = [run.name for run in curves.open_runs(paths)]
  assert names == [paths[0], paths[1], 'other']


def test_a_record_that_does_not_do_is_named(tmp_path):
  run = fake_run(tmp_path / 'a', [{'step': 5, MEAN: 1.0}], examples=0)
  with pytest.raises(UserError, match=r'classes.json does not say how many'):
    curves.by_pass(curves.open_run(run), MEAN)
  (tmp_path / 'a' / 'config.json').unlink()
  with pytest.raises(UserError, match=r'no config .* --by=step does without'):
    curves.by_examples(curves.open_run(run), MEAN)
  with pytest.raises(UserError, match='given twice'):
    curves.open_runs([run, run])
  with pytest.raises(UserError, match='does not exist: a workdir, or'):
    curves.open_run(str(tmp_path / 'b'))
  (tmp_path / 'b').mkdir()
  with pytest.raises(UserError, match=r'there is no metrics.jsonl in it'):
    curves.open_run(str(tmp_path / 'b'))
  (tmp_path / 'b' / 'metrics.jsonl').write_text('no line of ours\n')
  with pytest.raises(UserError, match='has no lines of a run'):
    curves.open_run(str(tmp_path / 'b'))
  time = fake_run(tmp_path / 'c', [{'step': 1, 'time/startup_seconds': 1.0}])
  with pytest.raises(UserError, match=r'has no train/mean_.* time/startup'):
    curves.errors(curves.open_run(time))
