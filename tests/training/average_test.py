"""Polyak's average of the parameters: GoogLeNet, Section 6."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import first_batch, make_config

from experiment import create_experiment
from training.state import create_state
from training.train_step import make_train_step


class Linear(nn.Module):
  """One layer."""

  @nn.compact
  def __call__(self, images, train=False):
    return nn.Dense(10)(images.reshape(len(images), -1))


@pytest.mark.parametrize('keep', [0.75, 0.0])
def test_the_average_keeps_its_share_and_takes_the_new_parameters(keep):
  config = make_config('smoke,variant=lenet5_modern', train__average=keep)
  experiment = dataclasses.replace(create_experiment(config), module=Linear())
  state, batch = create_state(experiment), first_batch(experiment)
  step, expected = make_train_step(experiment), None
  for _ in range(3):
    before = jax.tree.map(np.array, state.params)
    expected = before if expected is None else expected
    state, _ = step(state, batch)
    expected = jax.tree.map(
      lambda old, new: keep * old + (1 - keep) * np.array(new),
      expected,
      state.params,
    )
    assert (state.params['Dense_0']['bias'] != before['Dense_0']['bias']).all()
  evaluated = state.variables['params']
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
    evaluated,
    expected,
  )
  assert bool(state.average) == bool(keep)
