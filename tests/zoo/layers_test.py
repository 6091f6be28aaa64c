"""What runs on CPU equals what XLA runs elsewhere, with its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo import layers
from zoo.layers import pad


def check_same(function, monkeypatch, *arguments):
  """Compares values and gradients of the branches for CPU and for others."""
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
  check_same(
    lambda x: layers.max_pool(x, size, stride, padding, ceil), monkeypatch, x
  )


@pytest.mark.parametrize(
  ('shape', 'kernel', 'stride'),
  [
    ((2, 9, 8, 5), (1, 1, 5, 7), 1),
    ((2, 9, 8, 5), (1, 1, 5, 7), 2),
    ((2, 14, 16, 3), (5, 5, 3, 6), 1),  # tiles
    ((2, 6, 6, 4), (6, 6, 4, 8), 1),  # the whole map
  ],
)
def test_convolution(shape, kernel, stride, monkeypatch):
  x = jax.random.normal(jax.random.key(0), shape)
  kernel = jax.random.normal(jax.random.key(1), kernel)
  check_same(lambda x, k: layers.conv2d(x, k, stride), monkeypatch, x, kernel)
  expected = lax.conv_general_dilated(
    x, kernel, (stride, stride), 'VALID',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip
  found = layers.conv2d(x, kernel, stride)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_equal_maxima_share_the_gradient_on_cpu():
  x = jnp.zeros((1, 2, 2, 1))
  gradient = jax.grad(lambda x: layers.max_pool(x, 2, 2).sum())(x)
  expected = [[0.25, 0.25], [0.25, 0.25]]
  if jax.default_backend() != 'cpu':  # XLA's own: all of it is the first's
    expected = [[1, 0], [0, 0]]
  np.testing.assert_allclose(gradient[0, ..., 0], expected)
