"""Each paper's update rule as an optax chain, and the schedules."""

from collections.abc import Callable, Sequence

import optax

import sdlm as sdlm_lib
from errors import UserError, closest, select

Schedule = Callable[[int], float]


def step_decay(
  learning_rate: float,
  *,
  boundaries: Sequence[int],
  factors: Sequence[float],
) -> Schedule:
  """A piecewise constant rate.

  Args:
    learning_rate: the first rate.
    boundaries: steps from which each later rate holds, increasing.
    factors: later rates as multiples of the first, one a boundary.

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
  return optax.join_schedules(
    [optax.constant_schedule(rate) for rate in rates], list(boundaries)
  )


def momentum(
  schedule: Schedule,
  *,
  momentum: float,
  momentum_form: str,
  weight_decay: float,
) -> optax.GradientTransformation:
  """Stochastic gradient descent with momentum and coupled weight decay.

  Args:
    schedule: learning rate by step.
    momentum: the factor m.
    momentum_form: 'caffe' has the rate inside the velocity, as the papers of
      2012 to 2015 write it: v = m v + rate (g + decay w), w = w - v. 'pytorch'
      has it outside: v = m v + g + decay w, w = w - rate v. They differ after
      each change of the rate.
    weight_decay: coefficient of L2, 0 for none.

  Raises:
    UserError: unknown form.
  """
  decay = optax.add_decayed_weights(weight_decay)
  rate = optax.scale_by_learning_rate(schedule)
  trace = optax.trace(momentum)
  forms = {'caffe': (decay, rate, trace), 'pytorch': (decay, trace, rate)}
  if momentum_form not in forms:
    raise UserError(
      f"optimizer.momentum_form '{momentum_form}' is unknown."
      f'{closest(momentum_form, forms)}'
    )
  return optax.chain(*forms[momentum_form])


def sdlm(
  schedule: Schedule, *, mu: float, samples: int
) -> optax.GradientTransformation:
  """Stochastic diagonal Levenberg-Marquardt, LeNet-5's Appendix C.

  Args:
    schedule: the global rate eta by step.
    mu: keeps a step finite where the curvature vanishes.
    samples: examples behind each estimate of the curvature (see `sdlm.py`;
      the trainer makes it before every pass).
  """
  del samples
  return optax.chain(
    sdlm_lib.scale_by_curvature(mu), optax.scale_by_learning_rate(schedule)
  )


_OPTIMIZERS = {'momentum': momentum, 'sdlm': sdlm}
_SCHEDULES = {'step': step_decay}


def create(
  name: str, schedule: Schedule, **fields
) -> optax.GradientTransformation:
  """Returns the optimizer `optimizer.name` with the fields of `optimizer`.

  Raises:
    UserError: unknown name or field; names the closest.
  """
  function = select('optimizer.name', name, _OPTIMIZERS, fields, skip=1)
  return function(schedule, **fields)


def create_schedule(name: str, learning_rate: float, **fields) -> Schedule:
  """Returns the schedule `schedule.name` with the fields of `schedule`.

  Raises:
    UserError: unknown name or field, or boundaries that do not fit.
  """
  function = select('schedule.name', name, _SCHEDULES, fields, skip=1)
  return function(learning_rate, **fields)
