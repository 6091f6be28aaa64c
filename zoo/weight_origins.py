"""What published weights were trained with: their network, how it saw images.

Other people's weights want their own preprocessing, on pixels of 0 to 255:

    .caffemodel, .onnx          channels B, G, R; minus 104, 117, 123 (VGG:
                                103.939, 116.779, 123.68; ResNet's .caffemodel:
                                103.063, 115.903, 123.152, the means of its
                                authors' mean image); GoogLeNet is
                                bvlc_googlenet
    .h5                         B, G, R; minus 103.939, 116.779, 123.68
    of PyTorch, .safetensors    R, G, B; divided by 255, minus ImageNet's mean,
                                divided by its standard deviation
    .npz                        as the config says
    of `weight_files.save`      as its header says

That of the zoo's ResNet-50 is Caffe's by its form; its authors do not say.
"""

import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import zoo
from zoo import resnet

# .tar: of the .pth.tar of PyTorch's own examples.
TORCH = ('.pth', '.pt', '.tar', '.bin', '.ckpt')


class Origin(NamedTuple):
  """How weights were trained; `mean` and `std` are R, G, B of 0 to 255."""

  order: str  # of the channels: rgb, bgr
  mean: tuple[float, ...]
  std: tuple[float, ...]
  options: tuple[tuple[str, Any], ...] = ()  # of the network


_TORCHVISION = Origin(
  'rgb', (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)  # 255 times (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225)

_VGG_MEAN = 123.68, 116.779, 103.939  # of its authors; Keras takes it for all
# The means over the 224 x 224 places of ResNet_mean.binaryproto, which its
# authors subtract, as ry/tensorflow-resnet has them.
_RESNET_MEAN = 123.151630838, 115.902882574, 103.062623801
_CAFFE = ('.onnx', '.caffemodel')  # the ONNX zoo's are converted from Caffe


def published(name: str, path: str) -> Origin | None:
  """Returns how published weights want their images; None: not known.

  By the kind of file and the network; a file of ours has a header of its own.
  """
  suffix = pathlib.Path(path).suffix
  if suffix in (*TORCH, '.safetensors'):
    return _TORCHVISION
  if suffix == '.h5':
    padded = (('padded_pool', True),) if name.startswith('resnet') else ()
    return Origin('bgr', _VGG_MEAN, (1.0,), padded)
  if suffix not in _CAFFE:
    return None
  mean = (123.0, 117.0, 104.0)
  if name.startswith('vgg'):
    mean = _VGG_MEAN
  if name.startswith('resnet') and suffix == '.caffemodel':
    mean = _RESNET_MEAN
  options = (('lrn', 'caffe'),) if 'googlenet' in name else ()
  return Origin('bgr', mean, (1.0,), options)


def of_caffe(layers: Sequence[str]) -> str:
  """Returns the network of which a file has these layers; '': not known.

  Args:
    layers: all of the file, in its order: AlexNet and CaffeNet differ in it.
  """
  known = set(layers)
  if 'inception_3a/1x1' in known:
    return 'bvlc_googlenet'
  if {'norm1', 'pool1', 'fc6'} <= known:
    norm_first = layers.index('norm1') < layers.index('pool1')
    return 'bvlc_alexnet' if norm_first else 'caffenet'
  return _of_depth(known, r'res(\d)[a-z]\d*_branch2a', 'conv{}_{}')


def of_keras(layers: Sequence[str]) -> str:
  """As `of_caffe`, by the names of keras.applications."""
  return _of_depth(set(layers), r'conv(\d)_block\d+_1_conv', 'block{}_conv{}')


def _of_depth(layers, block, vgg_layer):
  for name, last in (('vgg_e', 4), ('vgg_d', 3)):
    if vgg_layer.format(5, last) in layers:
      return name
  stages = [m[1] for m in (re.fullmatch(block, x) for x in layers) if m]
  counts = tuple(stages.count(stage) for stage in '2345')
  for depth, column in resnet.TABLE_1.items():
    if column.bottleneck and column.blocks == counts:
      return f'resnet{depth}'
  return ''


# Networks that have the same arrays.
_ALIKE = {'alexnet', 'alexnet_source', 'bvlc_alexnet', 'caffenet'}


def objection(
  name: str,
  suffix: str,
  arrays: Collection[str],
  right: str,
  options: Mapping[str, Any],
) -> str:
  """Returns why a network computes otherwise, though the arrays may fit.

  Args:
    name: of the zoo.
    suffix: of the file.
    arrays: their names in the file.
    right: the network that the file is of; '' where it does not tell.
    options: that are asked for.

  Returns:
    What comes after the file's name in a sentence; '' if nothing is wrong.
  """
  if 'googlenet' in name and any('inception3a.' in k for k in arrays):
    return (
      "is torchvision's GoogLeNet: it has 3x3 convolutions where the paper has "
      '5x5, and batch normalisation'
    )
  network = zoo.create(name, **options)
  if suffix in _CAFFE and getattr(network, 'lrn', '') == 'paper':
    return (
      "was trained with Caffe's response normalisation: its network is "
      f'bvlc_googlenet, not {name}'
    )
  if name != right and {name, right} <= _ALIKE:
    return (
      f'is of {right}, not {name}, whose response normalisation has another '
      'place or other constants'
    )
  if suffix not in ('.caffemodel', '.h5') or not hasattr(network, 'v1_5'):
    return ''
  if network.v1_5:
    return (
      f'is of {right or "another network"}, not {name}: blocks have their '
      'stride in the first convolution'
    )
  if network.padded_pool != (padded := suffix == '.h5'):
    return (
      f'is of a network whose pool1 has {"" if padded else "no "}padding: '
      f'{name} with padded_pool={padded} (config.model.padded_pool)'
    )
  return ''
