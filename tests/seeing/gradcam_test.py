"""Grad-CAM, against class activation maps and gradients by hand."""

import ast

import cv2
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, random_variables

import zoo
from errors import UserError
from evaluation.scoring import Network
from seeing import gradcam
from zoo.intermediates import keep

RNG = np.random.default_rng(0)


def as_network(module, shape, classes):
  variables = random_variables(module, shape)
  return Network(
    '',
    module,
    variables,
    lambda x: x / jnp.float32(255),
    shape[0],
    classes,
    0.5,
  )


def images(count, *shape):
  return RNG.integers(0, 256, (count, *shape), np.uint8)


def test_before_a_global_average_it_is_the_class_activation_map():
  """Zhou et al. 2016: sum_k w_k A_k; the gradient is w_k / (h w)."""
  module = zoo.create('resnet20_cifar', num_classes=7, width=0.25)
  network = as_network(module, (32, 32, 3), 7)
  pixels, classes = images(3, 32, 32, 3), np.array([6, 0, 3])
  seen = gradcam.maps(network, pixels, ('s3_3',), classes)
  state = zoo.activations(module, network.variables, pixels / 255.0, ('s3_3',))
  maps = np.asarray(state['s3_3'], 'd')
  weights = np.asarray(network.variables['params']['fc']['kernel'], 'd')
  weights = weights.reshape(maps.shape[-1], 7)
  for i, label in enumerate(classes):
    cam = np.maximum(maps[i] @ weights[:, label], 0) / 64
    np.testing.assert_allclose(seen.maps['s3_3'][i], cam, rtol=1e-4, atol=1e-6)
  assert (seen.maps['s3_3'].max((1, 2)) > 0).any()


class Tiny(nn.Module):
  """A layer that is kept, then what is easy to differentiate by hand."""

  @nn.compact
  def __call__(self, x, train=False):
    x = keep(self, 'conv', nn.Conv(3, (1, 1), name='conv')(x))
    return nn.Dense(4, name='fc')(jnp.tanh(x).reshape(len(x), -1))


def test_weights_are_the_means_of_the_gradient_of_the_score():
  network = as_network(Tiny(), (5, 4, 2), 4)
  pixels = images(6, 5, 4, 2)
  params = {
    layer: {k: np.asarray(v, 'd') for k, v in fields.items()}
    for layer, fields in network.variables['params'].items()
  }
  state = pixels / 255.0 @ params['conv']['kernel'][0, 0]
  state += params['conv']['bias']
  flat = np.tanh(state).reshape(6, -1)
  logits = flat @ params['fc']['kernel'] + params['fc']['bias']
  for classes in (None, np.arange(6) % 4):
    seen = gradcam.maps(network, pixels, ('conv',), classes)
    chosen = logits.argmax(1) if classes is None else classes
    np.testing.assert_array_equal(seen.classes, chosen)
    shares = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    own = shares[range(6), chosen]
    np.testing.assert_allclose(seen.probabilities, own, rtol=1e-4)
    by_unit = params['fc']['kernel'].T[chosen].reshape(state.shape)
    gradient = by_unit * (1 - np.tanh(state) ** 2)
    weights = gradient.mean((1, 2))
    for i in range(6):
      cam = np.maximum(state[i] @ weights[i], 0)
      np.testing.assert_allclose(seen.maps['conv'][i], cam, 1e-3, 1e-6)
  assert len(set(chosen)) > 1


def test_networks_go_on_with_what_is_kept():
  """Else a gradient by it is 0, and nothing says so."""
  calls = 0
  for file in (ROOT / 'zoo').glob('*.py'):
    for node in ast.walk(ast.parse(file.read_text())):
      calls += isinstance(node, ast.Call) and ast.unparse(node.func) == 'keep'
      if isinstance(node, ast.Expr):
        assert not ast.unparse(node).startswith('keep('), (file, node.lineno)
  assert calls > 20


@pytest.mark.parametrize(
  ('name', 'last'),
  [
    ('lenet5', 'C3'),
    ('alexnet', 'conv5'),
    ('zfnet', 'conv5'),
    ('vgg_a', 'conv5_2'),
    ('googlenet', 'inception_5b'),
    ('resnet18', 'conv5_2'),
    ('resnet20_cifar', 's3_3'),
  ],
)
def test_the_layer_is_the_last_map_of_a_convolution(name, last):
  size, _, channels = zoo.image_shape(name)
  module = zoo.create(name, num_classes=10)
  network = Network('', module, {}, None, size, 10)
  assert gradcam.check_layers(network, channels, ()) == (last,)


def test_layers_that_do_not_do_are_named():
  network = Network('', zoo.create('lenet5', num_classes=10), {}, None, 32, 10)
  with pytest.raises(UserError, match=r"--layer: no layer 'c3'.*C3"):
    gradcam.check_layers(network, 1, ('c3',))
  with pytest.raises(UserError, match=r'--layer=F6: .* whole image.* S4$'):
    gradcam.check_layers(network, 1, ('C3', 'F6'))


def test_a_class_is_a_name_a_synonym_or_a_number():
  names = ('tench, Tinca tinca', 'goldfish', '1')
  assert gradcam.class_number('Tinca tinca', names) == 0
  assert gradcam.class_number('tench, Tinca tinca', names) == 0
  assert gradcam.class_number('1', names) == 2  # a name is before a number
  assert gradcam.class_number('0', names) == 0
  with pytest.raises(UserError, match="Did you mean 'goldfish'"):
    gradcam.class_number('goldfisch', names)
  with pytest.raises(UserError, match='--class=3: numbers from 0 to 2'):
    gradcam.class_number('3', names)
  with pytest.raises(UserError, match=r'none of the 1000 classes\.$'):
    gradcam.class_number('x', [f'n{i:08}' for i in range(1000)])


def test_a_map_is_enlarged_to_shares_of_its_largest_value():
  cam = RNG.random((3, 5)).astype('f')
  large = gradcam.enlarged(cam, (30, 50, 3))
  assert large.shape == (30, 50)
  assert large.max() == 1
  small = cv2.resize(large, (5, 3), interpolation=cv2.INTER_AREA)
  assert np.corrcoef(small.ravel(), cam.ravel())[0, 1] > 0.95
  assert not gradcam.enlarged(np.zeros((3, 5), 'f'), (30, 50)).any()
