"""A chain that ends at a layer, with a classifier on it: ZFNet, Table 7."""

import numpy as np
import pytest
from conftest import random_variables

import zoo

SHAPE = (64, 64, 3)
WIDTH = 0.05


@pytest.mark.parametrize('until', ['pool2', 'conv4', 'pool5'])
def test_the_classifier_sees_all_of_the_layer(until):
  options = {'width': WIDTH, 'head': 'gap'}
  whole = zoo.create('alexnet_merged', **options)
  cut = zoo.create('alexnet_merged', num_classes=3, until=until, **options)
  variables = random_variables(cut, SHAPE)
  rng = np.random.default_rng(0)
  images = rng.normal(0, 1, (2, *SHAPE)).astype(np.float32)
  of_all = {'params': {**random_variables(whole, SHAPE)['params']}}
  of_all['params'] |= {
    k: v for k, v in variables['params'].items() if k != 'fc8'
  }
  seen = np.asarray(zoo.activations(whole, of_all, images, (until,))[until])
  head = variables['params']['fc8']
  expected = np.einsum('nhwc,hwcd->nd', seen, head['kernel']) + head['bias']
  found = cut.apply(variables, images)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_only_a_layer_before_the_last_is_an_end():
  cut = zoo.create('vgg_a', until='conv6_1', width=WIDTH)
  with pytest.raises(
    ValueError, match=r"until 'conv6_1' is no layer .*: conv1"
  ):
    random_variables(cut, (224, 224, 3))
