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
  if name == 'resnet50' and 'DEEP' not in os.environ:
    # One block of each stage and, in the first, one without a projection.
    network = network.clone(blocks=(2, 1, 1, 1), scan=False)
  height, width, channels = zoo.image_shape(name)
  if name.startswith(('resnet', 'plain')):
    height = width = 32 if 'resnet' in name or 'cifar' in name else 64
  images = jax.random.normal(jax.random.key(1), (5, height, width, channels))
  return network, images


@pytest.mark.parametrize('name', cases(zoo.names(), QUICK))
def test_five_steps_and_batches_of_one_and_five(name):
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
  apply = jax.jit(network.apply)
  together = apply({'params': params, **variables}, images)
  alone = [
    apply({'params': params, **variables}, images[i : i + 1]) for i in range(5)
  ]
  assert np.isfinite(together).all()
  np.testing.assert_allclose(
    np.concatenate(alone), together, rtol=1e-3, atol=1e-4
  )
