"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition",
CVPR 2016, Sections 3.3 and 4, Table 1.

    resnet18/34/50/101/152            the paper's, as in its authors' files
    resnet18/34/50/101/152_v1_5       torchvision's: bottlenecks' stride in the
                                      3x3, shortcuts B, a padded pool1
    plain18/34                        without shortcuts
    resnet20/32/44/56/110/1202_cifar  Section 4.2, 32x32 images
    plain20/32/44/56_cifar

The first convolution of a block has the stride, 1x1 or 3x3; the pool after
conv1 has no padding and rounds up (KaimingHe/deep-residual-networks).
Shortcuts (Section 3.3): A, without parameters, for 18, 34 and CIFAR; B,
projections where the shape changes, for 50, 101, 152; C, nothing else.

Differs from the paper in:
  - Running statistics of batch normalisation are moving averages; the authors
    recomputed them over many images after training.
  - The classifier starts uniform within 1 / sqrt(fan-in): the paper is silent.
"""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from zoo import layers, tpu_forms
from zoo.batch_norm import KEPT, BatchNorm, Normalised, normalise
from zoo.intermediates import asked, keep
from zoo.layers import AveragePool, Conv, MaxPool, pad, scaled


class Depth(NamedTuple):
  """A column of Table 1: blocks of conv2_x to conv5_x."""

  blocks: tuple[int, ...]
  bottleneck: bool


TABLE_1 = {
  18: Depth((2, 2, 2, 2), False),
  34: Depth((3, 4, 6, 3), False),
  50: Depth((3, 4, 6, 3), True),
  101: Depth((3, 4, 23, 3), True),
  152: Depth((3, 8, 36, 3), True),
}
CHANNELS = (64, 128, 256, 512)
CIFAR_CHANNELS = (16, 32, 64)  # Section 4.2: 6n + 2 layers, n blocks a stage

IMAGENET = (
  *(f'resnet{depth}' for depth in TABLE_1),
  *(f'resnet{depth}_v1_5' for depth in TABLE_1),
  'plain18',
  'plain34',
)
CIFAR = (
  *(f'resnet{depth}_cifar' for depth in (20, 32, 44, 56, 110, 1202)),
  *(f'plain{depth}_cifar' for depth in (20, 32, 44, 56)),
)


class Pool(NamedTuple):
  """A max pool, as `layers.max_pool` takes it."""

  size: int
  stride: int
  padding: layers.Padding
  ceil: bool


class ConvNorm(layers.Layer):
  """Convolution without bias, then batch normalisation (Section 3.4).

  With `fused`, in training on TPU, in the forms of `tpu_forms`.
  """

  features: int
  size: int
  stride: int
  group: int
  dtype: DTypeLike
  fused: bool = False

  @nn.compact
  def __call__(
    self, x: jax.Array, train: bool, pool: Pool | None = None
  ) -> jax.Array:
    """[N, H, W, I] -> [N, H', W', features]; with `pool`, pooled after ReLU."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', layers.he_normal, shape, jnp.float32)
    norm = BatchNorm(self.group, dtype=self.dtype, name='bn')
    fused = pool or (
      self.size == 1
      and tpu_forms.spares(x.shape[-1], self.features, self.group)
    )
    if self.fused and fused and norm.moves(train):
      form = functools.partial(self._fused, pool)
      return norm(x, train, kernel, form)
    return self._pooled(norm(self._conv(x, kernel), train), pool)

  def _conv(self, x, kernel):
    kernel = kernel.astype(self.dtype)
    return layers.conv2d(x, kernel, self.stride, pad(self.size // 2))

  def _pooled(self, x, pool):
    return x if pool is None else layers.max_pool(nn.relu(x), *pool)

  def _fused(self, pool, x, kernel, scale, offset, group, epsilon):
    """Returns what `normalise` does, of the convolution."""

    def default(x, kernel, scale, offset):
      y = self._conv(x, kernel)
      y, *moments = normalise(y, scale, offset, group, epsilon)
      return Normalised(self._pooled(y.astype(self.dtype), pool), *moments)

    def moments(x, kernel, scale, offset):
      return tpu_forms.conv_norm(
        x, kernel.astype(self.dtype), scale, offset, self.stride, group, epsilon
      )

    def pools(x, kernel, scale, offset):
      y = self._conv(x, kernel * tpu_forms.signs(scale))
      y, *moments = tpu_forms.pooled_norm(
        y, scale, offset, lambda y: layers.max_pool(y, *pool), group, epsilon
      )
      return Normalised(tpu_forms.relu(y), *moments)

    tpu = pools if pool else moments
    return lax.platform_dependent(
      x, kernel, scale, offset, tpu=tpu, default=default
    )


class Block(nn.Module):
  """A building block: Figure 2, or Figure 5 right with `bottleneck`.

  Args:
    channels: of the inner convolutions; a bottleneck ends in four times these.
    stride: of the block.
    bottleneck: 1x1, 3x3, 1x1 instead of 3x3, 3x3.
    stride_at: which convolution has it, 0 the first.
    shortcut: 'A', 'B', 'C', or 'none' for a plain net.
    group: of batch normalisation.
    dtype: of the computation.
    fused: see `ResNet.fused_norm`.
  """

  channels: int
  stride: int
  bottleneck: bool
  stride_at: int
  shortcut: str
  group: int
  dtype: DTypeLike
  fused: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """[N, H, W, I] -> [N, H / stride, W / stride, channels (x 4)]."""
    sizes = (1, 3, 1) if self.bottleneck else (3, 3)
    outs = self.channels * (4 if self.bottleneck else 1)
    relu = tpu_forms.relu if self.fused and train else nn.relu
    y = x
    for i, size in enumerate(sizes):
      last = i == len(sizes) - 1
      features = outs if last else self.channels
      stride = self.stride if i == self.stride_at else 1
      y = self._conv('abc'[i], features, size, stride)(y, train)
      if not last:
        y = relu(y)
    return relu(y + self._shortcut(x, outs, train))

  def _conv(self, name, features, size, stride):
    return ConvNorm(
      features, size, stride, self.group, self.dtype, self.fused, name=name
    )

  def _shortcut(self, x, outs, train):
    if self.shortcut == 'none':
      return jnp.zeros((), x.dtype)
    changes = self.stride != 1 or x.shape[-1] != outs
    if self.shortcut == 'C' or (self.shortcut == 'B' and changes):
      return self._conv('proj', outs, 1, self.stride)(x, train)
    x = x[:, :: self.stride, :: self.stride]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, outs - x.shape[-1])))


class ResNet(nn.Module):
  """Images [N, H, W, 3] -> logits [N, num_classes].

  Larger images give a map of scores [N, h, w, num_classes].

  Args:
    blocks: of each stage.
    bottleneck: kind of block.
    cifar: the stem and the stages of Section 4.2.
    v1_5: stride in the 3x3 convolution of a bottleneck.
    num_classes: of the classifier.
    dtype: of the computation; batch statistics are float32.
    width: scales the channels of all layers.
    shortcut: 'A', 'B', 'C', or 'none'.
    padded_pool: pool1 has padding 1 and rounds down, as torchvision's and
      Keras's, instead of none and up; both give 56x56.
    bn_group: images that share batch statistics: 32 in the authors' training,
      a GPU's share of 256.
    fused_norm: in training on TPU, normalisation is part of what stands before
      or behind it, which moves fewer bytes: `tpu_forms`. The same to rounding.
    scan: compiles the equal blocks of a stage once, as a loop. Variables are
      the same. Convolutions in a loop are slow on CPU.
  """

  blocks: tuple[int, ...]
  bottleneck: bool = False
  cifar: bool = False
  v1_5: bool = False
  num_classes: int = 1000
  dtype: DTypeLike = jnp.float32
  width: float = 1.0
  shortcut: str = 'A'
  padded_pool: bool = False
  bn_group: int = 32
  fused_norm: bool = True
  scan: bool = False

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """See the class."""
    if self.shortcut not in ('A', 'B', 'C', 'none'):
      raise ValueError(f"shortcut is A, B, C or none, not '{self.shortcut}'")
    layers.check_size(images, 1 if self.cifar or self.padded_pool else 3)
    channels = CIFAR_CHANNELS if self.cifar else CHANNELS
    x = self._stem(images.astype(self.dtype), channels[0], train)
    for stage, count in enumerate(self.blocks):
      stride = 2 if stage else 1
      block = functools.partial(
        Block,
        channels=scaled(channels[stage], self.width),
        bottleneck=self.bottleneck,
        stride_at=1 if self.v1_5 and self.bottleneck else 0,
        shortcut=self.shortcut,
        group=self.bn_group,
        dtype=self.dtype,
        fused=self.fused_norm and not self.scan,
      )
      name = f's{stage + 1}' if self.cifar else f'conv{stage + 2}'
      names = [f'{name}_{i + 1}' for i in range(count)]
      x = keep(self, names[0], block(stride=stride, name=names[0])(x, train))
      if self.scan and not self.is_initializing():
        x = self._scan(block(stride=1, parent=None), names[1:], x, train)
        continue
      for name in names[1:]:
        x = keep(self, name, block(stride=1, name=name)(x, train))
    x = AveragePool(8 if self.cifar else 7, name='avgpool')(x)
    x = keep(self, 'avgpool', x)
    init = layers.uniform_within(1 / math.sqrt(x.shape[-1]))
    fc = Conv(
      self.num_classes, 1, kernel_init=init, dtype=self.dtype, name='fc'
    )
    x = keep(self, 'fc', fc(x).astype(jnp.float32))
    return layers.squeeze_map(x)

  def _stem(self, x, channels, train):
    """Returns what the first block reads."""
    size, stride = (3, 1) if self.cifar else (7, 2)
    conv1 = ConvNorm(
      scaled(channels, self.width),
      size,
      stride,
      self.bn_group,
      self.dtype,
      self.fused_norm,
      name='conv1',
    )
    pool = Pool(3, 2, pad(int(self.padded_pool)), not self.padded_pool)
    if self.fused_norm and train and not (self.cifar or asked(self)):
      return conv1(x, train, pool)
    x = keep(self, 'conv1', nn.relu(conv1(x, train)))
    if self.cifar:
      return x
    return keep(self, 'pool1', MaxPool(*pool, name='pool1')(x))

  def _scan(self, block, names, x, train):
    """Runs equal blocks as one loop over their variables, stacked.

    A loop keeps for its gradient whatever the gradient reads, in float32 where
    that is read: the compiler cannot recompute across it, as it does between
    blocks in a row. So it is said what to keep.
    """
    held = {k: v for k, v in self.variables.items() if names[0] in v}
    stacked = {
      kind: jax.tree.map(lambda *a: jnp.stack(a), *(of[n] for n in names))
      for kind, of in held.items()
    }
    changes = ['batch_stats'] if train else []

    kept = jax.checkpoint_policies.save_only_these_names(KEPT)

    @functools.partial(jax.checkpoint, policy=kept, prevent_cse=False)
    def body(x, variables):
      return block.apply(variables, x, train, mutable=changes)

    x, new = lax.scan(body, x, stacked)
    for i, name in enumerate(names):
      for kind, of in new.items():
        self.put_variable(kind, name, jax.tree.map(lambda a: a[i], of))  # noqa: B023
    return x


def create(name: str, **fields) -> ResNet:
  """Returns one of the networks above; `fields` are those of `ResNet`."""
  kind, _, suffix = name.partition('_')
  plain = kind.startswith('plain')
  depth = int(kind.removeprefix('plain').removeprefix('resnet'))
  if suffix == 'cifar':
    fixed: dict[str, Any] = {'blocks': ((depth - 2) // 6,) * 3, 'cifar': True}
    default, group = 'A', 64  # Section 4.2: 128 images on two GPUs
  else:
    column = TABLE_1[depth]
    fixed = {**column._asdict(), 'v1_5': suffix == 'v1_5'}
    projections = column.bottleneck or suffix == 'v1_5'
    default, group = 'B' if projections else 'A', 32
  if plain and fields.get('shortcut', 'none') != 'none':
    raise ValueError(
      f"shortcut is '{fields['shortcut']}': {name} is the network without; "
      f'with them it is resnet{depth}'
    )
  options: dict[str, Any] = {
    'shortcut': 'none' if plain else default,
    'bn_group': group,
    'padded_pool': suffix == 'v1_5',
    'scan': depth == 1202,  # unrolled, drawing it alone compiled 225 s
  }
  return ResNet(**fixed, **(options | fields))
