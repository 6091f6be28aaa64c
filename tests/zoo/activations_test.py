"""Activations by layer: which there are; that they are the units' states."""

import re

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo
from zoo import activations

KEY = jax.random.key(0)
SMALL = {
  'lenet5': ({}, 32),
  'lenet5_modern': ({}, 32),
  'alexnet': ({'width': 0.0625}, 224),
  'zfnet': ({'width': 0.0625}, 224),
  'vgg_a': ({'width': 0.0625}, 224),
  'googlenet': ({'width': 0.0625}, 224),
  'resnet18': ({'width': 0.125}, 64),
  'resnet20_cifar': ({}, 32),
}


def built(name):
  options, side = SMALL[name]
  network = zoo.create(name, num_classes=10, **options)
  channels = zoo.image_shape(name)[-1]
  images = jax.random.uniform(KEY, (2, side, side, channels), minval=-1.0)
  variables = random_variables(network, images.shape[1:])
  return network, variables, images


# Deeper ones have no other names, and take long to trace.
SHALLOW = [n for n in zoo.names() if not re.search(r'\d{3}(_|$)', n)]


@pytest.mark.parametrize('name', SHALLOW)
def test_every_network_names_its_layers_from_the_input_on(name):
  """Without computing; the names are those of its parameters, and its pools."""
  network = zoo.create(name, num_classes=10)
  shape = zoo.image_shape(name)
  found = activations.names(network, shape)
  image = jax.ShapeDtypeStruct((1, *shape), 'float32')
  variables = jax.eval_shape(network.init, KEY, image)
  assert activations.COLLECTION not in variables
  layers = [n for n in variables['params'] if not n.startswith('aux')]
  assert set(layers) - {'output'} <= set(found)
  assert found[0].endswith('1')
  assert len(set(found)) == len(found)
  shapes = jax.eval_shape(
    lambda v, x: activations.of(network, v, x), variables, image
  )
  assert shapes[found[-1]].shape[-1] == 10
  sides = [shapes[n].shape[1] for n in found]
  assert sides == sorted(sides, reverse=True)


@pytest.mark.parametrize('name', SMALL)
def test_activations_are_what_the_modules_say_after_their_function(name):
  """Against Flax's own capture, with the ReLU or squashing function by hand."""
  network, variables, images = built(name)

  @jax.jit
  def both(variables, images):
    seen = activations.of(network, variables, images)
    logits, state = network.apply(
      variables, images, capture_intermediates=True, mutable=['intermediates']
    )
    return seen, logits, state['intermediates']

  seen, logits, captured = both(variables, images)
  last = activations.names(network, images.shape[1:])[-1]
  np.testing.assert_array_equal(np.squeeze(seen[last]), np.squeeze(logits))
  squash = name == 'lenet5'
  linear = (last, 'S2', 'S4') if name == 'lenet5_modern' else (last,)
  compared = 0
  for layer, found in seen.items():
    if layer not in captured:  # branches put together
      continue
    value = np.asarray(captured[layer]['__call__'][0])
    if squash:
      value = 1.7159 * np.tanh(2 / 3 * value) if layer != last else -value
    elif layer not in linear and 'norm' not in layer:
      value = np.maximum(value, 0)  # of pools after a ReLU it changes nothing
    np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-6)
    compared += 1
  assert compared >= len(seen) * 2 // 3


def test_a_module_of_googlenet_is_its_branches():
  network, variables, images = built('googlenet')
  names = [f'inception_4c_{n}' for n in ('1x1', '3x3', '5x5', 'pool_proj')]
  seen = jax.jit(
    lambda v, x: activations.of(network, v, x, ('inception_4c', *names))
  )(variables, images)
  parts = np.concatenate([seen[n] for n in names], -1)
  np.testing.assert_array_equal(seen['inception_4c'], parts)
  assert (parts >= 0).all()
  assert (parts > 0).any()


def test_blocks_that_are_one_loop_have_their_activations_too():
  options, side = SMALL['resnet18']
  images = jax.random.uniform(KEY, (2, side, side, 3))
  plain, loop = (
    zoo.create('resnet18', num_classes=10, scan=scan, **options)
    for scan in (False, True)
  )
  variables = plain.init(KEY, images)
  of = activations.of
  one, other = (of(n, variables, images, ['conv3_2']) for n in (plain, loop))
  np.testing.assert_array_equal(one['conv3_2'], other['conv3_2'])


def test_an_unknown_layer_names_the_closest():
  network, variables, images = built('lenet5_modern')
  with pytest.raises(ValueError, match=r"no layer 'c3'. .*C3"):
    activations.of(network, variables, images, ('c3',))


def test_nobody_who_does_not_ask_gets_activations():
  network, variables, images = built('lenet5_modern')
  assert set(variables) == {'params'}
  _, state = network.apply(variables, images, mutable=['other'])
  assert not state
  assert isinstance(network, nn.Module)
