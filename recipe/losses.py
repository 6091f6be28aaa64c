"""Losses of single examples: (float32 logits [..., C], labels [...]) -> [...].

The output units of LeNet-5 give penalties y; the network returns logits -y.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from errors import select

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def softmax(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Cross-entropy of the softmax."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def penalty(
  logits: jax.Array, labels: jax.Array, scale: float = 1.0
) -> jax.Array:
  """LeNet-5, eq. (8): the penalty of the right class alone, times `scale`.

  Sound only while the output codes are fixed, as they are here.
  """
  return -scale * _of_label(logits, labels)


def map(
  logits: jax.Array, labels: jax.Array, j: float, scale: float = 1.0
) -> jax.Array:
  """LeNet-5, eq. (9): y_D + log(exp(-j) + sum_i exp(-y_i)).

  The positive constant j is the penalty of an implied class "none of these":
  it stops classes whose penalty is already large from being pushed further.
  The paper gives no value. With j to infinity this is `softmax`.

  Args:
    logits: minus the squared distances of eq. (7).
    labels: of the examples.
    j: on the scale of y.
    scale: y is the squared distance times this. The paper reads y as the
      unnormalized negative log-likelihood of a Gaussian and gives no variance
      v: y = d^2 / (2 v), so that the scale is 1 / (2 v).
  """
  logits = scale * logits
  rest = jnp.full_like(logits[..., :1], -j)
  everything = jnp.concatenate([logits, rest], axis=-1)
  return jax.nn.logsumexp(everything, axis=-1) - _of_label(logits, labels)


def _of_label(logits, labels):
  return jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]


def rank_of_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Returns how many classes come before the label, int32 [N]; 0 is top-1.

  Equal logits rank in order of class, as argmax has it, so that a network
  with constant outputs is not counted right. NaN counts as before the label.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
  earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
  # Not "logits > own": a comparison with NaN is false.
  before = ~(logits <= own) | (earlier & (logits == own))
  before &= jnp.arange(logits.shape[-1]) != labels[:, None]
  rank = before.sum(-1, dtype=jnp.int32)
  return jnp.where(jnp.isnan(own[:, 0]), logits.shape[-1], rank)


LOSSES: dict[str, Callable[..., jax.Array]] = {
  'softmax': softmax,
  'map': map,
  'penalty': penalty,
}


def create(name: str, **options) -> Loss:
  """Returns the loss `loss.name` with the other fields of `loss`.

  Raises:
    UserError: unknown name or field, or a field that is missing.
  """
  function = select('loss.name', name, LOSSES, options, skip=2)
  return lambda logits, labels: function(logits, labels, **options)
