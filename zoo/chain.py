"""Networks that are one chain of layers: a table of rows, and what runs it.

AlexNet, ZFNet and VGG are such tables; each row has the paper's name.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from zoo import layers
from zoo.intermediates import asked, keep
from zoo.layers import Padding, pad


class Conv(NamedTuple):
  """A convolution, or a fully connected layer where `size` is the map's.

  `features` 0 stands for the number of classes. Weights start Gaussian with
  `std` (0: Glorot's), biases at `bias`.
  """

  name: str
  features: int
  size: int
  stride: int = 1
  padding: Padding = pad(0)
  groups: int = 1
  std: float = 0.01
  bias: float = 0.0


class MaxPool(NamedTuple):
  """Without padding; with `ceil` the last window may reach over the border."""

  name: str
  size: int = 3
  stride: int = 2
  ceil: bool = True


class AveragePool(NamedTuple):
  """Over windows of `size`, stride 1."""

  name: str
  size: int


class LRN(NamedTuple):
  """See `layers.local_response_norm`; `groups` as in `layers.LRN`."""

  name: str
  alpha: float = 1e-4
  k: float = 2.0
  groups: int = 1


class SameMapNorm(NamedTuple):
  """x / (k + alpha sum over size x size positions of its own map)^beta."""

  name: str
  size: int = 5
  alpha: float = 0.001 / 25
  beta: float = 0.75
  k: float = 1.0


RELU = 'relu'
DROPOUT = 'dropout'
Row = Conv | MaxPool | AveragePool | LRN | SameMapNorm | str


class Chain(nn.Module):
  """Images [N, H, W, 3] -> logits [N, num_classes]; see `rows`.

  Larger images give a map of scores [N, h, w, num_classes].

  Args:
    rows: the layers in order.
    smallest: side of the smallest image, for the error.
    num_classes: of the last row.
    dtype: of the computation.
    width: scales the channels of all layers but the last.
    dropout: fraction dropped at each DROPOUT.
    until: the last layer before the classifier, to see what the features of a
      layer are worth (ZFNet, Table 7); the classifier then sees all of its map.
      '': of the whole network.
  """

  rows: tuple[Row, ...]
  smallest: int
  num_classes: int = 1000
  dtype: DTypeLike = jnp.float32
  width: float = 1.0
  dropout: float = 0.5
  until: str = ''

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """See the class."""
    layers.check_size(images, self.smallest)
    x = images.astype(self.dtype)
    name, rows = '', self.rows
    if self.until:
      rows = _cut(rows, self.until)
    if train and not asked(self):
      rows = _pools_first(rows)
    for row, after in zip(rows, (*rows[1:], '')):
      if isinstance(row, Conv) and not row.size:
        row = row._replace(size=x.shape[1])
      if row == RELU:
        x = layers.ReLU()(x)
      elif row == DROPOUT:
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
      elif not isinstance(row, str):
        x, name = self._layer(row)(x), row.name
      if row != DROPOUT and after != RELU:
        x = keep(self, name, x)
    return layers.squeeze_map(x.astype(jnp.float32))

  def _layer(self, row):
    if isinstance(row, Conv):
      fields = row._asdict()
      std, bias = fields.pop('std'), fields.pop('bias')
      fields['features'] = self.num_classes
      if row.features:
        fields['features'] = layers.scaled(row.features, self.width)
      init = nn.initializers.glorot_normal()
      if std:
        init = nn.initializers.normal(std)
      return layers.Conv(
        **fields, kernel_init=init, bias_init=bias, dtype=self.dtype
      )
    kind = {
      MaxPool: layers.MaxPool,
      AveragePool: layers.AveragePool,
      LRN: layers.LRN,
      SameMapNorm: layers.SameMapNorm,
    }[type(row)]
    return kind(**row._asdict())


def _pools_first(rows):
  """Returns the rows with a ReLU behind the pool that follows it.

  The greatest of a window is the same, and so are the gradients: where it is
  not positive there are none. But there are four times fewer ReLUs, and no
  gradient of the large map reads which of its values were positive: on TPU a
  train step of VGG-16 moves 227 MB an image instead of 266, in 5.0 GB, not 6.5.
  """
  rows = list(rows)
  for i, after in enumerate(rows[1:]):
    if rows[i] == RELU and isinstance(after, MaxPool):
      rows[i : i + 2] = after, RELU
  return rows


def _cut(rows, until):
  """Returns the rows to a layer, and the classifier over all of its map."""
  classifier = max(i for i, r in enumerate(rows) if isinstance(r, Conv))
  layers_of = [getattr(row, 'name', '') for row in rows[:classifier]]
  if until not in layers_of:
    known = ', '.join(filter(None, layers_of))
    raise ValueError(f"until '{until}' is no layer before the last: {known}")
  end = layers_of.index(until) + 1
  end += rows[end] == RELU
  # Without padding, as the last one of every network has it.
  return (*rows[:end], rows[classifier]._replace(size=0, padding=pad(0)))
