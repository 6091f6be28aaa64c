"""Schedules that heed errors; averages; what is kept in a checkpoint."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import make_config

import train_lib
from recipe import optimizers, schedules

FIELDS = {'momentum': 0.0, 'momentum_form': 'caffe', 'weight_decay': 0.0}


def test_plateau_drops_after_patience_without_a_new_lowest():
  rate = schedules.create('plateau', 0.1, factor=0.1, patience=2, drops=2)
  optimizer = optimizers.create('momentum', rate, **FIELDS)
  state = optimizer.init({'a': {'kernel': jnp.ones(1)}})
  # Equal is not lower; a new lowest starts the count again.
  errors = [0.9, 0.8, 0.8, 0.7, 0.75, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
  scales = [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
  found = []
  for error in errors:
    state = rate.observe(state, error)
    found.append(float(schedules.feedback_scale(state)))
  np.testing.assert_allclose(found, scales, rtol=1e-5)
  updates, _ = optimizer.update(
    {'a': {'kernel': jnp.ones(1)}}, state, {'a': {'kernel': jnp.ones(1)}}
  )
  np.testing.assert_allclose(updates['a']['kernel'], [-0.001], rtol=1e-5)


@pytest.mark.slow
def test_plateau_killed_and_resumed_drops_at_the_same_evaluation(tmp_path):
  def config(steps):
    config = make_config(train__steps=steps)
    config.unlock()
    config.schedule = {
      'name': 'plateau', 'factor': 0.5, 'patience': 1, 'drops': 3,
    }  # fmt: skip
    config.optimizer.learning_rate = 1e-9  # the error will not change
    return config

  def rates(place):
    lines = (place / 'metrics.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {
      r['step']: r['train/learning_rate']
      for r in rows
      if 'train/learning_rate' in r
    }

  train_lib.train_and_evaluate(config(20), str(tmp_path / 'whole'))
  train_lib.train_and_evaluate(config(8), str(tmp_path / 'parts'))
  train_lib.train_and_evaluate(config(20), str(tmp_path / 'parts'))
  whole = rates(tmp_path / 'whole')
  # Evaluations after steps 4, 8, ...: the first is a new lowest.
  expected = {4: 1e-9, 8: 1e-9, 9: 5e-10, 13: 2.5e-10, 17: 1.25e-10}
  for step, rate in expected.items():
    assert whole[step] == pytest.approx(rate)
  assert rates(tmp_path / 'parts') == whole


def test_until_error_waits_for_the_first_good_batch():
  rate = schedules.create(
    'until_error', 0.1, boundaries=[100], factors=[0.1], start=0.1, error=0.8
  )
  optimizer = optimizers.create('momentum', rate, **FIELDS)
  params = {'a': {'kernel': jnp.ones(1)}}
  state, steps = optimizer.init(params), []
  for error in (0.9, 0.8, 0.79, 0.95):
    updates, state = optimizer.update(params, state, params, train_error=error)
    steps.append(float(updates['a']['kernel'][0]))
  np.testing.assert_allclose(steps, [-0.01, -0.01, -0.1, -0.1], rtol=1e-5)


def test_exponential_is_a_staircase_and_warmup_a_ramp():
  rate = schedules.create('exponential', 0.5, every=10, factor=0.96).by_step
  np.testing.assert_allclose(
    [rate(0), rate(9), rate(10), rate(25)],
    [0.5, 0.5, 0.48, 0.4608],
    rtol=1e-5,
  )
  rate = schedules.create('step', 1.0, boundaries=[8], factors=[0.1], warmup=4)
  np.testing.assert_allclose(
    [rate.by_step(s) for s in (0, 1, 3, 7, 8)],
    [0.25, 0.5, 1, 1, 0.1],
    rtol=1e-5,
  )


def test_decay_on_kernels_and_rate_of_biases():
  rate = schedules.create('step', 0.1, boundaries=[], factors=[])
  optimizer = optimizers.create(
    'momentum',
    rate,
    **{**FIELDS, 'weight_decay': 0.5},
    decay_on='kernels',
    bias_rate=2.0,
  )
  ones = jnp.ones(2)
  params = {
    'conv': {'kernel': ones, 'bias': ones, 'bn': {'scale': ones, 'bias': ones}}
  }
  zeros = jax.tree.map(jnp.zeros_like, params)
  decayed, _ = optimizer.update(zeros, optimizer.init(params), params)
  moved, _ = optimizer.update(params, optimizer.init(params), zeros)
  assert decayed['conv']['kernel'][0] == pytest.approx(-0.05)
  assert decayed['conv']['bias'][0] == 0
  assert decayed['conv']['bn']['scale'][0] == 0
  assert moved['conv']['kernel'][0] == pytest.approx(-0.1)
  assert moved['conv']['bias'][0] == pytest.approx(-0.2)
  assert moved['conv']['bn']['bias'][0] == pytest.approx(-0.1)


def test_filters_are_scaled_down_to_the_root_mean_square():
  rng = np.random.default_rng(0)
  kernel = rng.normal(size=(3, 3, 4, 5)).astype('f')
  kernel *= np.array([0.01, 0.05, 0.1, 0.5, 2.0], 'f')
  params = {'conv1': {'kernel': kernel}, 'fc6': {'kernel': kernel}}
  rule = optimizers.keep_filters_below(0.1)
  change = jax.tree.map(lambda p: 0.1 * p, params)
  updates, _ = rule.update(change, rule.init(params), params)
  new = optax.apply_updates(params, updates)
  for i in range(5):
    expected = 1.1 * kernel[..., i]
    rms = np.sqrt((expected**2).mean())
    expected = expected * min(1, 0.1 / rms)
    np.testing.assert_allclose(
      new['conv1']['kernel'][..., i], expected, rtol=1e-4, atol=1e-6
    )
  np.testing.assert_allclose(new['fc6']['kernel'], 1.1 * kernel, rtol=1e-5)


@pytest.mark.slow
def test_the_average_is_what_is_evaluated(tmp_path):
  results = {}
  once = {'eval__every': '12 steps', 'checkpoint__every': '12 steps'}
  for keep in (0.0, 0.999999):
    config = make_config(
      train__average=keep, optimizer__learning_rate=1e-3, **once
    )
    results[keep] = train_lib.train_and_evaluate(
      config, str(tmp_path / str(keep))
    )
  again = train_lib.evaluate_only(config, str(tmp_path / str(keep)))
  assert again['loss'] == results[keep]['eval/loss']
  start = train_lib.train_and_evaluate(
    make_config(train__steps=1, optimizer__learning_rate=0.0),
    str(tmp_path / 'start'),
  )
  # An average that forgets nothing stays where it started.
  assert results[0.999999]['eval/loss'] == pytest.approx(
    start['eval/loss'], rel=1e-3
  )
  assert results[0.0]['eval/loss'] < 0.99 * start['eval/loss']
