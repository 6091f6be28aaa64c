"""In training a ReLU goes behind the pool that follows it: nothing changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables

import zoo
from zoo import chain, googlenet, layers


@pytest.mark.parametrize('form', ['cpu', 'default'])
def test_a_relu_behind_a_pool_gives_the_same_values_and_gradients(
  form, monkeypatch
):
  monkeypatch.setattr(
    layers.lax, 'platform_dependent', lambda *a, **forms: forms[form](*a)
  )
  # Of few values, so that many are equal: positive, zero, and below.
  x = jax.random.randint(jax.random.key(0), (2, 11, 11, 3), -2, 3)
  x = x.astype(jnp.float32)
  weight = jax.random.normal(jax.random.key(1), (2, 5, 5, 3))
  pool = lambda x: layers.max_pool(x, 3, 2)  # noqa: E731

  def before(x):
    return (pool(jax.nn.relu(x)) * weight).sum()

  def behind(x):
    return (jax.nn.relu(pool(x)) * weight).sum()

  for one, other in zip(
    jax.value_and_grad(before)(x), jax.value_and_grad(behind)(x), strict=True
  ):
    np.testing.assert_array_equal(one, other)
  assert np.any(jax.grad(before)(x))


ROWS = (
  chain.Conv('conv1', 4, 3), chain.RELU, chain.MaxPool('pool1'),
  chain.Conv('conv2', 4, 3), chain.RELU, chain.LRN('norm2'),
  chain.MaxPool('pool2'), chain.Conv('fc', 0, 1),
)  # fmt: skip


def test_the_rows_of_training_differ_in_that_alone():
  first = chain._pools_first(ROWS)
  assert first[1:3] == [ROWS[2], ROWS[1]]
  assert first[3:] == list(ROWS[3:])


def test_who_asks_for_activations_in_training_sees_them_behind_the_relu():
  images = jax.random.normal(jax.random.key(0), (2, 20, 20, 3))
  network = chain.Chain(ROWS, 8, num_classes=3)
  variables = random_variables(network, images.shape[1:])

  @jax.jit
  def both(variables):
    return [
      network.apply(variables, images, train, mutable=['activations'])
      for train in (False, True)
    ]

  (logits, of_test), (same, of_training) = both(variables)
  np.testing.assert_array_equal(logits, same)
  jax.tree.map(np.testing.assert_array_equal, of_test, of_training)
  assert (of_training['activations']['layers']['conv1'] >= 0).all()


def test_googlenets_first_pool_too(monkeypatch):
  # Behind it, of the nine modules the first: the others have no such pool.
  monkeypatch.setattr(googlenet, 'TABLE_1', {'3a': googlenet.TABLE_1['3a']})
  images = jax.random.normal(jax.random.key(0), (1, 40, 40, 3))
  network = zoo.create('googlenet', width=0.1, dropout=0.0, aux_heads=False)
  variables = random_variables(network, images.shape[1:])

  @jax.jit
  def both(variables):
    behind = network.apply(variables, images, train=True)
    asked = network.apply(
      variables, images, train=True, mutable=['activations']
    )
    return behind, asked[0]

  np.testing.assert_array_equal(*both(variables))
