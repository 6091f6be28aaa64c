"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015,
Sections 4 and 5, Table 1, Figures 2 and 3.

    googlenet        22 layers, two auxiliary heads in training
    bvlc_googlenet   Caffe's (models/bvlc_googlenet): its response normalisation
    googlenet_naive  the modules of Figure 2a (no reductions), for comparison

In training the auxiliary heads' logits are sown into the collection
'aux_logits' as 'aux1' and 'aux2'; `apply(..., mutable=['aux_logits'])` returns
them. Section 5: their losses count 0.3 each. They do nothing in evaluation.
With them an image in training has at least 209 pixels a side, without 31.

Differs from the paper in:
  - Initial values are Caffe's (models/bvlc_googlenet): the paper gives none.
  - The constants of the response normalisation are those of AlexNet's formula:
    the paper names none.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from zoo import layers
from zoo.intermediates import asked, keep
from zoo.layers import AveragePool, Conv, MaxPool, pad, scaled


class Module(NamedTuple):
  """A row of Table 1, its columns in their order."""

  c1x1: int
  reduce3x3: int
  c3x3: int
  reduce5x5: int
  c5x5: int
  pool_proj: int


TABLE_1 = {
  '3a': Module(64, 96, 128, 16, 32, 32),
  '3b': Module(128, 128, 192, 32, 96, 64),
  '4a': Module(192, 96, 208, 16, 48, 64),
  '4b': Module(160, 112, 224, 24, 64, 64),
  '4c': Module(128, 128, 256, 24, 64, 64),
  '4d': Module(112, 144, 288, 32, 64, 64),
  '4e': Module(256, 160, 320, 32, 128, 128),
  '5a': Module(256, 160, 320, 32, 128, 128),
  '5b': Module(384, 192, 384, 48, 128, 128),
}
POOL_AFTER = {'3b': 'pool3', '4e': 'pool4'}
AUX_AFTER = {'4a': 'aux1', '4d': 'aux2'}
_LRN: dict[str, dict[str, Any]] = {
  'paper': {'alpha': 1e-4, 'k': 2.0},
  'caffe': {'alpha': 1e-4 / 5, 'k': 1.0},
}


def xavier(key, shape, dtype=jnp.float32):
  """Caffe's "xavier": uniform within sqrt(3 / fan-in)."""
  bound = math.sqrt(3 / math.prod(shape[:-1]))
  return jax.random.uniform(key, shape, dtype, -bound, bound)


class GoogLeNet(nn.Module):
  """Images [N, H, W, 3] -> logits [N, num_classes].

  Larger images give a map of scores [N, h, w, num_classes].

  Args:
    num_classes: of all heads.
    dtype: of the computation.
    width: scales all channels.
    dropout: before the classifier, Table 1.
    aux_dropout: in the auxiliary heads, Section 5.
    aux_heads: False leaves them out, for small images.
    lrn: 'paper' or 'caffe', constants of the response normalisation.
    naive: the modules of Figure 2a.
  """

  num_classes: int = 1000
  dtype: DTypeLike = jnp.float32
  width: float = 1.0
  dropout: float = 0.4
  aux_dropout: float = 0.7
  aux_heads: bool = True
  lrn: str = 'paper'
  naive: bool = False

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """See the class."""
    layers.check_size(images, 31)
    if train and self.aux_heads:
      layers.check_size(images, 209, 'to train; 31 with aux_heads=False')
    if self.lrn not in _LRN:
      raise ValueError(f"lrn is one of {', '.join(_LRN)}, not '{self.lrn}'")
    norm = _LRN[self.lrn]
    x = images.astype(self.dtype)
    # As in `chain`: a quarter of the ReLUs, the same values.
    late = train and not asked(self)
    x = self._conv(x, 'conv1', 64, 7, 2, pad(3), relu=not late)
    x = MaxPool(3, 2, ceil=True, name='pool1')(x)
    x = keep(self, 'pool1', layers.ReLU()(x) if late else x)
    x = keep(self, 'norm1', layers.LRN(**norm, name='norm1')(x))
    x = self._conv(x, 'conv2_reduce', 64)
    x = self._conv(x, 'conv2', 192, 3, 1, pad(1))
    x = keep(self, 'norm2', layers.LRN(**norm, name='norm2')(x))
    x = keep(self, 'pool2', MaxPool(3, 2, ceil=True, name='pool2')(x))
    for name, row in TABLE_1.items():
      x = self._inception(x, f'inception_{name}', row)
      if pool := POOL_AFTER.get(name):
        x = keep(self, pool, MaxPool(3, 2, ceil=True, name=pool)(x))
      heads = self.aux_heads and (train or self.is_initializing())
      if heads and name in AUX_AFTER:
        self._auxiliary(x, AUX_AFTER[name], train)
    x = keep(self, 'avgpool', AveragePool(7, name='avgpool')(x))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return self._classifier(x, 'classifier')

  def _conv(
    self,
    x,
    name,
    features,
    size=1,
    stride=1,
    padding=pad(0),  # noqa: B008
    relu=True,
  ):
    conv = Conv(
      scaled(features, self.width), size, stride, padding,
      kernel_init=xavier, bias_init=0.2, dtype=self.dtype, name=name,
    )  # fmt: skip
    x = conv(x)
    return keep(self, name, layers.ReLU()(x) if relu else x)

  def _inception(self, x, name, row):
    pooled = MaxPool(3, 1, pad(1), name=f'{name}_pool')(x)
    if self.naive:  # Figure 2a
      branches = [
        self._conv(x, f'{name}_1x1', row.c1x1),
        self._conv(x, f'{name}_3x3', row.c3x3, 3, 1, pad(1)),
        self._conv(x, f'{name}_5x5', row.c5x5, 5, 1, pad(2)),
        pooled,
      ]
    else:  # Figure 2b
      reduced3 = self._conv(x, f'{name}_3x3_reduce', row.reduce3x3)
      reduced5 = self._conv(x, f'{name}_5x5_reduce', row.reduce5x5)
      branches = [
        self._conv(x, f'{name}_1x1', row.c1x1),
        self._conv(reduced3, f'{name}_3x3', row.c3x3, 3, 1, pad(1)),
        self._conv(reduced5, f'{name}_5x5', row.c5x5, 5, 1, pad(2)),
        self._conv(pooled, f'{name}_pool_proj', row.pool_proj),
      ]
    return keep(self, name, jnp.concatenate(branches, axis=-1))

  def _auxiliary(self, x, name, train):
    if min(x.shape[1:3]) < 14:  # an image that is too small for the heads
      return
    x = AveragePool(5, 3, name=f'{name}_avgpool')(x)
    x = self._conv(x, f'{name}_conv', 128)
    x = self._conv(x, f'{name}_fc', 1024, 4)
    x = nn.Dropout(self.aux_dropout, deterministic=not train)(x)
    self.sow('aux_logits', name, self._classifier(x, f'{name}_classifier'))

  def _classifier(self, x, name):
    fc = Conv(
      self.num_classes, 1, kernel_init=xavier, dtype=self.dtype, name=name
    )
    x = keep(self, name, fc(x).astype(jnp.float32))
    return layers.squeeze_map(x)


def create(name: str, **fields) -> GoogLeNet:
  """Returns one of the networks above; `fields` are those of `GoogLeNet`."""
  lrn = 'caffe' if name == 'bvlc_googlenet' else 'paper'
  return GoogLeNet(naive=name == 'googlenet_naive', **{'lrn': lrn, **fields})
