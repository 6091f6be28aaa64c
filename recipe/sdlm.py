"""Stochastic diagonal Levenberg-Marquardt: LeNet-5's Section III-B, Appendix C.

Every weight k has a rate of its own, eta / (mu + h_kk), after each pattern:

    w_k <- w_k - eta / (mu + h_kk) * dE/dw_k

h_kk is a running estimate of the diagonal of the Hessian, here as in the
paper: averaged over 500 training patterns before every pass, then frozen.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from recipe.losses import Loss
from zoo import lenet5

CURVATURES = ('exact', 'penalty')


class CurvatureState(NamedTuple):
  """h_kk of every parameter, in the form of the parameters."""

  curvature: optax.Params


def scale_by_curvature(mu: float) -> optax.GradientTransformation:
  """Divides the gradient of each weight by mu + h_kk."""

  def init(params):
    return CurvatureState(jax.tree.map(jnp.zeros_like, params))

  def update(updates, state, params=None):
    del params
    scaled = jax.tree.map(lambda g, h: g / (mu + h), updates, state.curvature)
    return scaled, state

  return optax.GradientTransformation(init, update)


def effective_rates(
  rate: jax.Array | float, mu: float, curvature: dict
) -> tuple[jax.Array, jax.Array]:
  """Returns the lowest and the highest eta / (mu + h_kk) of all weights."""
  found = [jnp.stack([h.min(), h.max()]) for h in jax.tree.leaves(curvature)]
  low, high = jnp.stack(found).min(0)[0], jnp.stack(found).max(0)[1]
  return rate / (mu + high), rate / (mu + low)


def curvature(
  params: dict, images: jax.Array, labels: jax.Array, loss: Loss
) -> dict:
  """Estimates h_kk for `lenet5` by back-propagating second derivatives.

  Appendix C: with a_i the weighted sum of a unit, x_j its inputs and u_ij its
  connections, in the Gauss-Newton approximation (no second derivative of the
  squashing function, so that nothing is negative),

      d2E/du_ij^2 = x_j^2 d2E/da_i^2
      d2E/da_i^2  = f'(a_i)^2 sum_k u_ki^2 d2E/da_k^2

  and h_kk sums d2E/du_ij^2 over the connections that share weight k. Each
  layer is linear in its inputs and in its weights, so both sums are what the
  layer's own gradient gives at squared inputs and squared weights. At F6 the
  recursion starts from the exact diagonal of the loss's Hessian: of eq. (8) the
  constant 2 (times the loss's `scale`); that of (9) vanishes, or is below zero,
  once a pattern is learnt.

  Args:
    params: of `zoo.lenet5.LeNet5`.
    images: float [N, 32, 32, 1] as the network takes them.
    labels: int32 [N].
    loss: of single examples, on minus the penalties.

  Returns:
    The mean over the examples, non-negative, in the form of `params`.
  """
  inputs, sums, x = [], [], images
  for layer in lenet5.LAYERS:
    inputs.append(x)
    sums.append(
      layer.op(x, params[layer.name]['kernel']) + params[layer.name]['bias']
    )
    x = lenet5.squash(sums[-1])

  def loss_of_f6(f6, label):
    return loss(-lenet5.penalties(f6), label)

  hessian = jax.vmap(jax.hessian(loss_of_f6))(x[:, 0, 0], labels)
  second = jnp.diagonal(hessian, axis1=1, axis2=2)[:, None, None]
  result = {}
  for layer, x, a in reversed(list(zip(lenet5.LAYERS, inputs, sums))):
    second = second * jnp.square(lenet5.squash_derivative(a))
    kernel = params[layer.name]['kernel']
    _, pull = jax.vjp(layer.op, jnp.square(x), jnp.square(kernel))
    bias = second.sum((0, 1, 2))
    second, kernel = pull(second)
    result[layer.name] = {'kernel': kernel, 'bias': bias}
  return jax.tree.map(lambda h: h / len(images), result)


def with_curvature(opt_state: optax.OptState, new: dict) -> optax.OptState:
  """Returns the state of the chain with h_kk replaced."""
  return jax.tree.map(
    lambda s: CurvatureState(new) if isinstance(s, CurvatureState) else s,
    opt_state,
    is_leaf=lambda s: isinstance(s, CurvatureState),
  )
