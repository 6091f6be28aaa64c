"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to
Document Recognition", Proc. IEEE 86(11), 1998, Section II-B, Figure 2.

`LeNet5` is the paper's network, 60,000 trainable parameters:

    layer            output    parameters
    C1 5x5           28x28x6          156
    S2 subsampling   14x14x6           12
    C3 5x5, sparse   10x10x16       1,516   (Table I)
    S4 subsampling   5x5x16            32
    C5 5x5           1x1x120       48,120
    F6               84            10,164
    output RBF       10                 0   (840 fixed codes)

`LeNet5Modern` is what most tutorials call LeNet-5: dense C3, plain pooling, a
trained linear output, 61,706 parameters.

Differs from the paper in:
  - The output is minus the penalty of eq. (7), so that the largest wins as in
    every other network here; the loss turns the sign back.
  - The paper's Figure 3 (the codes) was read from one public transcription;
    single pixels of the bitmaps may differ from the print.
  - First values that the paper does not state: by default the range of the
    subsampling coefficients takes a fan-in of 4, and biases start in the range
    of their unit's weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from zoo import layers
from zoo.intermediates import keep

# Table I: row = map of S2, column = map of C3, X = connected.
TABLE_I = (
  'X...XXX..XXXX.XX',
  'XX...XXX..XXXX.X',
  'XXX...XXX..X.XXX',
  '.XXX..XXXX..X.XX',
  '..XXX..XXXX.XX.X',
  '...XXX..XXXX.XXX',
)
_CONNECTED = np.array([[cell == 'X' for cell in row] for row in TABLE_I])
# The 60 connected pairs, numbered column by column; 60 stands for "none".
_PAIR = np.full(_CONNECTED.shape, _CONNECTED.sum())
_PAIR.T[_CONNECTED.T] = np.arange(_CONNECTED.sum())
_FAN_IN = 25 * _CONNECTED.sum(0)  # of a unit in each C3 map: 75, 100 or 150
_FAN_IN_OF_PAIR = np.repeat(_FAN_IN, _CONNECTED.sum(0))

# Figure 3: the stylised 7x12 bitmaps of the digits, ink +1, paper -1.
_FIGURE_3 = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def codes() -> np.ndarray:
  """Returns the fixed centres of the output units, float32 [10, 84] of +-1."""
  rows = [line.split() for line in _FIGURE_3.split('\n') if line]
  digits = [''.join(row[d] for row in rows) for d in range(10)]
  return np.array([[1.0 if c == '#' else -1.0 for c in d] for d in digits], 'f')


def squash(a: jax.Array) -> jax.Array:
  """Appendix A: f(a) = A tanh(S a) with A = 1.7159, S = 2/3; f(+-1) = +-1."""
  return 1.7159 * jnp.tanh(2 / 3 * a)


def squash_derivative(a: jax.Array) -> jax.Array:
  """f'(a) of `squash`."""
  return 1.7159 * 2 / 3 * (1 - jnp.square(jnp.tanh(2 / 3 * a)))


def subsample(x: jax.Array, coefficient: jax.Array) -> jax.Array:
  """Section II-B: four inputs are added, then multiplied by a coefficient."""
  return layers.sum_pool_2x2(x) * coefficient


def convolve_table_i(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """C3: [N, H, W, 6] with the kernels of the 60 connected pairs [5, 5, 60]."""
  absent = jnp.zeros((*kernel.shape[:2], 1), kernel.dtype)
  dense = jnp.concatenate([kernel, absent], axis=-1)[:, :, _PAIR]
  return layers.conv2d(x, dense)


class Layer(NamedTuple):
  """A row of Figure 2: squash(op(x, kernel) + bias)."""

  name: str
  op: Callable[[jax.Array, jax.Array], jax.Array]  # linear in both
  kernel: tuple[int, ...]
  outputs: int  # maps, with a bias each
  fan_in: np.ndarray | int  # of the unit, for the initial range
  bias_fan_in: np.ndarray | int


LAYERS = (
  Layer('C1', layers.conv2d, (5, 5, 1, 6), 6, 25, 25),
  Layer('S2', subsample, (6,), 6, 4, 4),
  Layer('C3', convolve_table_i, (5, 5, 60), 16, _FAN_IN_OF_PAIR, _FAN_IN),
  Layer('S4', subsample, (16,), 16, 4, 4),
  Layer('C5', layers.conv2d, (5, 5, 16, 120), 120, 400, 400),
  Layer('F6', layers.conv2d, (1, 1, 120, 84), 84, 120, 120),
)


class Start(NamedTuple):
  """First values of the parameters; see `LeNet5`."""

  range: float
  exponent: float
  bias: bool
  coefficient: float

  def uniform(self, fan_in):
    """Returns the initialiser of weights of units with that fan-in."""
    return layers.uniform_within(self.range / fan_in**self.exponent)


class _Affine(layers.Layer):
  layer: Layer
  start: Start
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x):
    row, start = self.layer, self.start
    kernel_init = start.uniform(row.fan_in)
    if row.op is subsample and start.coefficient:
      kernel_init = nn.initializers.constant(start.coefficient)
    bias_init = nn.initializers.zeros
    if start.bias:
      bias_init = start.uniform(row.bias_fan_in)
    kernel = self.param('kernel', kernel_init, row.kernel, jnp.float32)
    bias = self.param('bias', bias_init, (row.outputs,), jnp.float32)
    kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
    return row.op(x, kernel) + bias


def penalties(f6: jax.Array) -> jax.Array:
  """Eq. (7): y_i = sum_j (x_j - w_ij)^2, [..., 84] -> float32 [..., 10]."""
  x = f6.astype(jnp.float32)[..., None, :]
  return jnp.square(x - codes()).sum(-1)


class _RBF(layers.Layer):
  fixed_weights = 840  # connections to the codes, which are not parameters

  def __call__(self, x):
    return penalties(x)


class LeNet5(nn.Module):
  """The paper's network: images [N, 32, 32, 1] -> minus penalties [N, 10].

  Pixels are expected at -0.1 for background and 1.175 for ink (Section II-B).
  Larger images (sides 32 + 4k) give a map of scores [N, k + 1, k + 1, 10].

  Args:
    init_range: weights start uniform within +-range / fan-in^exponent. 2.4 and
      1 are Appendix A's; 1 and 0.5 those of EBLearn, the library of LeCun's
      group (see docs/lenet5.md).
    init_exponent: see there.
    init_bias: biases start in the range of their unit's weights; False: at 0,
      as in EBLearn.
    init_coefficient: at which the coefficients of S2 and S4 start, 0.5 in
      EBLearn; 0: in the range of a fan-in of 4.
  """

  num_classes: int = 10
  dtype: DTypeLike = jnp.float32
  init_exponent: float = 1.0
  init_range: float = 2.4
  init_bias: bool = True
  init_coefficient: float = 0.0

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """See the class."""
    del train  # nothing here behaves differently in training
    if self.num_classes != 10:
      raise ValueError(
        f"lenet5 has the paper's ten output codes, not {self.num_classes}: "
        "use 'lenet5_modern' for other numbers of classes"
      )
    _check_input('lenet5', images, channels=1)
    start = Start(
      self.init_range, self.init_exponent, self.init_bias, self.init_coefficient
    )
    x = images.astype(self.dtype)
    for layer in LAYERS:
      affine = _Affine(layer, start, self.dtype, name=layer.name)
      x = keep(self, layer.name, squash(affine(x)))
    x = keep(self, 'output', -_RBF(name='output')(x))
    return layers.squeeze_map(x)


class LeNet5Modern(nn.Module):
  """The tutorials' LeNet-5: images [N, 32, 32, C] -> logits [N, num_classes].

  Args:
    activation: 'relu', 'tanh', or 'squash' (the paper's scaled tanh).
    pool: 'max' or 'average'.
  """

  num_classes: int = 10
  dtype: DTypeLike = jnp.float32
  activation: str = 'relu'
  pool: str = 'max'

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """See the class."""
    del train
    activations = {'relu': layers.ReLU(), 'tanh': jnp.tanh, 'squash': squash}
    activate = _choose('activation', self.activation, activations)
    pools = {'max': _MaxPool, 'average': _AveragePool}
    pool = _choose('pool', self.pool, pools)
    _check_input('lenet5_modern', images)
    x = images.astype(self.dtype)
    x = activate(_Conv(6, 5, self.dtype, name='C1')(x))
    x = pool(name='S2')(keep(self, 'C1', x))
    x = activate(_Conv(16, 5, self.dtype, name='C3')(keep(self, 'S2', x)))
    x = pool(name='S4')(keep(self, 'C3', x))
    x = activate(_Conv(120, 5, self.dtype, name='C5')(keep(self, 'S4', x)))
    x = activate(_Conv(84, 1, self.dtype, name='F6')(keep(self, 'C5', x)))
    output = _Conv(self.num_classes, 1, self.dtype, name='output')
    x = keep(self, 'output', output(keep(self, 'F6', x)))
    return layers.squeeze_map(x.astype(jnp.float32))


class _MaxPool(layers.MaxPool):
  size: int = 2
  stride: int = 2

  def __call__(self, x):
    return layers.max_pool_2x2(x)


class _AveragePool(layers.AveragePool):
  size: int = 2
  stride: int = 2

  def __call__(self, x):
    return layers.sum_pool_2x2(x) / 4


class _Conv(layers.Layer):
  features: int
  size: int
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x):
    shape = (self.size, self.size, x.shape[-1], self.features)
    init, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros
    kernel = self.param('kernel', init, shape, jnp.float32)
    bias = self.param('bias', zeros, (self.features,), jnp.float32)
    return layers.conv2d(x, kernel.astype(self.dtype)) + bias.astype(self.dtype)


def _choose(field, value, known):
  if value not in known:
    raise ValueError(f"{field} is one of {', '.join(known)}, not '{value}'")
  return known[value]


def _check_input(name, images, channels=None):
  height, width, depth = images.shape[1:]
  if min(height, width) < 32:
    raise ValueError(
      f'{name} takes images of at least 32x32 pixels, not {height}x{width}'
    )
  if channels and depth != channels:
    raise ValueError(f'{name} takes {channels} channel, not {depth}')
