"""Learning rates by step, and by what training and validation report."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from errors import UserError, select

Schedule = Callable[[int], float]


class Rate(NamedTuple):
  """A learning rate: `by_step`, times the scale that `feedback` keeps.

  `feedback` is part of the optimizer's chain, so its state is in every
  checkpoint; `observe` returns the optimizer's state after an evaluation.
  """

  by_step: Schedule
  feedback: optax.GradientTransformation = optax.identity()
  observe: Callable[[Any, float], Any] = lambda opt_state, error: opt_state


class UntilErrorState(NamedTuple):
  """The scale of the rate: below 1 until the error has been low once."""

  scale: jax.Array


_SCALED = (contrib.ReduceLROnPlateauState, UntilErrorState)


def step(
  learning_rate: float,
  *,
  boundaries: Sequence[int],
  factors: Sequence[float],
  warmup: int = 0,
) -> Rate:
  """A piecewise constant rate.

  Args:
    learning_rate: the first rate.
    boundaries: steps from which each later rate holds, increasing.
    factors: later rates as multiples of the first, one a boundary.
    warmup: steps over which the rate first grows from 0, linearly.

  Raises:
    UserError: boundaries and factors do not fit each other.
  """
  if len(boundaries) != len(factors):
    raise UserError(
      f'schedule has {len(boundaries)} boundaries but {len(factors)} factors'
    )
  if sorted(boundaries) != list(boundaries):
    raise UserError(f'schedule.boundaries must increase: {tuple(boundaries)}')
  rates = [learning_rate, *(learning_rate * f for f in factors)]
  by_step = optax.join_schedules(
    [optax.constant_schedule(rate) for rate in rates], list(boundaries)
  )
  if not warmup:
    return Rate(by_step)
  return Rate(lambda s: by_step(s) * jnp.minimum((s + 1) / warmup, 1))


def exponential(learning_rate: float, *, every: int, factor: float) -> Rate:
  """A staircase: times `factor` after each `every` steps."""
  return Rate(
    optax.exponential_decay(learning_rate, every, factor, staircase=True)
  )


def plateau(
  learning_rate: float, *, factor: float, patience: int, drops: int
) -> Rate:
  """Falls when the validation error has stopped falling.

  Args:
    learning_rate: the first rate.
    factor: of each drop.
    patience: evaluations in a row without a new lowest top-1 error.
    drops: at most so many.
  """
  rule = contrib.reduce_on_plateau(
    factor, patience, rtol=0.0, atol=1e-9, min_scale=factor**drops
  )

  def observe(opt_state, error):
    def seen(state):
      if not isinstance(state, contrib.ReduceLROnPlateauState):
        return state
      return rule.update({}, state, value=jnp.float32(error))[1]

    return jax.tree.map(
      seen, opt_state, is_leaf=lambda s: isinstance(s, _SCALED)
    )

  return Rate(
    optax.constant_schedule(learning_rate),
    optax.GradientTransformation(rule.init, _scale),
    observe,
  )


def until_error(
  learning_rate: float,
  *,
  boundaries: Sequence[int],
  factors: Sequence[float],
  start: float,
  error: float,
) -> Rate:
  """As `step`, times `start` until a batch has less training error.

  ResNet, Section 4.2, on 110 layers: 0.01 until the training error is below
  80 %, then 0.1. The error is that of one batch before its update.
  """

  def init(params):
    del params
    return UntilErrorState(jnp.float32(start))

  def update(updates, state, params=None, *, train_error, **extra):
    del params, extra
    state = UntilErrorState(jnp.where(train_error < error, 1.0, state.scale))
    return _scale(updates, state)

  rate = step(learning_rate, boundaries=boundaries, factors=factors)
  feedback = optax.GradientTransformationExtraArgs(init, update)
  return rate._replace(feedback=feedback)


def _scale(updates, state, params=None):
  del params
  return jax.tree.map(lambda u: u * state.scale, updates), state


def feedback_scale(opt_state: Any) -> jax.Array | float:
  """Returns the product of the scales that feedback has come to."""
  states = jax.tree.leaves(
    opt_state, is_leaf=lambda state: isinstance(state, _SCALED)
  )
  scale: jax.Array | float = 1.0
  for state in states:
    if isinstance(state, _SCALED):
      scale = scale * state.scale
  return scale


SCHEDULES = {
  'step': step,
  'exponential': exponential,
  'plateau': plateau,
  'until_error': until_error,
}


def create(name: str, learning_rate: float, **fields) -> Rate:
  """Returns the schedule `schedule.name` with the fields of `schedule`.

  Raises:
    UserError: unknown name or field, or boundaries that do not fit.
  """
  function = select('schedule.name', name, SCHEDULES, fields, skip=1)
  return function(learning_rate, **fields)
