"""ZFNet: Zeiler & Fergus, "Visualizing and Understanding Convolutional
Networks", ECCV 2014, Section 3, Figure 3.

    zfnet       the paper: 384, 384, 256 filters in layers 3 to 5
    zfnet_wide  Table 3's last rows: 512, 1024, 512
    zfnet512    the ONNX model zoo's: 512, 512, 512 filters, 1024 units in
                layer 7, no padding before layer 3

Figure 3's 110x110 maps of a 224 image fit by cuda-convnet's rule: sizes round
up, one zero is read beyond the right and bottom border.

Differs from the paper in:
  - "Contrast normalised" in Figure 3 has no constants: taken to be AlexNet's
    response normalisation, across all maps.
  - "All weights initialised to 1e-2" cannot break symmetry: read as a Gaussian
    of that deviation.
"""

from zoo.chain import DROPOUT, LRN, RELU, Chain, Conv, MaxPool, Row
from zoo.layers import pad


def _head(conv3, conv4, conv5, pool5=MaxPool('pool5'), fc7=4096):  # noqa: B008
  return (
    Conv('conv3', conv3, 3, 1, pad(1)), RELU,
    Conv('conv4', conv4, 3, 1, pad(1)), RELU,
    Conv('conv5', conv5, 3, 1, pad(1)), RELU,
    pool5,
    Conv('fc6', 4096, 6), RELU, DROPOUT,
    Conv('fc7', fc7, 1), RELU, DROPOUT,
    Conv('fc8', 0, 1),
  )  # fmt: skip


_LAYERS_1_AND_2: tuple[Row, ...] = (
  Conv('conv1', 96, 7, 2, pad(0, 1)), RELU,
  MaxPool('pool1'),
  LRN('norm1'),
  Conv('conv2', 256, 5, 2), RELU,
  MaxPool('pool2'),
  LRN('norm2'),
)  # fmt: skip

ZFNET = _LAYERS_1_AND_2 + _head(384, 384, 256)
ZFNET_WIDE = _LAYERS_1_AND_2 + _head(512, 1024, 512)
ZFNET512: tuple[Row, ...] = (
  Conv('conv1', 96, 7, 2), RELU,
  LRN('norm1', alpha=5e-4 / 5),
  MaxPool('pool1', ceil=False),
  Conv('conv2', 256, 5, 2), RELU,
  LRN('norm2', alpha=5e-4 / 5),
  MaxPool('pool2', ceil=False),
  *_head(512, 512, 512, MaxPool('pool5', 2, 2), fc7=1024),
)  # fmt: skip

_TABLES = {  # rows, smallest image
  'zfnet': (ZFNET, 208),
  'zfnet_wide': (ZFNET_WIDE, 208),
  'zfnet512': (ZFNET512, 203),
}


def create(name: str, **fields) -> Chain:
  """Returns one of the networks above; `fields` are those of `Chain`."""
  rows, smallest = _TABLES[name]
  return Chain(rows, smallest, **fields)
