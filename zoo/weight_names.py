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

_CAFFE_STEM = {
  'conv1': 'conv1/7x7_s2', 'conv2_reduce': 'conv2/3x3_reduce',
  'conv2': 'conv2/3x3', 'classifier': 'loss3/classifier',
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
    return _caffe_googlenet(layer) if 'googlenet' in name else layer

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
  # CIFAR's stages are s1 to s3; ImageNet's conv2 to conv5.
  first = int(stage[1:]) if stage.startswith('s') else int(stage) - 1
  place = f'layer{first}.{int(block) - 1}'
  if layer[1] == 'proj':
    return f'{place}.downsample.{int(norm)}.{kind}'
  number = 'abc'.index(layer[1]) + 1
  return f'{place}.{"bn" if norm else "conv"}{number}.{kind}'


_BLOCK = re.compile(r'conv(\d)_(\d+)/(proj|[abc])')  # of ResNet
_NORM = {'scale': 'gamma', 'bias': 'beta', 'mean': 'mean', 'var': 'var'}


def caffe(name: str) -> Rule:
  """Those of the authors' files as `zoo.caffe_files` reads them.

  'conv1/kernel', 'inception_3a/1x1/bias'; of ResNet 'res2a_branch2a/kernel',
  'bn2a_branch2a/mean', 'scale2a_branch2a/gamma'.
  """

  def rule(path):
    *layer, last = path[1:]
    if 'googlenet' in name:
      return f'{_caffe_googlenet("/".join(layer))}/{last}'
    if layer == ['fc']:
      return f'fc1000/{last}'
    block = _BLOCK.match('/'.join(layer))
    if not block and layer[-1] != 'bn':
      return '/'.join(path[1:])
    place = _caffe_block(name, *block.groups()) if block else '_conv1'
    if layer[-1] == 'bn':
      kind = 'bn' if last in ('mean', 'var') else 'scale'
      return f'{kind}{place}/{_NORM[last]}'
    return f'res{place}/{last}'

  return rule


def _caffe_googlenet(layer):
  """'inception_3a_1x1' -> 'inception_3a/1x1'; 'aux1_fc' -> 'loss1/fc'."""
  if found := re.fullmatch(r'aux(\d)_(\w+)', layer):
    return 'loss{}/{}'.format(*found.groups())
  return _CAFFE_STEM.get(layer) or re.sub(r'(inception_..)_', r'\1/', layer)


def _caffe_block(name, stage, block, which):
  """('resnet101', 4, 3, 'a') -> '4b2_branch2a': with 50 layers letters only."""
  number = int(block)
  letter = 'abcdef'[number - 1 : number]
  if stage in '34' and number > 1 and not name.startswith('resnet50'):
    letter = f'b{number - 1}'
  return f'{stage}{letter}_branch{"1" if which == "proj" else f"2{which}"}'


def convolution_before(norm: str) -> str:
  """Returns the convolution that a normalisation follows.

  'bn_conv1' -> 'conv1', 'bn2a_branch1' -> 'res2a_branch1'; of Keras 'conv1_bn'
  -> 'conv1_conv'.
  """
  if norm.endswith('_bn'):
    return f'{norm.removesuffix("bn")}conv'
  first = norm.removeprefix('bn')
  return first[1:] if first.startswith('_') else f'res{first}'


_KERAS_FC = {
  'fc': 'predictions', 'fc8': 'predictions', 'fc6': 'fc1', 'fc7': 'fc2',
}  # fmt: skip
_KERAS_BRANCH = ('proj', 'a', 'b', 'c')


def keras(name: str) -> Rule:
  """Those of keras.applications as `zoo.keras_files` reads them.

  'block1_conv1/kernel', 'predictions/bias'; of ResNet
  'conv2_block1_1_conv/kernel', 'conv2_block1_1_bn/mean'.
  """

  def rule(path):
    *layer, last = path[1:]
    joined = '/'.join(layer)
    if joined in _KERAS_FC:
      return f'{_KERAS_FC[joined]}/{last}'
    if name.startswith('vgg'):
      return re.sub(r'conv(\d)_(\d)$', r'block\1_conv\2', joined) + f'/{last}'
    place = 'conv1'
    if block := _BLOCK.match(joined):
      stage, number, which = block.groups()
      place = f'conv{stage}_block{number}_{_KERAS_BRANCH.index(which)}'
    elif layer[0] != 'conv1':
      return '/'.join(path[1:])
    if layer[-1] == 'bn':
      return f'{place}_bn/{_NORM[last]}'
    return f'{place}_conv/{last}'

  return rule


def own(name: str) -> Rule:
  """Ours, joined: 'params/conv1/kernel'."""
  del name
  return '/'.join
