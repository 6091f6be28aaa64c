"""Update rules against their formulas; the paper's second-order method."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import zoo
from errors import UserError
from recipe import losses, optimizers, schedules, sdlm
from zoo import lenet5


def test_step_decay_at_the_boundaries():
  rate = schedules.create('step', 0.5, boundaries=[10, 20], factors=[0.1, 0.02])
  values = [float(rate.by_step(s)) for s in (0, 9, 10, 19, 20, 10**6)]
  np.testing.assert_allclose(values, [0.5, 0.5, 0.05, 0.05, 0.01, 0.01], 1e-6)


@pytest.mark.parametrize('form', ['caffe', 'pytorch'])
def test_momentum_forms_through_a_change_of_rate(form):
  rate = schedules.create('step', 0.1, boundaries=[3], factors=[0.1])
  tx = optimizers.create(
    'momentum', rate, momentum=0.9, momentum_form=form, weight_decay=0.01
  )
  w, v, params = 2.0, 0.0, jnp.float32(2.0)
  state = tx.init(params)
  for step in range(6):
    gradient = 3 * w  # of 1.5 w^2
    lr = 0.1 if step < 3 else 0.01
    if form == 'caffe':
      v = 0.9 * v + lr * (gradient + 0.01 * w)
      w -= v
    else:
      v = 0.9 * v + gradient + 0.01 * w
      w -= lr * v
    updates, state = tx.update(3 * params, state, params)
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, w, rtol=1e-5)


def test_biases_that_do_not_fall_keep_twice_the_first_rate():
  rate = schedules.create('step', 0.1, boundaries=[2], factors=[0.1])
  fields = {'momentum': 0.0, 'momentum_form': 'caffe', 'weight_decay': 0.5}
  optimizer = optimizers.create(
    'momentum', rate, **fields, decay_on='kernels', bias_rate=2.0,
    biases_fall=False,
  )  # fmt: skip
  params = {'a': {'kernel': jnp.ones(()), 'bias': jnp.ones(())}}
  state = optimizer.init(params)
  found = []
  for _ in range(4):
    updates, state = optimizer.update(
      jax.tree.map(jnp.ones_like, params), state, params, train_error=1.0
    )
    found.append((float(updates['a']['kernel']), float(updates['a']['bias'])))
  expected = [(-0.15, -0.2)] * 2 + [(-0.015, -0.2)] * 2
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_bad_optimizers_are_refused():
  rate = schedules.create('step', 0.1, boundaries=[], factors=[])
  fields = {'momentum': 0.9, 'momentum_form': 'caffe', 'weight_decay': 0.0}
  with pytest.raises(UserError, match="Did you mean 'momentum'"):
    optimizers.create('momentun', rate, **fields)
  with pytest.raises(UserError, match="Did you mean 'caffe'"):
    optimizers.create('momentum', rate, **{**fields, 'momentum_form': 'cafe'})
  with pytest.raises(UserError, match="no field 'nesterov'"):
    optimizers.create('momentum', rate, **fields, nesterov=True)
  with pytest.raises(UserError, match='2 boundaries but 1 factors'):
    schedules.create('step', 0.1, boundaries=[1, 2], factors=[0.1])
  with pytest.raises(UserError, match='must increase'):
    schedules.create('step', 0.1, boundaries=[2, 1], factors=[1, 1])


curvature = jax.jit(sdlm.curvature, static_argnums=3)


@pytest.fixture(scope='module')
def network():
  net = zoo.create('lenet5', num_classes=10)
  images = jax.random.normal(jax.random.key(1), (3, 32, 32, 1))
  params = jax.jit(net.init)(jax.random.key(0), images)['params']
  return params, images, jnp.array([4, 0, 9])


@pytest.mark.slow
def test_curvature_equals_the_recursion_over_single_connections(network):
  """Appendix C with every connection written out, for one pattern."""
  params, images, labels = network
  x, inputs, sums = images[:1], [], []
  for layer in lenet5.LAYERS:
    inputs.append(x)
    p = params[layer.name]
    sums.append(layer.op(x, p['kernel']) + p['bias'])
    x = lenet5.squash(sums[-1])
  # eq. (8): each F6 output has second derivative 2.
  second = np.full(84, 2.0)
  expected, biases = {}, {}
  for layer, x, a in reversed(list(zip(lenet5.LAYERS, inputs, sums))):
    kernel = params[layer.name]['kernel']
    slope = np.asarray(lenet5.squash_derivative(a)).ravel()
    at_sum = slope**2 * second
    biases[layer.name] = at_sum.reshape(a.shape).sum((0, 1, 2))
    if layer.name == 'F6':
      expected['F6'] = np.outer(np.asarray(x).ravel() ** 2, at_sum)
    if layer.name == 'S4':
      field = (np.asarray(x)[0] ** 2).reshape(5, 2, 5, 2, 16).sum((1, 3))
      expected['S4'] = (field * at_sum.reshape(5, 5, 16)).sum((0, 1))
    if layer.name == 'C1':
      patches = np.lib.stride_tricks.sliding_window_view(
        np.asarray(x)[0, ..., 0] ** 2, (5, 5)
      )
      expected['C1'] = np.einsum(
        'yxij,yxo->ijo', patches, at_sum.reshape(28, 28, 6)
      )
    connections = jax.jit(jax.jacobian(layer.op))(x, kernel)
    connections = connections.reshape(a.size, x.size)
    second = np.square(np.asarray(connections)).T @ at_sum
  got = curvature(params, images[:1], labels[:1], losses.create('penalty'))
  for name, value in expected.items():
    np.testing.assert_allclose(
      got[name]['kernel'].reshape(value.shape), value, rtol=2e-3
    )
  for name, value in biases.items():
    np.testing.assert_allclose(got[name]['bias'], value, rtol=2e-3)


def test_curvature_is_a_mean_and_not_negative(network):
  params, images, labels = network
  loss = losses.create('map', j=10.0)
  whole = curvature(params, images, labels, loss)
  single = [
    curvature(params, images[i : i + 1], labels[i : i + 1], loss)
    for i in range(3)
  ]
  mean = jax.tree.map(lambda *h: sum(h) / 3, *single)
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(mean)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert (a >= 0).all()
    assert a.max() > 0


def test_effective_rates_are_those_of_the_flattest_and_the_steepest_weight():
  curvature = {
    'a': jnp.array([3.0, 0.98]), 'b': jnp.array([2.0, 0.0]),
    'c': jnp.array([3.98, 1.0]),
  }  # fmt: skip
  low, high = sdlm.effective_rates(0.1, 0.02, curvature)
  np.testing.assert_allclose((low, high), (0.1 / 4, 0.1 / 0.02), rtol=1e-6)
  rate = schedules.create('step', 0.1, boundaries=[], factors=[])
  with pytest.raises(UserError, match=r"curvature 'exct'.*mean 'exact'"):
    optimizers.create('sdlm', rate, mu=1.0, samples=1, curvature='exct')


def test_sdlm_divides_each_gradient_by_mu_and_curvature():
  rate = schedules.create('step', 0.5, boundaries=[], factors=[])
  tx = optimizers.create('sdlm', rate, mu=0.02, samples=1)
  params = {'w': jnp.array([1.0, 1.0])}
  state = sdlm.with_curvature(tx.init(params), {'w': jnp.array([0.0, 0.98])})
  updates, _ = tx.update({'w': jnp.array([2.0, 2.0])}, state, params)
  np.testing.assert_allclose(updates['w'], [-0.5 * 2 / 0.02, -0.5 * 2 / 1.0])
