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


@pytest.mark.parametrize('theirs', NETWORKS)
def test_logits_equal_those_of_torchvision(theirs, tmp_path):
  torch.manual_seed(0)
  model = torchvision.models.get_model(theirs).eval()
  for module in model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.running_mean.normal_(0, 0.1)
      module.running_var.uniform_(0.5, 1.5)
      module.weight.data.uniform_(0.5, 1.0)
  file = tmp_path / 'model.pth'
  torch.save(model.state_dict(), file)
  images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype('f')
  with torch.no_grad():
    expected = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
  expected = expected.numpy()
  name, options = NETWORKS[theirs]
  variables = weights.load(name, str(file), **options)
  logits = jax.jit(zoo.create(name, **options).apply)(variables, images)
  assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()


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
