"""Each paper's update rule as an optax chain."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from errors import UserError, closest, select
from recipe import freezing
from recipe import sdlm as sdlm_lib
from recipe.schedules import Rate


def momentum(
  rate: Rate,
  *,
  momentum: float,
  momentum_form: str,
  weight_decay: float,
  decay_on: str = 'all',
  bias_rate: float = 1.0,
  biases_fall: bool = True,
  max_filter_rms: float = 0.0,
  frozen: Sequence[str] = (),
  rates: Mapping[str, float] | None = None,
) -> optax.GradientTransformationExtraArgs:
  """Stochastic gradient descent with momentum and coupled weight decay.

  Args:
    rate: the learning rate.
    momentum: the factor m.
    momentum_form: 'caffe' has the rate inside the velocity, as the papers of
      2012 to 2015 write it: v = m v + rate (g + decay w), w = w - v. 'pytorch'
      has it outside: v = m v + g + decay w, w = w - rate v. They differ after
      each change of the rate.
    weight_decay: coefficient of L2, 0 for none.
    decay_on: 'all' parameters or 'kernels', which leaves out biases and batch
      normalisation.
    bias_rate: times the rate for biases of layers; Caffe's configs say 2.
    biases_fall: False: the rate of biases stays what it is first, whatever the
      schedule does (AlexNet's source code).
    max_filter_rms: filters of convolutions are scaled down to this root mean
      square after a step (ZFNet, Section 3); 0 for none.
    frozen: layers that do not learn: they are left out of all that comes here.
    rates: times the rate for modules, by path: `recipe.freezing.factors`.

  Raises:
    UserError: unknown form, or unknown `decay_on`.
  """
  del frozen
  masks = {'all': None, 'kernels': _kernels}
  if decay_on not in masks:
    raise UserError(
      f"optimizer.decay_on '{decay_on}' is unknown.{closest(decay_on, masks)}"
    )
  decay = optax.add_decayed_weights(weight_decay, masks[decay_on])
  scale = optax.chain(optax.scale_by_learning_rate(rate.by_step), rate.feedback)
  if not biases_fall:
    first = optax.scale(-rate.by_step(0))
    scale = optax.chain(
      optax.masked(scale, _all_but_biases), optax.masked(first, _biases)
    )
  if bias_rate != 1:
    scale = optax.chain(scale, optax.masked(optax.scale(bias_rate), _biases))
  if rates:
    scale = optax.chain(scale, freezing.scale_by_module(rates))
  trace = optax.trace(momentum)
  forms = {'caffe': (decay, scale, trace), 'pytorch': (decay, trace, scale)}
  if momentum_form not in forms:
    raise UserError(
      f"optimizer.momentum_form '{momentum_form}' is unknown."
      f'{closest(momentum_form, forms)}'
    )
  chain = optax.chain(*forms[momentum_form])
  if max_filter_rms:
    chain = optax.chain(chain, keep_filters_below(max_filter_rms))
  return optax.with_extra_args_support(chain)


def _kernels(params):
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == 'kernel', params
  )


def _biases(params):
  # Those of batch normalisation are beside a 'scale' and not meant.
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == 'bias' and path[-2].key != 'bn', params
  )


def _all_but_biases(params):
  return jax.tree.map(lambda bias: not bias, _biases(params))


def keep_filters_below(rms: float) -> optax.GradientTransformation:
  """Renormalises filters after the step, ZFNet, Section 3.

  "any filter in the convolutional layers whose RMS value exceeds a fixed
  radius of 10^-1 [is renormalised] to this fixed radius". The mean is over the
  weights of one filter: [h, w, in].
  """

  def update(updates, state, params):
    def limited(path, change, kernel):
      layer, kind = path[-2].key, path[-1].key
      if kind != 'kernel' or not layer.startswith('conv'):
        return change
      new = kernel + change
      found = jnp.sqrt(jnp.square(new).mean((0, 1, 2)))
      factor = rms / jnp.maximum(found, rms)
      return jnp.where(found > rms, new * factor - kernel, change)

    changes = jax.tree_util.tree_map_with_path(limited, updates, params)
    return changes, state

  return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def sdlm(
  rate: Rate, *, mu: float, samples: int, curvature: str = 'exact'
) -> optax.GradientTransformationExtraArgs:
  """Stochastic diagonal Levenberg-Marquardt, LeNet-5's Appendix C.

  Args:
    rate: the global rate eta.
    mu: keeps a step finite where the curvature vanishes.
    samples: examples behind each estimate of the curvature (see `recipe.sdlm`;
      the trainer makes it before every pass).
    curvature: from where at F6 it starts: 'exact' is the diagonal of the loss's
      Hessian, 'penalty' that of eq. (8), a constant.

  Raises:
    UserError: unknown `curvature`.
  """
  del samples
  if curvature not in sdlm_lib.CURVATURES:
    raise UserError(
      f"optimizer.curvature '{curvature}' is unknown."
      f'{closest(curvature, sdlm_lib.CURVATURES)}'
    )
  chain = optax.chain(
    sdlm_lib.scale_by_curvature(mu), optax.scale_by_learning_rate(rate.by_step)
  )
  return optax.with_extra_args_support(chain)


OPTIMIZERS = {'momentum': momentum, 'sdlm': sdlm}


def create(
  name: str, rate: Rate, **fields: Any
) -> optax.GradientTransformationExtraArgs:
  """Returns the optimizer `optimizer.name` with the fields of `optimizer`.

  Raises:
    UserError: unknown name or field; names the closest.
  """
  function = select('optimizer.name', name, OPTIMIZERS, fields, skip=1)
  return function(rate, **fields)
