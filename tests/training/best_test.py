"""Which evaluations are saved beside what `checkpoint.every` asks for."""

import pytest
from conftest import make_config

import train_lib
from training import loop


@pytest.mark.parametrize(('keep_best', 'saved'), [(1, [1, 3, 5]), (0, [5])])
def test_a_better_evaluation_is_saved_and_no_other(
  tmp_path, monkeypatch, keep_best, saved
):
  errors = iter((0.5, 0.6, 0.4, 0.4, 0.7))

  def step(state, batch):
    metrics = dict.fromkeys(('loss', 'top1_error', 'learning_rate'), 0.5)
    return state._replace(step=state.step + 1), metrics

  def evaluate(*_):
    error = next(errors)
    return {
      'loss': 1.0, 'top1_error': error, 'wrong': int(10 * error), 'count': 10,
      'protocol': 'single',
    }  # fmt: skip

  monkeypatch.setattr(loop, 'make_train_step', lambda experiment: step)
  monkeypatch.setattr(loop.runs, 'evaluate', evaluate)
  config = make_config(
    train__steps=5,
    eval__every='1 step',
    checkpoint__every='100 steps',
    checkpoint__keep=9,
    checkpoint__keep_best=keep_best,
  )
  train_lib.train_and_evaluate(config, str(tmp_path))
  found = sorted(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
  assert found == saved
