"""What an array of ours is called in files of others.

A rule takes the path of an array, as ('params', 'conv1', 'kernel'), and returns
its name there; one function a naming, which takes the name of the network.
"""

import re
from collections.abc import Callable, Iterator

import zoo

Path = tuple[str, ...]
Rule = Callable[[Path], str]

_CAFFE2 = {
  'kernel': 'w', 'bias': 'b',
  'bn/scale': 'bn_s', 'bn/bias': 'bn_b', 'bn/mean': 'bn_rm', 'bn/var': 'bn_riv',
}  # fmt: skip


def caffe2(name: str) -> Rule:
  """Those of the ONNX zoo's files: 'conv1_w_0', 'res2_0_branch2a_bn_rm_0'."""

  def layer_of(path):
    layer = '/'.join(path)
    if name.startswith('resnet'):
      if layer == 'fc':
        return 'pred'
      if found := re.fullmatch(r'conv(\d)_(\d+)/(\w+)', layer):
        stage, block, which = found.groups()
        branch = '1' if which == 'proj' else f'2{which}'
        return f'res{stage}_{int(block) - 1}_branch{branch}'
    if 'googlenet' in name:
      stem = {
        'conv1': 'conv1/7x7_s2', 'conv2_reduce': 'conv2/3x3_reduce',
        'conv2': 'conv2/3x3', 'classifier': 'loss3/classifier',
      }  # fmt: skip
      return stem.get(layer) or re.sub(r'(inception_..)_', r'\1/', layer)
    return layer

  def rule(path):
    split = -2 if path[-2] == 'bn' else -1
    layer, part = layer_of(path[1:split]), _CAFFE2['/'.join(path[split:])]
    if layer == 'conv1' and part.startswith('bn'):
      layer = 'res_conv1'
    return f'{layer}_{part}_0'

  return rule


_TORCH_NORM = {
  'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean',
  'var': 'running_var',
}  # fmt: skip


def torchvision(name: str) -> Rule:
  """Torchvision's: 'features.3.weight', 'layer1.0.bn2.running_mean'.

  An index for VGG and AlexNet, words for ResNet. timm has the same, but for the
  head of VGG.
  """
  if name.startswith('resnet'):
    return _torch_resnet
  indices = torch_indices(name)

  def rule(path):
    kind = 'weight' if path[-1] == 'kernel' else 'bias'
    return f'{indices.get(path[1], path[1])}.{kind}'

  return rule


def torch_indices(name: str) -> dict[str, str]:
  """Layer -> 'features.3': the position in an nn.Sequential of all modules.

  Of AlexNet and VGG; {} for networks that torchvision does not have so.
  """

  def number(part, rows) -> Iterator[tuple[str, str]]:
    for i, row in enumerate(rows):
      if not isinstance(row, str) and row.name.startswith(('conv', 'fc')):
        yield row.name, f'{part}.{i}'

  rows = getattr(zoo.create(name), 'rows', ())
  first = [i for i, row in enumerate(rows) if getattr(row, 'name', '') == 'fc6']
  if not first:
    return {}
  head = first[0]
  if rows[head - 1] == 'dropout':  # torchvision's AlexNet drops before fc6
    head -= 1
  return {
    **dict(number('features', rows[:head])),
    **dict(number('classifier', rows[head:])),
  }


def _torch_resnet(path) -> str:
  *layer, last = path[1:]
  norm = layer[-1] == 'bn'
  layer = layer[:-1] if norm else layer
  kind = _TORCH_NORM[last] if norm else 'weight' if last == 'kernel' else 'bias'
  if layer[0] == 'fc':
    return f'fc.{kind}'
  if len(layer) == 1:
    return f'{"bn1" if norm else "conv1"}.{kind}'
  stage, block = layer[0].removeprefix('conv').split('_')
  place = f'layer{int(stage) - 1}.{int(block) - 1}'
  if layer[1] == 'proj':
    return f'{place}.downsample.{int(norm)}.{kind}'
  number = 'abc'.index(layer[1]) + 1
  return f'{place}.{"bn" if norm else "conv"}{number}.{kind}'


def own(name: str) -> Rule:
  """Ours, joined: 'params/conv1/kernel'."""
  del name
  return '/'.join
