"""summarize counts all parameters, of any network of Linen modules."""

import flax.linen as nn

from tools import summarize
from zoo import layers


class Plain(nn.Module):
  """Modules of Flax alone; the second convolution is used twice."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(8, (3, 3), (2, 2), use_bias=False, name='conv1')(x)
    x = nn.relu(nn.BatchNorm(use_running_average=True, name='bn1')(x))
    conv = nn.Conv(8, (3, 3), feature_group_count=2, name='conv2')
    x = nn.relu(conv(conv(x)))
    x = nn.Dense(10, name='fc')(x.mean((1, 2)))
    return x * self.param('temperature', nn.initializers.ones, ())


def test_modules_of_flax_are_layers():
  rows = summarize.rows_of(Plain(), (32, 24, 3))
  assert [tuple(row) for row in rows] == [
    # weights, biases, what else is learned, MACs, floats
    ('input', (32, 24, 3), 0, 0, 0, 0, 2304),
    ('conv1', (16, 12, 8), 216, 0, 0, 216 * 192, 1536),
    ('bn1', (16, 12, 8), 0, 0, 16, 0, 0),
    ('conv2', (16, 12, 8), 288, 8, 0, 288 * 192, 1536),
    ('conv2', (16, 12, 8), 0, 0, 0, 288 * 192, 1536),
    ('fc', (10,), 80, 10, 0, 80, 10),
    ('Plain', (10,), 0, 0, 1, 0, 10),
  ]
  assert summarize.total(rows).parameters == 216 + 16 + 296 + 90 + 1
  lines = [line.split() for line in summarize.as_text(rows).splitlines()]
  assert lines[3] == ['bn1', '16x12x8', '16', '0', '0', '0']


class ConvNorm(layers.Layer):
  """A layer with normalisation and a convolution inside."""

  @nn.compact
  def __call__(self, x):
    kernel = self.param('kernel', nn.initializers.ones, (1, 1, 3, 4))
    x = nn.BatchNorm(use_running_average=True)(layers.conv2d(x, kernel))
    return nn.Conv(2, (1, 1))(x)


class Wrapped(nn.Conv):
  """Calls its superclass."""

  def __call__(self, x):
    return super().__call__(x)


class Odd(nn.Module):
  """What is counted once, or nowhere by a call."""

  def setup(self):
    self.layer, self.embed = ConvNorm(), nn.Embed(5, 2)
    self.wrapped, self.remat = Wrapped(3, (1, 1)), nn.remat(nn.Conv)(3, (1, 1))

  def __call__(self, x):
    x = self.remat(self.wrapped(self.layer(x)))
    return self.embed.attend(x[..., :2])


def test_nothing_is_counted_twice_or_left_out():
  rows = summarize.rows_of(Odd(), (4, 4, 3))
  assert [tuple(row) for row in rows[1:]] == [
    ('layer/Conv_0', (4, 4, 2), 8, 2, 0, 8 * 16, 32),
    ('layer', (4, 4, 2), 12, 0, 8, 12 * 16, 32),
    ('wrapped', (4, 4, 3), 6, 3, 0, 6 * 16, 48),
    ('remat', (4, 4, 3), 9, 3, 0, 9 * 16, 48),
    ('embed', (), 0, 0, 10, 0, 0),
  ]
  assert summarize.total(rows).parameters == 61
