"""A run that has broken down says so, or ends, before its loss is infinite."""

import json

import pytest
from conftest import make_config

import train_lib
from errors import UserError
from training.divergence import WINDOW, Watch


def test_a_loss_far_above_the_first_is_said_once_until_it_recovers():
  watch = Watch(10, first_loss=4.0)
  said = [watch.loss(v) for v in [8.1] * (WINDOW + 5)]
  assert said[: WINDOW - 1] == [None] * (WINDOW - 1)
  assert '8.1; at the first step it was 4' in said[WINDOW - 1]
  assert said[WINDOW:] == [None] * 5
  assert not any(watch.loss(1.0) for _ in range(WINDOW))
  assert any(watch.loss(9.0) for _ in range(WINDOW))


def test_a_start_from_trained_weights_may_get_worse_than_it_was():
  watch = Watch(1000, first_loss=0.1)
  assert not any(watch.loss(2.0) for _ in range(2 * WINDOW))
  unknown = Watch(10)
  assert not any(unknown.loss(1e9) for _ in range(2 * WINDOW))


def test_an_error_of_chance_after_a_better_one():
  watch = Watch(10)
  assert watch.error(0.9, None) is None  # has not learnt yet
  assert watch.error(0.9, 0.88) is None
  assert watch.error(0.6, 0.02) is None  # bad, but knows something
  assert 'of a guess, 90.20%; it was 2.34%' in watch.error(0.902, 0.0234)
  assert watch.error(0.9, 0.0234) is None
  assert watch.error(0.5, 0.0234) is None
  assert watch.error(0.9, 0.0234)


def broken(**fields):
  """40 good steps, then 20 at a rate at which nothing is learnt any more."""
  return make_config(
    'smoke,variant=lenet5_modern',
    model__activation='tanh',  # so that numbers stay finite
    train__steps=60,
    train__batch_size=64,
    eval__every='40 steps',
    checkpoint__every='40 steps',
    eval__batch_size=1000,
    schedule__boundaries=('40 steps',),
    schedule__factors=(1e4,),
    **fields,
  )


def lines(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def test_it_is_said_in_a_line_and_the_run_goes_on(tmp_path, capsys):
  train_lib.train_and_evaluate(broken(), str(tmp_path))
  said = capsys.readouterr().out
  assert 'DIVERGED?   step 60: the top-1 error is that of a guess' in said
  assert 'done        steps 0 to 60' in said
  (line,) = [v for v in lines(tmp_path) if 'diverged' in v]
  assert line['step'] == 60
  assert lines(tmp_path)[0]['train/first_loss'] > 1


def test_with_the_switch_it_ends_and_keeps_the_last_good_checkpoint(tmp_path):
  config = broken(train__stop_if_diverged=True)
  with pytest.raises(UserError, match=r'step 60: the top-1 error.*00000040'):
    train_lib.train_and_evaluate(config, str(tmp_path))
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['00000040']
