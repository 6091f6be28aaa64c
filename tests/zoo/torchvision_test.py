"""torchvision's networks with its layout of weights: pip install torchvision.

Left out of requirements-dev.txt for its size; skipped where it is absent.
"""

import jax
import numpy as np
import pytest

import zoo
from zoo import weights

WAY = 'pip install torchvision'
torch = pytest.importorskip('torch', reason=WAY)
torchvision = pytest.importorskip('torchvision', reason=WAY)

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
