"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012, Section 3, Figure 2.

    alexnet         the paper: two towers (groups), LRN inside a tower, 224
    alexnet_source  the net behind the paper's error rates by its source code
                    (github.com/computerhistory/AlexNet-Source-Code, layers-145)
    alexnet_merged  one tower, pool before norm, 227 input: CS231n's list
    bvlc_alexnet    Caffe's (models/bvlc_alexnet)
    caffenet        Caffe's (models/bvlc_reference_caffenet): pool before norm
    alexnet_owt     "One weird trick" (Krizhevsky 2014), torchvision's `alexnet`

head='fc' is the paper's; head='gap' averages the last 6x6 maps, or what a
smaller image leaves of them, before the fully connected layers, as for VGG.
initializer='glorot' replaces the deviations of the rows, which suit the paper's
width only: at a quarter of it the scores of two images differ by 1e-5.

The paper's 224 input and 55x55 maps fit by cuda-convnet's rule: sizes round up,
zeros are read beyond the border, here 3 on the right and bottom.

Differs from the paper in:
  - The towers are the two halves of the channels of one network.
  - Dropout scales in training what the paper scales in testing.
The norm within a map of `alexnet_source` adds 1: the parser of cuda-convnet has
a minDiv, 2, for the norm across maps only.
"""

from typing import Any

from zoo.chain import (
  DROPOUT,
  LRN,
  RELU,
  AveragePool,
  Chain,
  Conv,
  MaxPool,
  Row,
  SameMapNorm,
)
from zoo.layers import pad

# Section 3.3 as printed; the source code divides alpha by the size of the
# window, and so does Caffe (lrn_layer.cpp), with another k.
_NORM: dict[str, Any] = {'alpha': 1e-4, 'k': 2.0}
_SOURCE_NORM: dict[str, Any] = {'alpha': 1e-4 / 5, 'k': 2.0}
_CAFFE_NORM: dict[str, Any] = {'alpha': 1e-4 / 5, 'k': 1.0}


def _head(std=0.01, bias=1.0, conv_std=0.01, conv_bias=1.0, groups=1):
  """Layers 3 to 8; Section 5: biases 1 in conv4, conv5 and the hidden FC."""
  conv = {'padding': pad(1), 'std': conv_std}
  grouped = {**conv, 'groups': groups, 'bias': conv_bias}
  return (
    Conv('conv3', 384, 3, **conv), RELU,
    Conv('conv4', 384, 3, **grouped), RELU,
    Conv('conv5', 256, 3, **grouped), RELU,
    MaxPool('pool5'),
    Conv('fc6', 4096, 6, std=std, bias=bias), RELU, DROPOUT,
    Conv('fc7', 4096, 1, std=std, bias=bias), RELU, DROPOUT,
    Conv('fc8', 0, 1),
  )  # fmt: skip


ALEXNET: tuple[Row, ...] = (
  Conv('conv1', 96, 11, 4, pad(0, 3)), RELU,
  LRN('norm1', groups=2, **_NORM),
  MaxPool('pool1'),
  Conv('conv2', 256, 5, 1, pad(2), groups=2, bias=1), RELU,
  LRN('norm2', groups=2, **_NORM),
  MaxPool('pool2'),
  *_head(groups=2),
)  # fmt: skip

ALEXNET_SOURCE: tuple[Row, ...] = (
  Conv('conv1', 96, 11, 4, pad(0, 3)),
  LRN('norm1', groups=2, **_SOURCE_NORM),
  MaxPool('pool1'), RELU,
  Conv('conv2', 256, 5, 1, pad(2), groups=2, bias=1), RELU,
  LRN('norm2', groups=2, **_SOURCE_NORM),
  SameMapNorm('norm2_map'),
  MaxPool('pool2'),
  *_head(groups=2, conv_std=0.03),
)  # fmt: skip

ALEXNET_MERGED: tuple[Row, ...] = (
  Conv('conv1', 96, 11, 4), RELU,
  MaxPool('pool1'),
  LRN('norm1', **_NORM),
  Conv('conv2', 256, 5, 1, pad(2), bias=1), RELU,
  MaxPool('pool2'),
  LRN('norm2', **_NORM),
  *_head(),
)  # fmt: skip

BVLC_ALEXNET: tuple[Row, ...] = (
  Conv('conv1', 96, 11, 4), RELU,
  LRN('norm1', **_CAFFE_NORM),
  MaxPool('pool1'),
  Conv('conv2', 256, 5, 1, pad(2), groups=2, bias=0.1), RELU,
  LRN('norm2', **_CAFFE_NORM),
  MaxPool('pool2'),
  *_head(std=0.005, bias=0.1, conv_bias=0.1, groups=2),
)  # fmt: skip

CAFFENET: tuple[Row, ...] = (
  Conv('conv1', 96, 11, 4), RELU,
  MaxPool('pool1'),
  LRN('norm1', **_CAFFE_NORM),
  Conv('conv2', 256, 5, 1, pad(2), groups=2, bias=1), RELU,
  MaxPool('pool2'),
  LRN('norm2', **_CAFFE_NORM),
  *_head(std=0.005, groups=2),
)  # fmt: skip

# Initial values as in cuda-convnet2, layers-imagenet-1gpu.cfg, but for the bias
# of the classifier, -7 for all classes there, which a softmax does not see.
# That file has two norms; torchvision's net, this one, has none.
ALEXNET_OWT: tuple[Row, ...] = (
  Conv('conv1', 64, 11, 4, pad(2)), RELU,
  MaxPool('pool1', ceil=False),
  Conv('conv2', 192, 5, 1, pad(2), bias=1), RELU,
  MaxPool('pool2', ceil=False),
  Conv('conv3', 384, 3, 1, pad(1), std=0.03), RELU,
  Conv('conv4', 256, 3, 1, pad(1), std=0.03, bias=1), RELU,
  Conv('conv5', 256, 3, 1, pad(1), std=0.03, bias=1), RELU,
  MaxPool('pool5', ceil=False), DROPOUT,
  Conv('fc6', 4096, 6, bias=1), RELU, DROPOUT,
  Conv('fc7', 4096, 1, bias=1), RELU,
  Conv('fc8', 0, 1),
)  # fmt: skip

_TABLES = {  # rows, smallest image, the same with head='gap'
  'alexnet': (ALEXNET, 196, 36),
  'alexnet_source': (ALEXNET_SOURCE, 196, 36),
  'alexnet_merged': (ALEXNET_MERGED, 199, 39),
  'bvlc_alexnet': (BVLC_ALEXNET, 199, 39),
  'caffenet': (CAFFENET, 199, 39),
  'alexnet_owt': (ALEXNET_OWT, 223, 63),
}


def create(
  name: str, head: str = 'fc', initializer: str = 'paper', **fields
) -> Chain:
  """Returns one of the networks above; `fields` are those of `Chain`.

  Raises:
    ValueError: unknown head or initializer.
  """
  for option, value, known in (
    ('head', head, ('fc', 'gap')),
    ('initializer', initializer, ('paper', 'glorot')),
  ):
    if value not in known:
      raise ValueError(f"{option} is one of {', '.join(known)}, not '{value}'")
  table, smallest, smallest_averaged = _TABLES[name]
  rows: list[Row] = []
  for row in table:
    if isinstance(row, Conv) and initializer == 'glorot':
      row = row._replace(std=0.0)
    if isinstance(row, Conv) and row.name == 'fc6' and head == 'gap':
      rows.append(AveragePool('avgpool', row.size))
      row, smallest = row._replace(size=1), smallest_averaged
    rows.append(row)
  return Chain(tuple(rows), smallest, **fields)
