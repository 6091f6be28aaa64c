"""The networks once more, in NumPy: loops and windows, float64, no speed.

Each network is written from its paper, in the paper's order, and shares nothing
with `zoo` but the names of layers. The shapes of kernels say how wide it is.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CAFFE = {'alpha': 2e-5, 'k': 1.0}  # lrn_layer.cpp: 1e-4 over the size, and 1


def relu(x):
  return np.maximum(x, 0)


def conv(x, kernel, stride=1, pad=0, groups=1):
  """[N, H, W, I] with [h, w, I / groups, O]; `pad` on all sides, or a pair.

  Groups are one dense convolution that has zeros between them.
  """
  around = (pad, pad) if isinstance(pad, int) else pad
  x = np.pad(np.float64(x), ((0, 0), around, around, (0, 0)))
  height, width, _, outs = kernel.shape
  ins = x.shape[-1]
  dense = np.zeros((height, width, ins, outs))
  for o in range(outs):
    first = o * groups // outs * ins // groups
    dense[:, :, first : first + ins // groups, o] = kernel[..., o]
  windows = sliding_window_view(x, (height, width), (1, 2))
  windows = windows[:, ::stride, ::stride]
  return np.tensordot(windows, dense, ((4, 5, 3), (0, 1, 2)))


def _pool(reduce, x, size, stride, ceil):
  """Over windows that lie inside; with `ceil` the last may hang over."""
  rounded = np.ceil if ceil else np.floor
  rows, columns = (1 + int(rounded((n - size) / stride)) for n in x.shape[1:3])
  return np.array([
    [
      reduce(x[:, i : i + size, j : j + size], axis=(1, 2))
      for j in range(0, columns * stride, stride)
    ]
    for i in range(0, rows * stride, stride)
  ]).transpose(2, 0, 1, 3)  # fmt: skip


def max_pool(x, size, stride, pad=0, ceil=True):
  around = (pad, pad) if isinstance(pad, int) else pad
  x = np.pad(x, ((0, 0), around, around, (0, 0)), constant_values=-np.inf)
  return _pool(np.max, x, size, stride, ceil)


def average_pool(x, size, stride=1):
  return _pool(np.mean, x, size, stride, ceil=False)


def lrn(x, alpha=1e-4, k=2.0, n=5, beta=0.75, towers=1):
  """AlexNet, Section 3.3; the sum ends where the tower's channels do."""
  out, wide = np.empty(x.shape), x.shape[-1] // towers
  for i in range(x.shape[-1]):
    first = i // wide * wide
    low = max(first, i - n // 2)
    high = min(first + wide - 1, i + n // 2)
    total = (x[..., low : high + 1] ** 2).sum(-1)
    out[..., i] = x[..., i] / (k + alpha * total) ** beta
  return out


def same_map_norm(x, size, alpha, k, beta=0.75):
  """The sum is over size x size positions around, of one map."""
  out, reach = np.empty(x.shape), size // 2
  for i in range(x.shape[1]):
    for j in range(x.shape[2]):
      rows = slice(max(0, i - reach), i + reach + 1)
      columns = slice(max(0, j - reach), j + reach + 1)
      total = (x[:, rows, columns] ** 2).sum((1, 2))
      out[:, i, j] = x[:, i, j] / (k + alpha * total) ** beta
  return out


class Net:
  """Variables by the papers' names; `seen` is what each layer says.

  With a `group`, batch normalisation is that of training, over so many images
  at a time; `running` has what becomes of its running statistics. Dropout
  multiplies by 1 + its rate: nothing random, and nothing that can be left out
  or moved unseen.
  """

  def __init__(self, variables, group=0):
    self.variables, self.group = variables, group
    self.seen, self.running = {}, {}

  def say(self, name, x):
    self.seen[name] = x
    return x

  def get(self, kind, name):
    found = self.variables[kind]
    for part in name.split('/'):
      found = found[part]
    return {k: np.float64(v) for k, v in found.items() if k != 'bn'}

  def linear(self, name, x, stride=1, pad=0, groups=1):
    own = self.get('params', name)
    return conv(x, own['kernel'], stride, pad, groups) + own['bias']

  def conv(self, name, x, stride=1, pad=0, groups=1):
    """A convolution with bias, then a ReLU."""
    return self.say(name, relu(self.linear(name, x, stride, pad, groups)))

  def conv_norm(self, name, x, stride=1, pad=0):
    """A convolution without bias, then batch normalisation."""
    x = conv(x, self.get('params', name)['kernel'], stride, pad)
    own = self.get('params', f'{name}/bn')
    running = self.get('batch_stats', f'{name}/bn')
    groups, means, variances = [x], [running['mean']], [running['var']]
    if self.group:
      groups = np.split(x, len(x) // self.group)
      means = [g.mean((0, 1, 2)) for g in groups]
      variances = [g.var((0, 1, 2)) for g in groups]
      self.running[name] = {
        'mean': 0.9 * running['mean'] + 0.1 * np.mean(means, 0),
        'var': 0.9 * running['var'] + 0.1 * np.mean(variances, 0),
      }
    parts = [
      (g - mean) / np.sqrt(variance + 1e-5)
      for g, mean, variance in zip(groups, means, variances)
    ]
    return own['scale'] * np.concatenate(parts) + own['bias']

  def max_pool(self, name, x, size=3, stride=2, **more):
    return self.say(name, max_pool(x, size, stride, **more))

  def lrn(self, name, x, **more):
    return self.say(name, lrn(x, **more))

  def dropout(self, x, rate=0.5):
    return x * (1 + rate)


# LeNet-5, Table I: the maps of S2 that each map of C3 sees.
TABLE_I = (
  '012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345'
)


def lenet5(net, x, codes):
  """Section II-B: states are 1.7159 tanh(2/3 a) up to F6, then distances."""

  def squash(name, a):
    own = net.get('params', name)
    return net.say(name, 1.7159 * np.tanh(2 / 3 * (a + own['bias'])))

  def kernel(name):
    return net.get('params', name)['kernel']

  def subsample(name, x):
    total = sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return squash(name, kernel(name) * total)

  x = squash('C1', conv(x, kernel('C1')))
  x = subsample('S2', x)
  connections, pairs, maps = kernel('C3'), 0, []
  for word in TABLE_I.split():
    own = connections[..., pairs : pairs + len(word)]
    seen = x[..., [int(c) for c in word]]
    maps.append(conv(seen, own[..., None]))
    pairs += len(word)
  x = subsample('S4', squash('C3', np.concatenate(maps, -1)))
  x = squash('F6', conv(squash('C5', conv(x, kernel('C5'))), kernel('F6')))
  distances = ((x[..., None, :] - codes) ** 2).sum(-1)
  return net.say('output', -distances)


def lenet5_modern(net, x):
  x = net.max_pool('S2', net.conv('C1', x), 2, 2)
  x = net.max_pool('S4', net.conv('C3', x), 2, 2)
  x = net.conv('F6', net.conv('C5', x))
  return net.say('output', net.linear('output', x))


def _fc(net, x):
  """AlexNet, Section 4.2: dropout in the first two connected layers.

  A smaller kernel in fc6 sees averages (head='gap').
  """
  if len(net.get('params', 'fc6')['kernel']) == 1:
    x = net.say('avgpool', x.mean((1, 2), keepdims=True))
  x = net.dropout(net.conv('fc6', x))
  x = net.dropout(net.conv('fc7', x))
  return net.say('fc8', net.linear('fc8', x))


def _conv3_to_fc8(net, x, groups=1):
  x = net.conv('conv3', x, 1, 1)
  x = net.conv('conv4', x, 1, 1, groups)
  x = net.conv('conv5', x, 1, 1, groups)
  return _fc(net, net.max_pool('pool5', x))


def alexnet(net, x):
  """Section 3.5 and Figure 2: ReLU, norm, pool; towers meet at conv3, fc6."""
  x = net.conv('conv1', x, 4, (0, 3))
  x = net.max_pool('pool1', net.lrn('norm1', x, towers=2))
  x = net.conv('conv2', x, 1, 2, groups=2)
  x = net.max_pool('pool2', net.lrn('norm2', x, towers=2))
  return _conv3_to_fc8(net, x, groups=2)


def bvlc_alexnet(net, x):
  """The same in Caffe: 227, its norm is over all channels."""
  x = net.conv('conv1', x, 4)
  x = net.max_pool('pool1', net.lrn('norm1', x, **CAFFE))
  x = net.conv('conv2', x, 1, 2, groups=2)
  x = net.max_pool('pool2', net.lrn('norm2', x, **CAFFE))
  return _conv3_to_fc8(net, x, groups=2)


def alexnet_source(net, x):
  """layers-145: norm, pool, ReLU in layer 1; two norms in layer 2.

  `scale` 1e-4 is divided by 5 and 0.001 by 25, layer.py; the norm within a map
  adds 1.
  """
  x = net.say('conv1', net.linear('conv1', x, 4, (0, 3)))
  x = net.lrn('norm1', x, alpha=2e-5, towers=2)
  x = net.say('pool1', relu(max_pool(x, 3, 2)))
  x = net.conv('conv2', x, 1, 2, groups=2)
  x = net.lrn('norm2', x, alpha=2e-5, towers=2)
  x = net.say('norm2_map', same_map_norm(x, 5, alpha=4e-5, k=1))
  return _conv3_to_fc8(net, net.max_pool('pool2', x), groups=2)


def one_tower(net, x, groups=1, **norm):
  """CS231n's list, and CaffeNet with groups: pool before norm, 227."""
  x = net.max_pool('pool1', net.conv('conv1', x, 4))
  x = net.conv('conv2', net.lrn('norm1', x, **norm), 1, 2, groups)
  x = net.lrn('norm2', net.max_pool('pool2', x), **norm)
  return _conv3_to_fc8(net, x, groups)


def alexnet_owt(net, x):
  """torchvision's: no norm, dropout before fc6 and fc7."""
  x = net.max_pool('pool1', net.conv('conv1', x, 4, 2), ceil=False)
  x = net.max_pool('pool2', net.conv('conv2', x, 1, 2), ceil=False)
  x = net.conv('conv4', net.conv('conv3', x, 1, 1), 1, 1)
  x = net.max_pool('pool5', net.conv('conv5', x, 1, 1), ceil=False)
  x = net.conv('fc6', net.dropout(x))
  x = net.conv('fc7', net.dropout(x))
  return net.say('fc8', net.linear('fc8', x))


def zfnet(net, x):
  """Figure 3: ReLU, pool, norm; 110 and 55 rows in layer 1."""
  x = net.max_pool('pool1', net.conv('conv1', x, 2, (0, 1)))
  x = net.conv('conv2', net.lrn('norm1', x), 2)
  x = net.lrn('norm2', net.max_pool('pool2', x))
  return _conv3_to_fc8(net, x)


def zfnet512(net, x):
  """The ONNX model zoo's: norm, pool; all pools round down."""
  x = net.lrn('norm1', net.conv('conv1', x, 2), alpha=1e-4)
  x = net.conv('conv2', net.max_pool('pool1', x, ceil=False), 2)
  x = net.lrn('norm2', x, alpha=1e-4)
  x = net.conv('conv3', net.max_pool('pool2', x, ceil=False), 1, 1)
  x = net.conv('conv5', net.conv('conv4', x, 1, 1), 1, 1)
  return _fc(net, net.max_pool('pool5', x, 2, 2))


def vgg(net, x, layers, lrn=False):
  """Table 1; `layers` a block, '1' where the kernel is 1x1."""
  for i, block in enumerate(layers.split(), start=1):
    for j, size in enumerate(block, start=1):
      x = net.conv(f'conv{i}_{j}', x, 1, {'3': 1, '1': 0}[size])
      if lrn and i == 1:
        x = net.lrn('norm1', x)
    x = net.max_pool(f'pool{i}', x, 2, 2, ceil=False)
  return _fc(net, x)


def _inception(net, x, name, naive):
  """Figure 2: side by side 1x1, 3x3, 5x5, and what is pooled."""
  pooled = max_pool(x, 3, 1, 1)
  if naive:
    reduced = {'3x3': x, '5x5': x}
  else:
    reduced = {s: net.conv(f'{name}_{s}_reduce', x) for s in ('3x3', '5x5')}
    pooled = net.conv(f'{name}_pool_proj', pooled)
  return net.say(
    name,
    np.concatenate(
      [
        net.conv(f'{name}_1x1', x),
        net.conv(f'{name}_3x3', reduced['3x3'], 1, 1),
        net.conv(f'{name}_5x5', reduced['5x5'], 1, 2),
        pooled,
      ],
      -1,
    ),
  )


def googlenet(net, x, naive=False, **norm):
  """Table 1 and Figure 3; Section 5 has the heads beside 4a and 4d."""
  x = net.max_pool('pool1', net.conv('conv1', x, 2, 3))
  x = net.conv('conv2_reduce', net.lrn('norm1', x, **norm))
  x = net.lrn('norm2', net.conv('conv2', x, 1, 1), **norm)
  x = net.max_pool('pool2', x)
  for word in '3a 3b pool3 4a aux1 4b 4c 4d aux2 4e pool4 5a 5b'.split():
    if word.startswith('pool'):
      x = net.max_pool(word, x)
    elif word.startswith('aux'):
      head = net.conv(f'{word}_conv', average_pool(x, 5, 3))
      head = net.dropout(net.conv(f'{word}_fc', head), 0.7)
      classifier = f'{word}_classifier'
      net.say(classifier, net.linear(classifier, head))
    else:
      x = _inception(net, x, f'inception_{word}', naive)
  x = net.say('avgpool', average_pool(x, 7))
  return net.say('classifier', net.linear('classifier', net.dropout(x, 0.4)))


def _block(net, name, x, stride, bottleneck, shortcut, stride_in_3x3):
  """Figure 2, or Figure 5 right: (kernel, stride, padding) of convolutions."""
  table = [(stride, 1), (1, 1)]  # stride, padding: 3x3, 3x3
  if bottleneck:  # 1x1, 3x3, 1x1
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    table = [(first, 0), (second, 1), (1, 0)]
  y = x
  for letter, (step, pad) in zip('abc', table):
    y = relu(y) if letter != 'a' else y
    y = net.conv_norm(f'{name}/{letter}', y, step, pad)
  more = y.shape[-1] - x.shape[-1]
  if shortcut == 'C' or (shortcut == 'B' and (more or stride > 1)):
    y = y + net.conv_norm(f'{name}/proj', x, stride)
  elif shortcut != 'none':  # the identity, with zeros behind (option A)
    y[..., : x.shape[-1]] += x[:, ::stride, ::stride]
  return net.say(name, relu(y))


def _residual(net, x, stages, bottleneck, shortcut, stride_in_3x3):
  """Section 3.3: a stage's first block halves the map, but the first's."""
  for i, (stage, blocks) in enumerate(stages.items()):
    for j in range(blocks):
      stride = 2 if i > 0 and j == 0 else 1
      x = _block(
        net, f'{stage}_{j + 1}', x, stride, bottleneck, shortcut, stride_in_3x3
      )
  x = net.say('avgpool', x.mean((1, 2), keepdims=True))
  return net.say('fc', net.linear('fc', x))


def resnet(net, x, blocks, shortcut, bottleneck=False, v1_5=False):
  """Table 1; v1_5: torchvision's stride and pool."""
  x = net.say('conv1', relu(net.conv_norm('conv1', x, 2, 3)))
  how = {'pad': 1, 'ceil': False} if v1_5 else {}
  x = net.max_pool('pool1', x, **how)
  stages = {f'conv{i + 2}': n for i, n in enumerate(blocks)}
  return _residual(net, x, stages, bottleneck, shortcut, v1_5)


def resnet_cifar(net, x, blocks, shortcut):
  """Section 4.2: three stages of as many blocks."""
  x = net.say('conv1', relu(net.conv_norm('conv1', x, 1, 1)))
  stages = dict.fromkeys(('s1', 's2', 's3'), blocks)
  return _residual(net, x, stages, False, shortcut, False)
