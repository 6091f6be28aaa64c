"""Every family against its paper written down in NumPy, layer by layer."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest
import reference
from conftest import cases, random_variables
from reference import CAFFE

import zoo
from zoo import intermediates, lenet5
from zoo.resnet import ResNet

# As pixels are: what a response norm divides by is then not its constant alone.
PIXELS = 128


def case(form, *sides, **options):
  """How a network is computed here, the sides of its image, its options."""
  return form, (sides * 2)[:2], {'width': 0.05, **options}


def resnet(*blocks, **more):
  return functools.partial(reference.resnet, blocks=blocks, **more)


def cifar(shortcut):
  return functools.partial(reference.resnet_cifar, blocks=3, shortcut=shortcut)


def vgg(layers, **more):
  return functools.partial(reference.vgg, layers=layers, **more)


# Wide enough that a norm's window is not all channels.
WIDE = {'width': 0.1}
FORMS = {
  'alexnet': case(reference.alexnet, 224, **WIDE),
  'alexnet gap': case(reference.alexnet, 68, head='gap', **WIDE),
  'alexnet_source': case(reference.alexnet_source, 224, **WIDE),
  'alexnet_merged': case(reference.one_tower, 227, **WIDE),
  'bvlc_alexnet': case(reference.bvlc_alexnet, 227, **WIDE),
  'caffenet': case(
    functools.partial(reference.one_tower, groups=2, **CAFFE), 227, **WIDE
  ),
  'alexnet_owt': case(reference.alexnet_owt, 224),
  'zfnet': case(reference.zfnet, 224, **WIDE),
  'zfnet512': case(reference.zfnet512, 224, **WIDE),
  'vgg_a_lrn': case(vgg('3 3 33 33 33', lrn=True), 224, **WIDE),
  'vgg_b': case(vgg('33 33 33 33 33'), 224),
  'vgg_c gap': case(vgg('33 33 331 331 331'), 32, head='gap'),
  'vgg_d gap': case(vgg('33 33 333 333 333'), 32, head='gap'),
  'vgg_e': case(vgg('33 33 3333 3333 3333'), 224),
  'googlenet': case(reference.googlenet, 224, **WIDE),
  'bvlc_googlenet': case(
    functools.partial(reference.googlenet, **CAFFE), 224, **WIDE
  ),
  'googlenet_naive': case(
    functools.partial(reference.googlenet, naive=True), 224
  ),
  'plain18': case(resnet(2, 2, 2, 2, shortcut='none'), 64, 72),
  'resnet18': case(resnet(2, 2, 2, 2, shortcut='A'), 64, 72),
  'resnet18 B': case(resnet(2, 2, 2, 2, shortcut='B'), 64, 72, shortcut='B'),
  'resnet18 C': case(resnet(2, 2, 2, 2, shortcut='C'), 64, 72, shortcut='C'),
  'resnet18_v1_5': case(resnet(2, 2, 2, 2, shortcut='B', v1_5=True), 64, 72),
  'resnet50': case(resnet(3, 4, 6, 3, shortcut='B', bottleneck=True), 64, 72),
  'resnet50_v1_5': case(
    resnet(3, 4, 6, 3, shortcut='B', bottleneck=True, v1_5=True), 64, 72
  ),
  'resnet20_cifar': case(cifar('A'), 32),
  'plain20_cifar': case(cifar('none'), 32),
  'lenet5': (
    functools.partial(reference.lenet5, codes=lenet5.codes()), (32, 36), {}
  ),
  'lenet5_modern': (reference.lenet5_modern, (32, 32), {}),
}  # fmt: skip
SLOW = (
  'caffenet', 'bvlc_alexnet', 'zfnet512', 'vgg_b', 'vgg_e', 'bvlc_googlenet',
  'googlenet_naive', 'resnet18 C', 'resnet50_v1_5',
)  # fmt: skip


def without_chance(call, arguments, keywords, context):
  """Has dropout in training do what the reference's does."""
  if isinstance(context.module, nn.Dropout):
    assert not context.module.deterministic
    return arguments[0] * (1 + context.module.rate)
  return call(*arguments, **keywords)


@functools.partial(jax.jit, static_argnums=0)
def states(network, variables, images):
  """Returns logits, auxiliary logits and activations."""
  # In training, for dropout and the heads; batch statistics have a test below.
  train = not isinstance(network, ResNet)
  wanted = [intermediates.COLLECTION, 'aux_logits']
  with nn.intercept_methods(without_chance):
    logits, seen = network.apply(variables, images, train=train, mutable=wanted)
  return logits, seen.get('aux_logits', {}), seen[wanted[0]]['layers']


def check(found, expected, name):
  np.testing.assert_allclose(
    found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(),
    err_msg=name,
  )  # fmt: skip


@pytest.mark.parametrize('name', cases(FORMS, set(FORMS) - set(SLOW)))
def test_every_layer_says_what_the_paper_computes(name):
  form, sides, options = FORMS[name]
  name = name.split()[0]
  network = zoo.create(name, num_classes=10, **options)
  shape = (*sides, zoo.image_shape(name)[-1])
  rng = np.random.default_rng(0)
  images = rng.uniform(-PIXELS, PIXELS, (2, *shape)).astype('f')
  if name == 'lenet5':  # whose units saturate
    images /= PIXELS
  variables = random_variables(network, shape)
  logits, heads, seen = states(network, variables, images)
  net = reference.Net(variables)
  scores = form(net, images)
  assert set(seen) == set(net.seen)
  for layer, expected in net.seen.items():
    check(seen[layer], expected, layer)
  single = scores.shape[1:3] == (1, 1)
  check(logits, scores[:, 0, 0] if single else scores, 'logits')
  assert set(heads) == {n for n in ('aux1', 'aux2') if f'{n}_fc' in net.seen}
  for head, (found,) in heads.items():
    check(found, net.seen[f'{head}_classifier'][:, 0, 0], head)


def test_batch_statistics_are_of_groups_and_running_ones_move_a_tenth():
  """Every layer's, of 2 groups; variances so small that epsilon is seen."""
  network = ResNet(
    (1, 1, 1), cifar=True, num_classes=10, width=0.25, shortcut='B', bn_group=2
  )
  rng = np.random.default_rng(0)
  images = rng.uniform(0, 0.02, (4, 8, 10, 3)).astype('f')
  variables = random_variables(network, images.shape[1:])
  apply = functools.partial(network.apply, train=True, mutable=['batch_stats'])
  logits, new = jax.jit(apply)(variables, images)
  net = reference.Net(variables, group=2)
  check(logits, reference.resnet_cifar(net, images, 1, 'B')[:, 0, 0], 'logits')
  for layer, expected in net.running.items():
    found = new['batch_stats']
    for part in (*layer.split('/'), 'bn'):
      found = found[part]
    assert set(found) == set(expected)
    for statistic, values in expected.items():
      check(found[statistic], values, f'{layer} {statistic}')
  assert len(net.running) == 1 + 3 * 2 + 2
  with pytest.raises(ValueError, match='3 images is not a multiple'):
    jax.eval_shape(apply, variables, images[:3])
