"""Forms for TPU, run on CPU, give what the plain forms do; and when."""

import functools
import os
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import random_variables
from jax import lax

import zoo
from zoo import batch_norm, intermediates, layers, tpu_forms

EPSILON = 1e-5


def as_on_tpu(*arguments, default, tpu=None, **_):
  """Stands for `lax.platform_dependent`."""
  return (tpu or default)(*arguments)


@pytest.fixture
def narrow(monkeypatch):
  """Nets of few channels, and small groups, have the forms of wide ones."""
  monkeypatch.setattr(tpu_forms, 'spares', lambda ins, outs, _: ins < outs)


@pytest.fixture
def on_tpu(monkeypatch, narrow):
  monkeypatch.setattr(lax, 'platform_dependent', as_on_tpu)


def plain(x, kernel, scale, offset, group, stride=1, padding=0, finish=None):
  """Convolution, then batch normalisation, in two passes."""
  y = lax.conv_general_dilated(
    x, kernel, (stride,) * 2, ((padding,) * 2,) * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=lax.Precision.HIGHEST,
  )  # fmt: skip
  groups = y.reshape(-1, group, *y.shape[1:])
  means = groups.mean((1, 2, 3), keepdims=True)
  variances = groups.var((1, 2, 3), keepdims=True)
  out = (groups - means) / jnp.sqrt(variances + EPSILON) * scale + offset
  out = out.reshape(y.shape)
  flat = means.shape[0], means.shape[-1]
  return (
    finish(out) if finish else out,
    means.reshape(flat),
    variances.reshape(flat),
  )


def with_gradients(form, arguments, weight):
  """Outputs and statistics, then gradients by all arguments."""

  def weighed(*arguments):
    found = form(*arguments)
    return (found[0] * weight.astype(found[0].dtype)).sum(), found

  gradient = jax.grad(weighed, range(len(arguments)), has_aux=True)
  gradients, found = jax.jit(gradient)(*arguments)
  return *found, *gradients


NAMES = ('out', 'means', 'variances', 'x', 'kernel', 'scale', 'offset')


def errors(form, reference, arguments):
  """Errors of each of NAMES, as parts of the largest in float64."""
  shape = jax.eval_shape(reference, *arguments)[0].shape
  weight = np.random.default_rng(9).normal(1, 1, shape)  # of a mean, too
  found = with_gradients(form, arguments, weight)
  with jax.enable_x64(True):
    exact = [jnp.asarray(np.asarray(a), jnp.float64) for a in arguments]
    right = with_gradients(reference, exact, weight)
  return {
    name: float(np.abs(a - b).max() / np.abs(b).max())
    for name, a, b in zip(NAMES, jax.device_get(found), jax.device_get(right))
  }


def drawn(shape, outs, size, mean=0.0, deviation=1.0):
  rng = np.random.default_rng(0)
  means = mean * rng.uniform(0.5, 1.5, shape[-1])
  x = rng.normal(means, deviation, shape)
  kernel = rng.normal(0, 0.3, (size, size, shape[-1], outs))
  scale = rng.uniform(0.5, 1.5, outs) * rng.choice([-1, 1], outs)
  arrays = x, kernel, scale, rng.normal(0, 1, outs)
  return [jnp.asarray(a, jnp.float32) for a in arrays]


@pytest.mark.parametrize(
  ('shape', 'group', 'stride', 'mean', 'deviation', 'tolerance'),
  [
    ((6, 7, 5, 8), 2, 1, 0.5, 1.0, 1e-5),  # three groups
    ((4, 7, 10, 8), 4, 2, 0.5, 1.0, 1e-5),  # odd and even sides
    ((3, 5, 5, 4), 3, 1, 0.0, 1e-3, 1e-5),  # epsilon counts
    # Rounding of the input alone, 6e-8 of 100, is 6e-5 of the deviation.
    ((4, 7, 6, 8), 2, 2, 100.0, 0.1, 1e-3),
  ],
)  # fmt: skip
def test_convolution_and_norm(shape, group, stride, mean, deviation, tolerance):
  form = functools.partial(
    tpu_forms.conv_norm, stride=stride, group=group, epsilon=EPSILON
  )
  reference = functools.partial(plain, group=group, stride=stride)
  arguments = drawn(shape, 12, 1, mean, deviation)
  found = errors(form, reference, arguments)
  print(found)
  assert max(found.values()) < tolerance, found


@pytest.mark.parametrize('padded', [0, 1])
def test_stem(padded):
  """Of negative scales, too: half of them are."""
  size = (3, 2, layers.pad(padded), not padded)
  pool = lambda y: layers.max_pool(y, *size)  # noqa: E731

  def form(x, kernel, scale, offset):
    signed = kernel * tpu_forms.signs(scale)
    y = layers.conv2d(x, signed, 2, layers.pad(3))
    y, *moments = tpu_forms.pooled_norm(y, scale, offset, pool, 2, EPSILON)
    return tpu_forms.relu(y), *moments

  reference = functools.partial(
    plain, group=2, stride=2, padding=3, finish=lambda y: pool(jax.nn.relu(y))
  )
  arguments = drawn((4, 15, 18, 3), 8, 7, 0.5)
  assert arguments[2].min() < 0 < arguments[2].max()
  found = errors(form, reference, arguments)
  assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize(
  ('ins', 'outs', 'group', 'spares'),
  [
    (64, 256, 128, True),
    (64, 256, 32, False),  # narrow maps, groups that divide the lanes
    (128, 512, 32, True),
    (64, 64, 128, False),  # 'a' of conv2_1
    (256, 64, 128, False),
  ],
)
def test_moments_are_for_outputs_wider_than_inputs(ins, outs, group, spares):
  assert tpu_forms.spares(ins, outs, group) == spares


def test_relu_has_the_gradient_of_relu():
  x = jnp.array([-2.0, -0.0, 0.0, 1e-30, 3.0, jnp.inf, -jnp.inf, jnp.nan])
  for relu in (tpu_forms.relu, jax.nn.relu):
    gradient = jax.grad(lambda x: (relu(x) * jnp.arange(8)).sum())(x)  # noqa: B023
    np.testing.assert_array_equal(gradient, [0, 0, 0, 3, 4, 5, 0, 0])
  np.testing.assert_array_equal(tpu_forms.relu(x), jax.nn.relu(x))


def step_of(network, variables, images, marks=None):
  """Loss, new statistics and gradients of a step in training."""
  labels = jnp.arange(len(images)) % 10
  rest = {k: v for k, v in variables.items() if k != 'params'}

  def loss(params, images):
    logits, new = network.apply(
      {'params': params, **rest, **(marks or {})},
      images, train=True, mutable=['batch_stats'],
    )  # fmt: skip
    cost = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return cost.mean(), new

  gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
  return jax.jit(gradient)(variables['params'], images)


def small(name, blocks=(2, 1), **fields):
  """Of two stages, with a block that has a projection and one that has none."""
  options = {'width': 0.1, 'bn_group': 4, 'num_classes': 10} | fields
  return zoo.create(name, **options).clone(blocks=blocks)


# Odd and even sides, 6x5 in the second stage.
IMAGES = jax.random.normal(jax.random.key(1), (8, 45, 40, 3))


@pytest.fixture
def smooth(monkeypatch):
  """No unit is switched by rounding: as monotone as ReLU, so pools pass it."""
  monkeypatch.setattr(nn, 'relu', jax.nn.softplus)
  monkeypatch.setattr(tpu_forms, 'relu', jax.nn.softplus)


def check_same(network, images, monkeypatch):
  """The step with the forms for TPU equals that without them."""
  variables = random_variables(network, images.shape[1:])
  expected = step_of(network.clone(fused_norm=False), variables, images)
  with monkeypatch.context() as patch:
    patch.setattr(lax, 'platform_dependent', as_on_tpu)
    found = step_of(network, variables, images)
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  paths = jax.tree_util.tree_leaves_with_path(expected)
  worst = {}
  for (path, right), leaf in zip(paths, jax.tree.leaves(found)):
    error = np.linalg.norm(leaf - right) / np.linalg.norm(right)
    worst[jax.tree_util.keystr(path)] = float(error)
  print(sorted(worst.items(), key=lambda x: -x[1])[:5])
  assert max(worst.values()) < 1e-4, max(worst.items(), key=lambda x: x[1])


def test_a_bottleneck_net_takes_the_same_step(narrow, smooth, monkeypatch):
  """The forms are all in it: stem, `c`, `proj` with stride 1 and 2."""
  check_same(small('resnet50'), IMAGES, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('resnet50_v1_5', {}),
    ('resnet50', {'bn_group': 32}),  # more than the batch has
    ('resnet18_v1_5', {}),  # projections in basic blocks
    ('plain18', {}),
    ('resnet20_cifar', {'width': 0.25, 'shortcut': 'B'}),
  ],
)
def test_other_nets_take_the_same_step(
  name, fields, narrow, smooth, monkeypatch
):
  images = IMAGES[:, :16, :16] if 'cifar' in name else IMAGES
  check_same(small(name, **fields), images, monkeypatch)


@pytest.mark.slow
@pytest.mark.skipif(
  'DEEP' not in os.environ, reason='more of the same blocks: run with DEEP=1'
)
@pytest.mark.parametrize('name', ['resnet50', 'resnet50_v1_5'])
def test_a_whole_net_takes_the_same_step(name, narrow, smooth, monkeypatch):
  network = zoo.create(name, width=0.1, bn_group=4, num_classes=10)
  images = jax.random.normal(jax.random.key(1), (8, 96, 96, 3))
  check_same(network, images, monkeypatch)


def gradient_of(network, variables):
  """The gradient of a step in training, by parameters."""
  rest = {k: v for k, v in variables.items() if k != 'params'}

  def total(params):
    variables = {'params': params, **rest}
    return network.apply(
      variables, IMAGES, train=True, mutable=['batch_stats']
    )[0].sum()

  return jax.grad(total)


def test_tpu_alone_has_the_forms_and_the_field_switches_them_off(narrow):
  """Moments are products over all but the channels: of three axes or four."""
  network = small('resnet50_v1_5', dtype=jnp.bfloat16)
  variables = random_variables(network, IMAGES.shape[1:])
  found = {}
  for fused in (True, False):
    gradient = gradient_of(network.clone(fused_norm=fused), variables)
    traced = jax.jit(gradient).trace(variables['params'])
    for platform in ('tpu', 'cuda', 'cpu'):
      text = traced.lower(lowering_platforms=(platform,)).as_text()
      moments = re.findall(
        r'batching_dims = \[0\].*contracting_dims = \[\d, \d, \d\]', text
      )
      found[platform, fused] = len(moments)
  # `c` and `proj`, forward and back.
  assert found.pop(('tpu', True)) == 2 * (3 + 2)
  assert set(found.values()) == {0}


def test_a_step_on_cpu_is_the_same_to_the_bit_with_the_field_and_without():
  network = small('resnet50', (1, 1))
  variables = random_variables(network, IMAGES.shape[1:])
  on, off = (
    step_of(network.clone(fused_norm=fused), variables, IMAGES)
    for fused in (True, False)
  )
  jax.tree.map(np.testing.assert_array_equal, on, off)


def test_variables_and_evaluation_do_not_depend_on_the_field(on_tpu):
  network = small('resnet50', dtype=jnp.bfloat16)
  key, image = (
    jax.random.key(0),
    jax.ShapeDtypeStruct((4, 64, 64, 3), 'float32'),
  )
  shapes, programs = [], []
  for fused in (True, False):
    net = network.clone(fused_norm=fused)
    for train in (True, False):
      init = functools.partial(net.init, train=train)
      shapes.append(jax.eval_shape(init, key, image))
    traced = jax.jit(functools.partial(net.apply, train=False)).trace(
      shapes[-1], image
    )
    programs.append(traced.lower().as_text())
  assert all(shape == shapes[0] for shape in shapes)
  assert programs[0] == programs[1]


def test_frozen_statistics_stay_as_they_are(on_tpu):
  """Those of a stem and a `c` are; those of a `proj` beside it move."""
  network, images = small('resnet50', (1,)), IMAGES[:, :21, :20]
  variables = random_variables(network, images.shape[1:])
  mark = {'bn': {'statistics': jnp.zeros(())}}
  marks = {batch_norm.FROZEN: {'conv1': mark, 'conv2_1': {'c': mark}}}
  on, off = (
    step_of(network.clone(fused_norm=fused), variables, images, marks)
    for fused in (True, False)
  )
  (loss, new), _ = on
  new, old = new['batch_stats'], variables['batch_stats']
  for found, known in (
    (new['conv1'], old['conv1']),
    (new['conv2_1']['c'], old['conv2_1']['c']),
  ):
    jax.tree.map(np.testing.assert_array_equal, found, known)
  moved, known = (of['conv2_1']['proj']['bn']['var'] for of in (new, old))
  assert (moved != known).all()
  np.testing.assert_allclose(loss, off[0][0], rtol=1e-5)


def test_who_asks_for_activations_in_training_gets_all(on_tpu):
  network = small('resnet50')
  variables = random_variables(network, IMAGES.shape[1:])
  _, state = jax.eval_shape(
    functools.partial(
      network.apply,
      train=True,
      mutable=[intermediates.COLLECTION, 'batch_stats'],
    ),
    variables, IMAGES,
  )  # fmt: skip
  seen = state[intermediates.COLLECTION]['layers']
  assert {'conv1', 'pool1', 'conv2_1', 'fc'} <= set(seen)
  assert seen['conv1'].shape[1:3] == (23, 20)


@pytest.mark.slow
def test_training_in_bfloat16_goes_as_with_the_plain_forms(narrow, monkeypatch):
  """20 steps: the loss is as near to the plain form's as float32's is."""
  network = small('resnet50_v1_5', (1, 1), width=0.25)
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 10, (20, 16))
  patterns = rng.normal(0, 1, (10, 32, 32, 3))
  images = rng.normal(0, 1, (20, 16, 32, 32, 3)) + patterns[labels]
  variables = random_variables(network, (32, 32, 3))

  def losses(network):
    def loss_of(params, stats, images, labels):
      logits, new = network.apply(
        {'params': params, 'batch_stats': stats},
        images, train=True, mutable=['batch_stats'],
      )  # fmt: skip
      cost = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return cost.mean(), new['batch_stats']

    @jax.jit
    def step(params, stats, images, labels):
      gradient = jax.value_and_grad(loss_of, has_aux=True)
      (loss, stats), grads = gradient(params, stats, images, labels)
      params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
      return params, stats, loss

    params, stats, found = variables['params'], variables['batch_stats'], []
    for batch in zip(images, labels):
      params, stats, loss = step(params, stats, *batch)
      found.append(float(loss))
    return np.array(found)

  half = network.clone(dtype=jnp.bfloat16)
  exact = losses(network.clone(fused_norm=False))
  before = losses(half.clone(fused_norm=False))
  monkeypatch.setattr(lax, 'platform_dependent', as_on_tpu)
  found = losses(half)
  print(exact, before, found)
  assert np.abs(found - before).max() < 2 * np.abs(before - exact).max()
  assert found[-5:].mean() < 0.9 * found[:5].mean()
