"""Deviations of responses, against captured activations and against weights."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import random_variables

import zoo
from data import preprocess
from errors import UserError
from evaluation.features import Item
from evaluation.scoring import Network
from seeing import responses
from zoo.resnet import ConvNorm, ResNet

SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)


def network(variables=None, **fields):
  """A net of one or two blocks a stage, with anything as its variables."""
  fields = {'blocks': (2, 1, 1), 'cifar': True, 'bn_group': 5} | fields
  module = ResNet(width=0.25, num_classes=10, **fields)
  variables = variables or random_variables(module, SHAPE)
  prepare = preprocess.make_prepare(32, (120.0,), (60.0,))
  return Network('', module, variables, prepare, 32, 10)


def read(number):
  return Item(str(number), IMAGES[number])


@pytest.mark.parametrize(
  ('fields', 'layers'),
  [
    ({'shortcut': 'none'}, ['a', 'b']),
    ({'shortcut': 'B', 'scan': True}, ['a', 'b']),
    ({'bottleneck': True, 'shortcut': 'C'}, ['a', 'b', 'c']),
  ],
)
def test_deviations_are_those_of_captured_activations(
  monkeypatch, fields, layers
):
  net = network(**fields)
  module = net.module.clone(scan=False)
  _, state = module.apply(
    net.variables, net.prepare(IMAGES), mutable=['intermediates'],
    capture_intermediates=lambda m, _: isinstance(m, ConvNorm),
  )  # fmt: skip
  seen = state['intermediates']
  expected = {'conv1': seen['conv1']['__call__'][0]} | {
    f'{block}/{layer}': seen[block][layer]['__call__'][0]
    for block in ('s1_1', 's1_2', 's2_1', 's3_1')
    for layer in layers
  }
  monkeypatch.setattr(responses, '_BATCH', 2)  # the last one is not full
  found = responses.deviations(net, read, range(5))
  assert list(found) == list(expected)
  for name, x in expected.items():
    assert found[name] == pytest.approx(np.std(np.asarray(x, 'd')), rel=1e-4)


def test_with_the_statistics_of_the_images_weights_tell_it():
  net = network()
  # One step of training gives a tenth of what these images have.
  old = net.variables['batch_stats']
  _, new = net.module.apply(
    net.variables, net.prepare(IMAGES), train=True, mutable=['batch_stats']
  )
  own = jax.tree.map(lambda a, b: (b - 0.9 * a) / 0.1, old, new['batch_stats'])
  net = network({**net.variables, 'batch_stats': own})
  found = responses.deviations(net, read, range(5))
  expected = responses.of_weights(net, list(found))
  np.testing.assert_allclose(list(found.values()), expected, rtol=1e-3)
  assert np.ptp(expected) > 0.01


@pytest.mark.parametrize(('depth', 'count'), [(20, 19), (56, 55), (110, 109)])
def test_points_are_as_many_as_the_papers(depth, count):
  """6n + 1."""
  module = zoo.create(f'resnet{depth}_cifar', num_classes=10)
  prepare = preprocess.make_prepare(32, (0.0,), (1.0,))
  net = Network('', module, {}, prepare, 32, 10)
  images = jax.ShapeDtypeStruct((1, *SHAPE), 'float32')
  variables = jax.eval_shape(module.init, jax.random.key(0), images)
  names = []

  def trace(variables, images):
    names.extend(responses._moments(net, variables, images))

  jax.eval_shape(trace, variables, images)
  assert len(names) == count


def test_a_network_without_normalisation_is_refused_by_name():
  module = nn.Dense(3)
  net = Network('', module, {'params': {}}, lambda x: x, 32, 10)
  with pytest.raises(UserError, match='lenet5 has no batch normalisation'):
    responses.check(net, 'lenet5')
  responses.check(network(), 'resnet')


def test_images_are_needed_that_can_be_read():
  net = network()
  with pytest.raises(UserError, match='no images'):
    responses.deviations(net, read, [])
  with pytest.raises(UserError, match=r'a.jpg cannot be read: cut'):
    responses.deviations(
      net, lambda _: Item('a.jpg', ValueError('cut')), range(2)
    )
