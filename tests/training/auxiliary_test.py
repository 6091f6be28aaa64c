"""Auxiliary heads: what a network sows into 'aux_logits' is trained."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
from conftest import first_batch, make_config

from experiment import create_experiment
from training.state import create_state
from training.train_step import make_train_step


class WithHead(nn.Module):
  """A linear classifier with another one beside it."""

  @nn.compact
  def __call__(self, images, train=False):
    x = images.reshape(images.shape[0], -1)
    if train or self.is_initializing():
      self.sow('aux_logits', 'aux1', nn.Dense(10, name='aux')(x))
    return nn.Dense(10, name='main')(x)


def updates(weight, parts=1):
  config = make_config(
    'smoke,variant=lenet5_modern',
    train__aux_weight=weight,
    train__microbatch=parts,
  )
  experiment = dataclasses.replace(create_experiment(config), module=WithHead())
  state = create_state(experiment)
  assert state.model_state == {}
  before = jax.tree.map(np.asarray, state.params)
  batch = first_batch(experiment)
  state, metrics = make_train_step(experiment)(state, batch)
  assert state.model_state == {}
  moved = jax.tree.map(lambda a, b: np.asarray(a) - b, state.params, before)
  return moved, float(metrics['loss'])


def test_the_heads_loss_counts_by_its_weight_and_is_not_the_loss_reported():
  none, loss = updates(0.0)
  some, same_loss = updates(0.3)
  double, _ = updates(0.6)
  assert loss == same_loss
  assert not none['aux']['kernel'].any()
  assert some['aux']['kernel'].any()
  np.testing.assert_allclose(
    double['aux']['kernel'], 2 * some['aux']['kernel'], rtol=1e-3, atol=1e-6
  )
  np.testing.assert_allclose(some['main']['kernel'], none['main']['kernel'])
  parts, _ = updates(0.3, parts=2)
  np.testing.assert_allclose(
    parts['aux']['kernel'], some['aux']['kernel'], rtol=1e-3, atol=1e-6
  )
