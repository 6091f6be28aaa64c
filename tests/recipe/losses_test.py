"""The losses of Section II-C, by their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from errors import UserError
from recipe import losses

Y = np.array([[3.0, 7.0, 0.5], [40.0, 2.0, 90.0]])  # penalties
D = np.array([2, 0])  # right classes


def test_map_is_equation_9():
  j = 1.7
  expected = Y[[0, 1], D] + np.log(np.exp(-j) + np.exp(-Y).sum(1))
  loss = losses.create('map', j=j)
  np.testing.assert_allclose(
    loss(jnp.asarray(-Y), jnp.asarray(D)), expected, 1e-5
  )


def test_penalty_is_equation_8():
  loss = losses.create('penalty')(jnp.asarray(-Y), jnp.asarray(D))
  np.testing.assert_allclose(loss, [0.5, 40.0])


def test_map_with_large_j_is_softmax():
  a = losses.create('map', j=1e9)(jnp.asarray(-Y), jnp.asarray(D))
  b = losses.create('softmax')(jnp.asarray(-Y), jnp.asarray(D))
  np.testing.assert_allclose(a, b, rtol=1e-6)


def test_j_stops_the_push_on_classes_whose_penalty_is_large():
  def gradient(j):
    f = losses.create('map', j=j)
    return jax.grad(lambda logits: f(logits, jnp.asarray(D)).sum())(-Y)

  assert gradient(1e9)[1, 1] > 0.99  # softmax pushes class 1 away
  assert abs(gradient(0.01)[1, 2]) < 1e-6


def test_bad_losses_are_refused():
  with pytest.raises(UserError, match="Did you mean 'softmax'"):
    losses.create('sofmax')
  with pytest.raises(UserError, match="no field 'k'"):
    losses.create('map', k=1.0)
  with pytest.raises(UserError, match="needs the field 'j'"):
    losses.create('map')


def test_a_scale_is_the_variance_of_the_gaussian():
  """With y = d^2 / (2 v): of both losses, at j on the scale of y."""
  logits, labels = jnp.asarray(-Y), jnp.asarray(D)
  for name, fields in (('map', {'j': 3.0}), ('penalty', {})):
    scaled = losses.create(name, scale=1 / 14, **fields)(logits, labels)
    plain = losses.create(name, **fields)(logits / 14, labels)
    np.testing.assert_allclose(scaled, plain, rtol=1e-6)
