"""Layers equal plain NumPy; what runs on CPU, what XLA runs elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax import lax

from zoo import layers
from zoo.layers import pad


def check_same(function, monkeypatch, *arguments):
  """Compares values and gradients of the branches for CPU and for others.

  Returns the values.
  """
  weight = jax.random.normal(
    jax.random.key(9), jax.eval_shape(function, *arguments).shape
  )
  numbers = tuple(range(len(arguments)))
  gradient = jax.grad(lambda *a: (function(*a) * weight).sum(), numbers)

  def both(*a):
    return function(*a), *gradient(*a)

  here = jax.jit(both)(*arguments)
  with monkeypatch.context() as patch:
    patch.setattr(
      lax, 'platform_dependent', lambda *a, cpu, default: default(*a)
    )
    there = jax.jit(lambda *a: both(*a))(*arguments)  # traced anew
  for a, b in zip(here, there, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
  return here[0]


@pytest.mark.parametrize(
  ('size', 'stride', 'padding', 'ceil'),
  [
    (3, 2, pad(0), False),
    (3, 2, pad(0), True),
    (3, 2, pad(1), False),
    (3, 1, pad(1), False),
    (2, 2, pad(0), True),
    (3, 3, pad(0, 1), True),
  ],
)
def test_max_pool(size, stride, padding, ceil, monkeypatch):
  x = jax.random.normal(jax.random.key(0), (2, 12, 13, 3))
  found = check_same(
    lambda x: layers.max_pool(x, size, stride, padding, ceil), monkeypatch, x
  )
  expected = reference.max_pool(x, size, stride, padding[0], ceil)
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ('shape', 'kernel', 'stride', 'padding', 'groups'),
  [
    ((2, 9, 8, 5), (1, 1, 5, 7), 1, pad(0), 1),
    ((2, 9, 8, 5), (1, 1, 5, 7), 2, pad(0), 1),
    ((2, 14, 16, 3), (5, 5, 3, 6), 1, pad(0), 1),  # tiles
    ((2, 6, 6, 4), (6, 6, 4, 8), 1, pad(0), 1),  # the whole map
    ((2, 9, 8, 4), (3, 3, 2, 6), 2, pad(0, 1), 2),
  ],
)
def test_convolution(shape, kernel, stride, padding, groups, monkeypatch):
  x = jax.random.normal(jax.random.key(0), shape)
  kernel = jax.random.normal(jax.random.key(1), kernel)
  found = check_same(
    lambda x, k: layers.conv2d(x, k, stride, padding, groups),
    monkeypatch, x, kernel,
  )  # fmt: skip
  expected = reference.conv(x, kernel, stride, padding[0], groups)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_sum_of_2x2(monkeypatch):
  x = jax.random.normal(jax.random.key(0), (2, 7, 9, 3))
  found = check_same(layers.sum_pool_2x2, monkeypatch, x)
  total = 4 * reference.average_pool(x, 2, 2)
  np.testing.assert_allclose(found, total, rtol=1e-4, atol=1e-6)


def test_average_pool_and_maximum_of_2x2():
  x = np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype('f')
  for size, stride in ((5, 3), (2, 2), (1, 2)):
    np.testing.assert_allclose(
      layers.average_pool(x, size, stride),
      reference.average_pool(x, size, stride), rtol=1e-4, atol=1e-6,
    )  # fmt: skip
  # A side that is shorter than the window has one.
  short = np.stack([x[:, :, i : i + 8].mean((1, 2)) for i in (0, 1)], 1)
  np.testing.assert_allclose(
    layers.average_pool(x, 8), short[:, None], rtol=1e-4, atol=1e-6
  )
  largest = reference.max_pool(x, 2, 2, ceil=False)
  np.testing.assert_array_equal(layers.max_pool_2x2(x), largest)


@pytest.mark.parametrize(
  ('groups', 'size', 'alpha', 'beta', 'k'),
  [(1, 5, 1e-4, 0.75, 2.0), (2, 3, 0.02, 0.75, 1.0), (1, 5, 0.5, 0.5, 2.0)],
)
def test_response_norm(groups, size, alpha, beta, k):
  """AlexNet, Section 3.3, across maps; of the source, within one."""
  x = np.random.default_rng(0).normal(0, 50, (2, 6, 7, 12)).astype('f')
  across = layers.LRN(size, alpha, beta, k, groups).apply({}, x)
  expected = reference.lrn(x, alpha, k, size, beta, groups)
  np.testing.assert_allclose(across, expected, rtol=1e-4)
  within = layers.SameMapNorm(size, alpha, beta, k).apply({}, x)
  expected = reference.same_map_norm(x, size, alpha, k, beta)
  np.testing.assert_allclose(within, expected, rtol=1e-4)


def test_equal_maxima_share_the_gradient_on_cpu():
  x = jnp.zeros((1, 2, 2, 1))
  gradient = jax.grad(lambda x: layers.max_pool(x, 2, 2).sum())(x)
  expected = [[0.25, 0.25], [0.25, 0.25]]
  if jax.default_backend() != 'cpu':  # XLA's own: all of it is the first's
    expected = [[1, 0], [0, 0]]
  np.testing.assert_allclose(gradient[0, ..., 0], expected)
