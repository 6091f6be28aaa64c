"""ResNet's equal blocks as one loop, in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables

from zoo.resnet import ResNet

IMAGES = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))


def network(scan: bool, dtype=jnp.float32) -> ResNet:
  return ResNet(
    blocks=(3,), bottleneck=True, cifar=True, num_classes=3, shortcut='B',
    bn_group=2, dtype=dtype, scan=scan,
  )  # fmt: skip


def training(scan: bool, dtype=jnp.float32):
  """Returns the gradient of a loss, with new statistics, of variables."""
  net = network(scan, dtype)

  def loss(params, rest):
    logits, new = net.apply(
      {'params': params, **rest}, IMAGES, train=True, mutable=['batch_stats']
    )
    return jnp.square(logits - 1).sum(), new

  return jax.grad(loss, has_aux=True)


def variables():
  rest = random_variables(network(False), IMAGES.shape[1:])
  return rest.pop('params'), rest


@pytest.mark.slow
def test_the_gradients_of_blocks_in_a_loop_are_those_of_blocks_in_a_row():
  plain, loop = (jax.jit(training(s))(*variables()) for s in (False, True))
  assert jax.tree.structure(plain) == jax.tree.structure(loop)
  for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(loop)):
    size = np.abs(one).max()
    np.testing.assert_allclose(other, one, rtol=0, atol=2e-5 * size)


def test_a_loop_keeps_the_outputs_of_convolutions_for_its_gradient():
  step = jax.make_jaxpr(training(True, jnp.bfloat16))(*variables())
  forward = next(e for e in step.jaxpr.eqns if e.primitive.name == 'scan')
  turns, smallest = forward.params['length'], 4 * 8 * 8 * 16
  results = [x.aval for x in forward.outvars]
  stacks = [x for x in results if x.shape[0] == turns]
  kept = sorted(
    (x.dtype.name, x.shape[-1]) for x in stacks if x.size >= turns * smallest
  )
  # a, b, c, and the block's own input
  assert kept == [('bfloat16', c) for c in (16, 16, 64, 64)]
