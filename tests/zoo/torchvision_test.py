"""torchvision's networks with its layout of weights: pip install torchvision.

Left out of requirements-dev.txt for its size; skipped where it is absent.
"""

import os

import jax
import numpy as np
import pytest
from conftest import random_variables
from safetensors import safe_open

import zoo
from zoo import weight_files, weights

WAY = 'pip install torchvision'
torch = pytest.importorskip('torch', reason=WAY)
torchvision = pytest.importorskip('torchvision', reason=WAY)

from safetensors.torch import load_file

pytestmark = pytest.mark.slow

NETWORKS = {
  'alexnet': ('alexnet_owt', {}),
  'vgg11': ('vgg_a', {}),
  'vgg13': ('vgg_b', {}),
  'vgg16': ('vgg_d', {}),
  'vgg19': ('vgg_e', {}),
  'resnet18': ('resnet18_v1_5', {}),
  'resnet34': ('resnet34_v1_5', {}),
  'resnet50': ('resnet50_v1_5', {}),
  'resnet101': ('resnet101_v1_5', {}),
  'resnet152': ('resnet152_v1_5', {}),
}


def hooked(model):
  """Returns a dictionary that a call of the model fills, by the papers' names.

  Of AlexNet and VGG in their order; a ResNet has names of its own.
  """
  seen = {}

  def keep(name, module):
    # A copy: the next module may be a ReLU in place.
    module.register_forward_hook(
      lambda *call: seen.update({name: call[-1].numpy().copy()})
    )

  if hasattr(model, 'features'):
    said = torch.nn.ReLU, torch.nn.MaxPool2d
    for i, module in enumerate([*model.features, *model.classifier]):
      if isinstance(module, said):
        keep(i, module)
    keep('logits', model)
    return seen
  keep('conv1', model.relu)
  keep('pool1', model.maxpool)
  for stage in (1, 2, 3, 4):
    for i, block in enumerate(getattr(model, f'layer{stage}')):
      keep(f'conv{stage + 1}_{i + 1}', block)
  keep('avgpool', model.avgpool)
  keep('fc', model.fc)
  return seen


@pytest.mark.parametrize('theirs', NETWORKS)
def test_every_layer_equals_torchvisions(theirs, tmp_path):
  torch.manual_seed(0)
  model = torchvision.models.get_model(theirs).eval()
  for module in model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.running_mean.normal_(0, 0.1)
      module.running_var.uniform_(0.5, 1.5)
      module.weight.data.uniform_(0.5, 1.0)
  file = tmp_path / 'model.pth'
  torch.save(model.state_dict(), file)
  crops = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
  # As torchvision's weights.transforms() does, after the crop.
  mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  images = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).float() / 255
  images = torchvision.transforms.functional.normalize(images, mean, std)
  expected = hooked(model)
  with torch.no_grad():
    model(images)
  name, options = NETWORKS[theirs]
  network, variables, preprocessing = zoo.pretrained(name, str(file), **options)

  @jax.jit
  def states(variables, crops):
    return zoo.activations(network, variables, preprocessing(crops))

  seen = states(variables, crops)
  layers = list(zoo.layer_shapes(network, (224, 224, 3)))
  if not name.startswith('resnet'):
    expected = dict(zip(layers, expected.values(), strict=True))
  assert set(layers) == set(expected) == set(seen)
  for layer, found in seen.items():
    there = expected[layer].reshape(
      *expected[layer].shape[:2], *found.shape[1:3]
    )
    there = there.transpose(0, 2, 3, 1)
    assert np.abs(found - there).max() < 1e-4 * there.std(), layer


def test_torchvisions_googlenet_is_refused_by_name(tmp_path):
  model = torchvision.models.googlenet(init_weights=False, aux_logits=False)
  torch.save(model.state_dict(), tmp_path / 'g.pth')
  with pytest.raises(weights.WeightsError, match="torchvision's GoogLeNet"):
    weights.load('googlenet', str(tmp_path / 'g.pth'))


def test_a_pickle_that_runs_code_is_refused(tmp_path):
  class Trap:
    def __reduce__(self):
      return print, ('code of a pickle ran',)

  torch.save({'conv1.weight': Trap()}, tmp_path / 'trap.pth')
  with pytest.raises(weights.WeightsError, match='cannot be read'):
    weights.load('resnet50_v1_5', str(tmp_path / 'trap.pth'))


@pytest.mark.parametrize('theirs', NETWORKS)
def test_what_is_written_is_their_state_dict(theirs, tmp_path):
  name, _ = NETWORKS[theirs]
  large = theirs in ('vgg13', 'vgg16', 'vgg19', 'resnet101', 'resnet152')
  if large and 'DEEP' not in os.environ:
    pytest.skip('large: run with DEEP=1 in the environment')
  network = zoo.create(name, num_classes=7)
  variables = random_variables(network, zoo.image_shape(name))
  file = tmp_path / 'model.safetensors'
  weight_files.save(str(file), name, variables, {})
  state = load_file(file)
  model = torchvision.models.get_model(theirs, num_classes=7).eval()
  dtypes = {k: v.dtype for k, v in model.state_dict().items()}
  assert {k: v.dtype for k, v in state.items()} == dtypes
  model.load_state_dict(state, strict=True)
  with safe_open(file, 'pt') as opened:
    assert opened.metadata()['names'] == f'torchvision.models.{theirs}'
  images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype('f')
  with torch.no_grad():
    found = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
  expected = jax.jit(network.apply)(variables, images)
  off = np.abs(found.numpy() - expected).max() / np.abs(expected).max()
  assert off < 1e-5
