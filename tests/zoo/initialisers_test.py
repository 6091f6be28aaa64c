"""Parameters before the first step are drawn as each paper says."""

import re

import flax.linen as nn
import jax
import numpy as np
import pytest

import zoo


def caffes_xavier(ins, outs):
  return (3 / ins) ** 0.5


def he(ins, outs):
  return (2 / ins) ** 0.5


def glorot(ins, outs):
  return (2 / (ins + outs)) ** 0.5


def lecun(ins, outs):
  return (1 / ins) ** 0.5


# Typed from the fact sheets. A line: layers, distribution, its deviation or
# bound, which may depend on a kernel's fan-in and fan-out, bias.
_BIASED = 'conv[245]|fc[67]'  # AlexNet, Section 5
_ALEXNET = [
  (_BIASED, 'normal', 0.01, 1),
  ('conv[13]|fc8', 'normal', 0.01, 0),
]
_WIDER = [  # cuda-convnet, layers-145 and layers-imagenet-1gpu
  ('conv3', 'normal', 0.03, 0),
  ('conv[45]', 'normal', 0.03, 1),
  ('conv2|fc[67]', 'normal', 0.01, 1),
  ('conv1|fc8', 'normal', 0.01, 0),
]


def _caffes(bias):  # models/bvlc_alexnet, bvlc_reference_caffenet
  return [
    ('fc[67]', 'normal', 0.005, bias),
    ('conv[245]', 'normal', 0.01, bias),
    ('conv[13]|fc8', 'normal', 0.01, 0),
  ]


_GOOGLENET = [  # models/bvlc_googlenet
  ('.*classifier', 'uniform', caffes_xavier, 0),
  ('(?!.*classifier).*', 'uniform', caffes_xavier, 0.2),
]
_RESNET = [  # Section 3.4, as He et al. 2015; the classifier is ours
  ('(conv|s).*', 'normal', he, None),
  ('fc', 'uniform', None, 0),
]
FIRST = {
  ('alexnet',): _ALEXNET,
  ('alexnet_merged',): _ALEXNET,
  ('alexnet', 'initializer', 'glorot'): [
    (_BIASED, 'cut', glorot, 1),
    ('conv[13]|fc8', 'cut', glorot, 0),
  ],
  ('alexnet_source',): _WIDER,
  ('alexnet_owt',): _WIDER,
  ('bvlc_alexnet',): _caffes(0.1),
  ('caffenet',): _caffes(1),
  # ZFNet, Section 3.1: 1e-2 and 0.
  ('zfnet',): [('.*', 'normal', 0.01, 0)],
  ('zfnet512',): [('.*', 'normal', 0.01, 0)],
  # VGG, Section 3.1: variance 1e-2 and 0; Glorot & Bengio 2010.
  ('vgg_a_lrn',): [('.*', 'normal', 0.1, 0)],
  ('vgg_c',): [('.*', 'normal', 0.1, 0)],
  ('vgg_c', 'initializer', 'caffe'): [('.*', 'normal', 0.01, 0)],
  ('vgg_c', 'initializer', 'glorot'): [('.*', 'cut', glorot, 0)],
  ('googlenet',): _GOOGLENET,
  ('bvlc_googlenet',): _GOOGLENET,
  ('plain18',): _RESNET,
  ('resnet18', 'shortcut', 'B'): _RESNET,
  ('resnet50',): _RESNET,
  ('resnet20_cifar',): _RESNET,
  ('lenet5_modern',): [('.*', 'cut', lecun, 0)],
}
_CLASSIFIER = {  # fan-in
  'plain18': 512, 'resnet18': 512, 'resnet50': 2048, 'resnet20_cifar': 64,
}  # fmt: skip
SHAPE = (3, 3, 40, 60)


def initialisers(network, side, channels, monkeypatch):
  """Returns {layer: {parameter: initialiser}}; computes nothing."""
  found, param = {}, nn.Module.param

  def noted(self, name, init, *more, **options):
    found.setdefault('/'.join(self.path), {})[name] = init
    return param(self, name, init, *more, **options)

  monkeypatch.setattr(nn.Module, 'param', noted)
  image = jax.ShapeDtypeStruct((1, side, side, channels), np.float32)
  jax.eval_shape(network.init, jax.random.key(0), image)
  return found


def check_drawn(kernel, kind, size):
  error = 4 / np.sqrt(kernel.size)  # four standard errors
  assert abs(kernel.mean()) < error * size
  if kind == 'uniform':
    assert 0.99 * size < np.abs(kernel).max() <= 1.000001 * size
    size /= 3**0.5
  assert abs(kernel.std() / size - 1) < error
  # 4.55 % of a Gaussian are beyond two deviations, none of a uniform; Flax cuts
  # some Gaussians, whose deviation is then 0.88 of what it was, at two.
  part = {'normal': 0.0455, 'uniform': 0, 'cut': 0.0346}[kind]
  beyond = (np.abs(kernel) > 2 * size).mean()
  assert abs(beyond - part) <= 4 * np.sqrt(part * (1 - part) / kernel.size)


@pytest.mark.parametrize('key', FIRST, ids='-'.join)
def test_first_values_of_every_layer(key, monkeypatch):
  name, *option = key
  network = zoo.create(name, **dict([option] if option else []))
  side, _, channels = zoo.image_shape(name)
  found = initialisers(network, side, channels, monkeypatch)
  ins, outs = (int(np.prod(SHAPE[:2])) * n for n in SHAPE[2:])
  first = jax.random.key(0)
  for layer, inits in found.items():
    if layer.endswith('/bn'):
      assert set(inits) == {'scale', 'bias'}
      assert (inits['scale'](first, (3,)) == 1).all()
      assert (inits['bias'](first, (3,)) == 0).all()
      continue
    (row,) = (r for r in FIRST[key] if re.fullmatch(r[0], layer))
    _, kind, size, bias = row
    if size is None:
      size = _CLASSIFIER[name] ** -0.5
    kernel = np.asarray(inits['kernel'](first, SHAPE, np.float32))
    check_drawn(kernel, kind, size(ins, outs) if callable(size) else size)
    assert ('bias' in inits) == (bias is not None)
    if 'bias' in inits:
      np.testing.assert_allclose(inits['bias'](first, (3,)), bias)
  assert len(found) > 3


def test_a_plain_net_with_shortcuts_is_refused():
  with pytest.raises(ValueError, match='with them it is resnet34'):
    zoo.create('plain34', shortcut='B')


@pytest.mark.slow
def test_equal_blocks_as_a_loop_change_nothing():
  images = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
  results = []
  for scan in (False, True):
    network = zoo.create(
      'resnet20_cifar', width=0.25, num_classes=10, bn_group=4, scan=scan
    ).clone(blocks=(3, 2))
    variables = network.lazy_init(jax.random.key(0), images)
    logits, new = jax.jit(
      lambda v, network=network: network.apply(
        v, images, train=True, mutable=['batch_stats']
      )
    )(variables)
    results.append((variables, logits, new))
  assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
    *results,
  )
