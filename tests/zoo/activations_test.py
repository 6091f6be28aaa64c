"""Activations by layer: which there are. Their values: reference_test.py."""

import functools
import re

import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo
from zoo import intermediates

KEY = jax.random.key(0)


# Deeper ones have no other names, and take long to trace.
SHALLOW = [n for n in zoo.names() if not re.search(r'\d{3}(_|$)|44|56', n)]


@pytest.mark.parametrize('name', SHALLOW)
def test_every_network_names_its_layers_from_the_input_on(name):
  """Without computing; the names are those of its parameters, and its pools."""
  network = zoo.create(name, num_classes=10)
  if blocks := getattr(network, 'blocks', None):
    network = network.clone(blocks=(2,) * len(blocks))
  shape = zoo.image_shape(name)
  shapes = zoo.layer_shapes(network, shape)
  found = list(shapes)
  image = jax.ShapeDtypeStruct((1, *shape), 'float32')
  variables = jax.eval_shape(network.init, KEY, image)
  assert intermediates.COLLECTION not in variables
  layers = [n for n in variables['params'] if not n.startswith('aux')]
  assert set(layers) - {'output'} <= set(found)
  assert found[0].endswith('1')
  assert len(set(found)) == len(found)
  seen = jax.eval_shape(
    lambda v, x: zoo.activations(network, v, x), variables, image
  )
  assert shapes == {n: x.shape[1:] for n, x in seen.items()}
  assert shapes[found[-1]] == (1, 1, 10)
  sides = [shapes[n][0] for n in found]
  assert sides == sorted(sides, reverse=True)


def test_blocks_that_are_one_loop_have_their_activations_too():
  images = jax.random.uniform(KEY, (2, 8, 8, 3))
  options = {'num_classes': 10, 'width': 0.25}
  plain, loop = (
    zoo.create('resnet32_cifar', scan=scan, **options) for scan in (False, True)
  )
  variables = random_variables(plain, images.shape[1:])

  @jax.jit
  def both(v, x):
    return [zoo.activations(n, v, x, ['s2_2'])['s2_2'] for n in (plain, loop)]

  one, other = both(variables, images)
  np.testing.assert_array_equal(one, other)


def test_an_unknown_layer_names_the_closest():
  network = zoo.create('lenet5_modern')
  with pytest.raises(ValueError, match=r"no layer 'c3'. .*C3"):
    zoo.layer_shapes(network, (32, 32, 1), ('c3',))
  with pytest.raises(ValueError, match=r"no layer 'fc'. C1, S2, .*, output"):
    zoo.layer_shapes(network, (32, 32, 1), ('C1', 'fc'))


def test_layers_come_as_they_are_asked_for_and_one_needs_no_tuple():
  network = zoo.create('lenet5_modern')
  asked = zoo.layer_shapes(network, (32, 32, 1), ('F6', 'C1'))
  assert list(asked.items()) == [('F6', (1, 1, 84)), ('C1', (28, 28, 6))]
  assert list(zoo.layer_shapes(network, (32, 32, 1), 'C3')) == ['C3']


def test_nobody_who_does_not_ask_gets_activations():
  network = zoo.create('lenet5_modern')
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), 'float32')
  variables = jax.eval_shape(network.init, KEY, image)
  assert set(variables) == {'params'}
  apply = functools.partial(network.apply, mutable=['other'])
  _, state = jax.eval_shape(apply, variables, image)
  assert not state
