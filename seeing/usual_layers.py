"""Which layers a figure is of where nobody names one."""

import re
from collections.abc import Mapping

# Names of layers that pool or normalise, of all networks of the zoo.
_NO_CONVOLUTION = re.compile(r'(avg)?pool\d*$|norm\d*$|S\d$')


def last_convolution(shapes: Mapping[str, tuple[int, ...]]) -> str:
  """Returns the last layer of maps that is no pool: conv5 of ZFNet, LeNet's C3.

  Of GoogLeNet the last module, of ResNet the last block.

  Args:
    shapes: (h, w, channels) by layer, from `zoo.layer_shapes`.

  Raises:
    ValueError: the network has no maps.
  """
  for name, (height, width, _) in reversed(list(shapes.items())):
    if height * width > 1 and not _NO_CONVOLUTION.match(name):
      return name
  raise ValueError('no layer has maps of more than one position')


def first_and_last(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str]:
  """Returns the first hidden layer and the one before the classifier.

  Raises:
    ValueError: the network has fewer than two hidden layers.
  """
  hidden = list(shapes)[:-1]
  if len(hidden) < 2:
    raise ValueError('fewer than two hidden layers')
  return hidden[0], hidden[-1]
