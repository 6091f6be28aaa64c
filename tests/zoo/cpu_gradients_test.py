"""Gradients of convolutions on CPU are XLA's own, to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo import cpu_forms, cpu_gradients, layers
from zoo.layers import pad

CASES = [  # images, kernel, stride, padding
  ((4, 9, 9, 3), (3, 3, 3, 5), 1, pad(1)),
  ((6, 40, 41, 2), (3, 3, 2, 4), 1, pad(1)),  # bands of several images
  ((1, 127, 64, 2), (5, 5, 2, 3), 1, pad(0)),  # of rows, a prime number
  ((2, 90, 60, 2), (3, 3, 2, 3), 1, pad(1)),  # of several rows
  ((3, 10, 11, 2), (3, 3, 2, 4), 2, pad(1)),
  ((2, 15, 13, 3), (7, 7, 3, 4), 2, pad(3)),
  ((2, 16, 17, 3), (11, 11, 3, 4), 4, pad(0)),  # a rest at the end
  ((2, 12, 12, 3), (5, 3, 3, 4), 3, ((0, 2), (1, 0))),
  ((2, 8, 9, 3), (2, 2, 3, 4), 2, pad(0)),
  ((2, 7, 7, 3), (1, 1, 3, 4), 2, pad(0)),
  ((2, 9, 7, 3), (2, 2, 3, 4), 3, pad(0)),  # pixels that nothing has read
]


def draw(shape, kernel, stride, padding, dtype=jnp.float32):
  """Returns input, kernel, a gradient of the output, and XLA's of both."""
  keys = jax.random.split(jax.random.key(0), 3)
  # Far from zero: an edge that is not padding would show.
  x = jax.random.normal(keys[0], shape, dtype) + 2
  kernel = jax.random.normal(keys[1], kernel, dtype)
  y, backward = jax.vjp(
    lambda x, k: lax.conv_general_dilated(
      x, k, (stride, stride), padding,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    ),
    x, kernel,
  )  # fmt: skip
  gradient = jax.random.normal(keys[2], y.shape, dtype)
  return x, kernel, gradient, backward(gradient)


def check_close(found, expected, error):
  """Compares with the largest value: sums of other orders differ by it."""
  assert found.shape == expected.shape
  assert found.dtype == expected.dtype
  found, expected = np.asarray(found, 'f'), np.asarray(expected, 'f')
  assert np.abs(found - expected).max() < error * np.abs(expected).max()


@pytest.mark.parametrize('case', CASES)
def test_gradients_are_those_of_xla(case):
  x, kernel, gradient, (of_x, of_kernel) = draw(*case)
  found = cpu_gradients.kernel_gradient(x, gradient, kernel.shape, *case[2:])
  check_close(found, of_kernel, 2e-6)
  found = cpu_gradients.input_gradient(gradient, kernel, *case[2:], x.shape)
  check_close(found, of_x, 2e-6)


@pytest.mark.parametrize(
  'case', [*CASES[:5:2], *CASES[7:9], ((2, 5, 6, 3), (1, 1, 3, 4), 1, pad(1))]
)
def test_products_over_patches_are_those_of_xla(case, monkeypatch):
  monkeypatch.setattr(cpu_gradients, '_SMALL', 10**6)
  monkeypatch.setattr(cpu_gradients, '_DEEP', 0)
  x, kernel, gradient, expected = draw(*case)

  @jax.jit
  def run(x, kernel, gradient):
    y, back = jax.vjp(lambda *a: cpu_gradients.conv2d(*a, *case[2:]), x, kernel)
    return y, back(gradient)

  # With a stride the gradient of the input is XLA's.
  text = str(jax.make_jaxpr(run)(x, kernel, gradient))
  assert ('conv_general_dilated' in text) == (case[2] > 1)
  y, found = run(x, kernel, gradient)
  check_close(y, cpu_gradients.conv2d_of_xla(x, kernel, *case[2:]), 2e-6)
  for a, b in zip(found, expected, strict=True):
    check_close(a, b, 2e-6)


@pytest.mark.parametrize('case', [CASES[1], CASES[5]])
def test_sums_of_bfloat16_are_float32(case):
  x, kernel, gradient, _ = draw(*case, jnp.bfloat16)
  exact = jax.vjp(
    lambda x, k: cpu_gradients.conv2d_of_xla(x, k, *case[2:]),
    x.astype('f'),
    kernel.astype('f'),
  )[1](gradient.astype('f'))
  found = cpu_gradients.kernel_gradient(x, gradient, kernel.shape, *case[2:])
  # Half a unit of the last place of what it is rounded to, and no more.
  check_close(found, exact[1].astype(jnp.bfloat16), 2**-8)
  found = cpu_gradients.input_gradient(gradient, kernel, *case[2:], x.shape)
  check_close(found, exact[0].astype(jnp.bfloat16), 2**-7)


@pytest.mark.parametrize('large', [0, 28 * 28])
@pytest.mark.parametrize(('stride', 'groups'), [(1, 2), (2, 1)])
def test_a_network_takes_them_where_they_are_worth_it(
  stride, groups, large, monkeypatch
):
  x = jax.random.normal(jax.random.key(0), (2, 11, 10, 4))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 4 // groups, 6))

  def both(x, kernel):
    y = layers.conv2d(x, kernel, stride, pad(1), groups)
    return jnp.square(y).sum()

  def run():  # traced anew
    gradient = jax.jit(lambda *a: jax.grad(both, (0, 1))(*a))
    return gradient(x, kernel), str(jax.make_jaxpr(gradient)(x, kernel))

  expected, plain = run()
  monkeypatch.setattr(cpu_gradients, '_WORTH', 0)
  monkeypatch.setattr(cpu_gradients, '_LARGE', large)
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  found, ours = run()
  assert 'scan' in ours
  assert 'scan' not in plain
  for a, b in zip(found, expected, strict=True):
    check_close(a, b, 2e-6)
  monkeypatch.setattr(jax, 'device_count', lambda: 8)
  assert 'scan' not in run()[1]


@pytest.mark.parametrize('stride', [1, 2])
def test_gradients_of_a_product_over_channels(stride):
  x, kernel, gradient, expected = draw(
    (2, 9, 8, 5), (1, 1, 5, 7), stride, pad(0)
  )
  found = jax.vjp(lambda x, k: cpu_forms.conv2d_1x1(x, k, stride), x, kernel)[
    1
  ](gradient)
  for a, b in zip(found, expected, strict=True):
    check_close(a, b, 2e-6)
