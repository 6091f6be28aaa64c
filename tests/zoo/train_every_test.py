"""Every network takes real steps, at reduced width."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import cases, random_variables

import zoo

QUICK = ('lenet5', 'lenet5_modern')
# A network of each form. What they compute is compared with NumPy, that of the
# others too: reference_test.py; and more train in configs/traces_test.py,
# GoogLeNet with its auxiliary heads.
FORMS = (
  *QUICK, 'alexnet_source', 'alexnet_owt', 'caffenet', 'zfnet512', 'vgg_a_lrn',
  'vgg_c', 'plain18', 'resnet18_v1_5', 'resnet50', 'resnet20_cifar',
  'plain20_cifar',
)  # fmt: skip
# Compile in half the time with equal blocks as a loop, which changes nothing:
# initialisers_test.py.
LOOPED = (
  'resnet50', 'resnet101', 'resnet152', 'resnet34', 'plain34', 'resnet44',
  'plain44', 'resnet56', 'plain56', 'resnet110', 'resnet1202',
)  # fmt: skip


def small(name):
  """Returns the network with few channels, and a batch of 4 images for it."""
  known = zoo.options(name)
  wanted = {'width': 0.05, 'dropout': 0.0, 'aux_dropout': 0.0, 'bn_group': 4}
  if name.startswith('plain'):  # so deep without shortcuts, few channels die
    wanted['width'] = 0.25
  if name.startswith(LOOPED):
    wanted['scan'] = True
  options = {k: v for k, v in wanted.items() if k in known}
  network = zoo.create(name, num_classes=10, **options)
  if name.startswith(('resnet', 'plain')) and 'DEEP' not in os.environ:
    # One block of each stage and, in the first, one without a projection.
    blocks = (2, 1, 1, 1)[: len(network.blocks)]
    network = network.clone(blocks=blocks, scan=False)
  height, width, channels = zoo.image_shape(name)
  if name.startswith(('resnet', 'plain')):
    height = width = 32 if 'resnet' in name or 'cifar' in name else 64
  images = jax.random.normal(jax.random.key(1), (5, height, width, channels))
  return network, images


@pytest.mark.parametrize('name', cases(zoo.names(), QUICK))
def test_five_steps_and_each_image_by_itself(name):
  if name not in FORMS and 'DEEP' not in os.environ:
    pytest.skip('of the form of another: run with DEEP=1 in the environment')
  network, images = small(name)
  labels = jnp.array([1, 7, 3, 3])
  variables = random_variables(network, images.shape[1:])
  params = variables.pop('params')

  def loss_of(params, variables):
    logits, new = network.apply(
      {'params': params, **variables},
      images[:4],
      train=True,
      rngs={'dropout': jax.random.key(2)},
      mutable=[*variables, 'aux_logits'],
    )
    new = dict(new)
    new.pop('aux_logits', None)
    cost = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return cost.mean(), new

  @jax.jit
  def step(params, variables):
    gradient = jax.value_and_grad(loss_of, has_aux=True)
    (loss, variables), grads = gradient(params, variables)
    # Caffe's norms divide by less: gradients are larger.
    rate = {'lenet5': 1e-4, 'bvlc_googlenet': 1e-4}.get(name, 0.01)
    if 'plain' in name:  # their gradients grow with each layer
      rate = 1e-5 / optax.tree.norm(grads)
    params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
    return params, variables, loss

  losses = []
  for _ in range(6):
    params, variables, loss = step(params, variables)
    losses.append(float(loss))
  assert np.isfinite(losses).all()
  assert losses[-1] < losses[0], losses
  variables = {'params': params, **variables}
  apply = jax.jit(network.apply)
  scores = apply(variables, images)
  assert np.isfinite(scores).all()
  for even in (0, 1):  # among other images the same
    among = apply(variables, images.at[even::2].multiply(-3))
    np.testing.assert_allclose(
      among[1 - even :: 2], scores[1 - even :: 2], rtol=1e-3, atol=1e-4
    )
    assert np.abs(among[even::2] - scores[even::2]).max() > 1e-3
  alone = jax.eval_shape(network.apply, variables, images[:1])
  assert alone.shape == (1, 10)
