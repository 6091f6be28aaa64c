"""Curves of runs."""

import json

import pytest
from conftest import make_config

import train_lib
from tools import plot_runs


@pytest.mark.slow
def test_curves_are_read_and_what_is_missing_is_named(tmp_path):
  train_lib.train_and_evaluate(make_config(), str(tmp_path))
  steps, values = plot_runs.read(str(tmp_path), 'train/loss')
  assert steps == list(range(1, 13))
  assert len(values) == 12
  assert plot_runs.read(str(tmp_path), 'eval/top1_error')[0] == [4, 8, 12]
  with pytest.raises(ValueError, match=r"no 'train/los', but .*train/loss"):
    plot_runs.read(str(tmp_path), 'train/los')


def fake_run(place, lines, examples=100, batch=10, augment='none'):
  place.mkdir()
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (place / 'metrics.jsonl').write_text(text)
  config = {'train': {'batch_size': batch, 'augment': augment}}
  (place / 'config.json').write_text(json.dumps(config))
  classes = {'train_examples': examples} if examples else {}
  (place / 'classes.json').write_text(json.dumps(classes))
  return str(place)


MEAN = 'train/mean_top1_error'


def test_means_of_a_pass_weigh_the_lines_by_their_steps(tmp_path):
  lines = [
    {'step': 4, MEAN: 0.8},
    {'step': 8, MEAN: 0.6},
    {'step': 10, MEAN: 0.1, 'train/loss': 1.0},  # the pass ends between two
    {'step': 10, 'eval/top1_error': 0.5},
    {'step': 14, MEAN: 0.2},
    {'step': 20, MEAN: 0.1},
    {'step': 20, 'eval/top1_error': 0.25},
  ]
  run = fake_run(tmp_path / 'a', lines)
  found = plot_runs.by_pass(run, MEAN)
  assert found.x == [1.0, 2.0]
  expected = [(4 * 0.8 + 4 * 0.6 + 2 * 0.1) / 10, (4 * 0.2 + 6 * 0.1) / 10]
  assert found.y == pytest.approx(expected)
  test = plot_runs.by_pass(run, 'eval/top1_error')
  assert (test.x, test.y) == ([1.0, 2.0], [0.5, 0.25])


def test_last_values_by_size_of_the_training_set(tmp_path, capsys):
  runs = [
    fake_run(tmp_path / name, [{'step': 5, 'eval/top1_error': e}], n, 1, a)
    for name, e, n, a in (
      ('a', 0.3, 60, 'none'), ('b', 0.5, 15, 'none'), ('c', 0.2, 60, 'distort')
    )
  ]  # fmt: skip
  plain, distorted = plot_runs.by_examples(runs, 'eval/top1_error')
  assert (plain.name, list(plain.x), list(plain.y)) == (
    '',
    [15, 60],
    [0.5, 0.3],
  )
  assert (distorted.name, list(distorted.y)) == ('distort', [0.2])
  out = tmp_path / 'out.png'
  plot_runs.draw(runs, ['eval/top1_error'], 'examples', str(out))
  assert out.stat().st_size > 1000
  assert 'distort eval/top1_error: 60: 0.2' in capsys.readouterr().out


def test_a_run_that_does_not_say_its_examples_is_named(tmp_path):
  run = fake_run(tmp_path / 'a', [{'step': 5, MEAN: 1.0}], examples=0)
  with pytest.raises(ValueError, match=r'classes.json does not say how many'):
    plot_runs.by_pass(run, MEAN)
