"""Caffe's networks as their authors published them, with random weights.

The layers are those of BVLC/caffe's models/*/deploy.prototxt, of
VGG_ILSVRC_16/19_layers and of KaimingHe/deep-residual-networks. They are
written as a prototxt, as a .caffemodel, byte by byte, and as a graph of ONNX,
so that OpenCV and onnxruntime can run what our reader reads.
"""

import dataclasses
import struct

import numpy as np
from onnx import helper, numpy_helper

# V1LayerParameter.LayerType of caffe.proto.
OLD_TYPES = {
  'Concat': 3, 'Convolution': 4, 'Dropout': 6, 'InnerProduct': 14, 'LRN': 15,
  'Pooling': 17, 'ReLU': 18,
}  # fmt: skip
PARAMETERS = {
  'Convolution': 'convolution_param', 'Pooling': 'pooling_param',
  'InnerProduct': 'inner_product_param', 'LRN': 'lrn_param',
  'Scale': 'scale_param', 'BatchNorm': 'batch_norm_param',
}  # fmt: skip


@dataclasses.dataclass
class Layer:
  """A layer of a prototxt; those for training only are in the weights."""

  kind: str
  name: str
  bottoms: list
  top: str
  fields: dict
  blobs: list
  training: bool = False


class Net:
  """Layers in order; `of` has (channels, side) of each top."""

  def __init__(self, side, seed=0):
    self.layers, self.side = [], side
    self.of = {'data': (3, side)}
    self.rng = np.random.default_rng(seed)

  def add(self, kind, name, bottom, top='', blobs=(), training=False, **fields):
    bottoms = bottom if isinstance(bottom, list) else [bottom]
    top = top or name
    self.layers.append(
      Layer(kind, name, bottoms, top, fields, list(blobs), training)
    )
    return top

  def conv(self, name, x, outs, size, stride=1, pad=0, group=1, bias=True, **k):
    ins, side = self.of[x]
    kernel = self.normal((outs, ins // group, size, size))
    blobs = [kernel, self.small(outs)][: 1 + bias]
    self.of[name] = outs, (side + 2 * pad - size) // stride + 1
    return self.add(
      'Convolution', name, x, blobs=blobs, num_output=outs, kernel_size=size,
      stride=stride, pad=pad, group=group, bias_term=bias, **k,
    )  # fmt: skip

  def fc(self, name, x, outs, **k):
    ins, side = self.of[x]
    blobs = [self.normal((outs, ins * side * side)), self.small(outs)]
    self.of[name] = outs, 1
    return self.add('InnerProduct', name, x, blobs=blobs, num_output=outs, **k)

  def pool(self, name, x, size, stride, pad=0, kind='MAX', ceil=True, **k):
    channels, side = self.of[x]
    rest = side + 2 * pad - size
    self.of[name] = (
      channels,
      (-(-rest // stride) if ceil else rest // stride) + 1,
    )
    return self.add(
      'Pooling',
      name,
      x,
      pool=kind,
      kernel_size=size,
      stride=stride,
      pad=pad,
      **k,
    )

  def relu(self, x):
    return self.add('ReLU', f'relu_{x}', x, x)

  def lrn(self, name, x):
    self.of[name] = self.of[x]
    return self.add('LRN', name, x, local_size=5, alpha=1e-4, beta=0.75)

  def normal(self, shape):
    std = np.sqrt(2 / np.prod(shape[1:]))
    return (std * self.rng.standard_normal(shape)).astype('f')

  def small(self, size):
    return self.rng.normal(0, 0.1, size).astype('f')


def alexnet(width, norm_first=True):
  """bvlc_alexnet, or bvlc_reference_caffenet: pools before norms."""
  net, x = Net(227), 'data'
  scale = lambda n: round(n * width)  # noqa: E731
  for i, (outs, size, stride, pad, group) in enumerate((
    (96, 11, 4, 0, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2),
    (256, 3, 1, 1, 2),
  ), 1):  # fmt: skip
    x = net.relu(net.conv(f'conv{i}', x, scale(outs), size, stride, pad, group))
    if i < 3 and norm_first:
      x = net.lrn(f'norm{i}', x)
    if i in (1, 2, 5):
      x = net.pool(f'pool{i}', x, 3, 2)
    if i < 3 and not norm_first:
      x = net.lrn(f'norm{i}', x)
  for name in ('fc6', 'fc7'):
    x = net.relu(net.fc(name, x, scale(4096)))
    net.add('Dropout', f'drop_{name}', x, x)
  net.fc('fc8', x, 1000)
  return net


def vgg(layers, width):
  """VGG_ILSVRC_16_layers or 19."""
  net, x = Net(224), 'data'
  counts = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[layers]
  for i, (count, outs) in enumerate(zip(counts, (64, 128, 256, 512, 512)), 1):
    for j in range(count):
      x = net.conv(f'conv{i}_{j + 1}', x, round(outs * width), 3, 1, 1)
      x = net.relu(x)
    x = net.pool(f'pool{i}', x, 2, 2)
  for name in ('fc6', 'fc7'):
    x = net.relu(net.fc(name, x, round(4096 * width)))
  net.fc('fc8', x, 1000)
  return net


def googlenet(width):
  """bvlc_googlenet, with the layers of its auxiliary heads."""
  net = Net(224)
  conv = lambda name, x, outs, *args, **k: net.relu(  # noqa: E731
    net.conv(name, x, round(outs * width), *args, **k)
  )
  x = net.pool('pool1/3x3_s2', conv('conv1/7x7_s2', 'data', 64, 7, 2, 3), 3, 2)
  x = conv('conv2/3x3_reduce', net.lrn('pool1/norm1', x), 64, 1)
  x = net.lrn('conv2/norm2', conv('conv2/3x3', x, 192, 3, 1, 1))
  x = net.pool('pool2/3x3_s2', x, 3, 2)
  for row in (
    '3a 64 96 128 16 32 32', '3b 128 128 192 32 96 64',
    '4a 192 96 208 16 48 64',
    '4b 160 112 224 24 64 64', '4c 128 128 256 24 64 64',
    '4d 112 144 288 32 64 64', '4e 256 160 320 32 128 128',
    '5a 256 160 320 32 128 128', '5b 384 192 384 48 128 128',
  ):  # fmt: skip
    key, *outs = row.split()
    one, reduce3, three, reduce5, five, proj = map(int, outs)
    at = f'inception_{key}'
    parts = [
      conv(f'{at}/1x1', x, one, 1),
      conv(
        f'{at}/3x3', conv(f'{at}/3x3_reduce', x, reduce3, 1), three, 3, 1, 1
      ),
      conv(f'{at}/5x5', conv(f'{at}/5x5_reduce', x, reduce5, 1), five, 5, 1, 2),
      conv(f'{at}/pool_proj', net.pool(f'{at}/pool', x, 3, 1, 1), proj, 1),
    ]
    x = net.add('Concat', f'{at}/output', parts)
    net.of[x] = sum(net.of[p][0] for p in parts), net.of[parts[0]][1]
    if key in ('4a', '4d'):
      at = f'loss{1 + (key == "4d")}'
      y = net.pool(f'{at}/ave_pool', x, 5, 3, kind='AVE', training=True)
      y = net.conv(f'{at}/conv', y, round(128 * width), 1, training=True)
      y = net.fc(f'{at}/fc', y, round(1024 * width), training=True)
      net.fc(f'{at}/classifier', y, 1000, training=True)
    if key in ('3b', '4e'):
      x = net.pool(f'pool{key[0]}/3x3_s2', x, 3, 2)
  x = net.pool('pool5/7x7_s1', x, 7, 1, kind='AVE')
  net.fc('loss3/classifier', x, 1000)
  return net


def resnet(depth, width, keras=False):
  """ResNet-50/101/152 as Kaiming He released them, or as Keras has them."""
  net = Net(224)

  def conv(name, x, outs, *args, bias=keras):
    x = net.conv(name, x, round(outs * width), *args, bias=bias)
    key = name.replace('res', '') if name != 'conv1' else '_conv1'
    channels, factor = net.of[x][0], np.array([2], 'f')
    var = net.rng.uniform(0.5, 1.5, channels).astype('f')
    blobs = [net.small(channels) * 2, var * 2, factor]
    eps = {'eps': 1.001e-5} if keras else {}
    net.add('BatchNorm', f'bn{key}', x, x, blobs, use_global_stats=True, **eps)
    low = 0.2 if name.endswith('2c') else 0.8  # else the sums grow and grow
    gamma = net.rng.uniform(low, low + 0.4, channels).astype('f')
    blobs = [gamma, net.small(channels)]
    return net.add('Scale', f'scale{key}', x, x, blobs, bias_term=True)

  # Of the three only the file of 50 layers has a bias here.
  x = net.relu(conv('conv1', 'data', 64, 7, 2, 3, bias=keras or depth == 50))
  x = net.pool('pool1', x, 3, 2, int(keras), ceil=not keras)
  counts = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
  for stage, count in enumerate(counts, 2):
    for i in range(count):
      key = f'{stage}{"abcdef"[i]}' if depth == 50 or stage in (2, 5) else (
        f'{stage}b{i}' if i else f'{stage}a'
      )  # fmt: skip
      stride, outs = (2 if stage > 2 and not i else 1), 32 * 2**stage // 2
      side = conv(f'res{key}_branch1', x, 4 * outs, 1, stride) if not i else x
      y = net.relu(conv(f'res{key}_branch2a', x, outs, 1, stride))
      y = net.relu(conv(f'res{key}_branch2b', y, outs, 3, 1, 1))
      y = conv(f'res{key}_branch2c', y, 4 * outs, 1)
      net.of[f'res{key}'] = net.of[y]
      x = net.relu(net.add('Eltwise', f'res{key}', [side, y]))
  net.fc('fc1000', net.pool('pool5', x, 7, 1, kind='AVE'), 1000)
  return net


def prototxt(net):
  """Returns the text of a deploy.prototxt."""
  lines = [
    'input: "data"',
    *(f'input_dim: {n}' for n in (2, 3, *[net.side] * 2)),
  ]
  for layer in net.layers:
    if layer.training:
      continue
    lines += ['layer {', f'name: "{layer.name}" type: "{layer.kind}"']
    lines += [f'bottom: "{b}"' for b in layer.bottoms]
    lines += [f'top: "{layer.top}"']
    if layer.fields:
      values = (f'{k}: {str(v).lower()}' if k != 'pool' else f'{k}: {v}'
                for k, v in layer.fields.items())  # fmt: skip
      lines += [f'{PARAMETERS[layer.kind]} {{ {" ".join(values)} }}']
    lines += ['}']
  return '\n'.join(lines)


def varint(number):
  """Returns a number in groups of seven bits, the lowest first."""
  out = b''
  while number > 127:
    out += bytes([number % 128 + 128])
    number //= 128
  return out + bytes([number])


def field(number, value):
  """Returns a field of a protocol buffer: a number, or bytes with a length."""
  if isinstance(value, int):
    return varint(number * 8) + varint(value)
  return varint(number * 8 + 2) + varint(len(value)) + value


def blob(array, old=False, double=False):
  """Returns a BlobProto; `old`: with num, channels, height and width."""
  shape = array.shape
  if old:
    dims = (1,) * (4 - len(shape)) + shape
    head = b''.join(field(i, n) for i, n in enumerate(dims, 1))
  else:
    head = field(7, field(1, b''.join(map(varint, shape))))
  numbers = array.astype('<f8' if double else '<f4').tobytes()
  return head + field(8 if double else 5, numbers)


def caffemodel(net, old=False, double=False):
  """Returns a NetParameter; `old`: with the layers of 2014."""
  out = field(1, b'a net')
  for layer in net.layers:
    name, top = layer.name.encode(), layer.top.encode()
    bottoms = [b.encode() for b in layer.bottoms]
    blobs = [blob(b, old, double) for b in layer.blobs]
    if old:
      parts = [(2, b) for b in bottoms]
      parts += [(3, top), (4, name), (5, OLD_TYPES[layer.kind])]
      parts += [(6, b) for b in blobs]
    else:
      parts = [(1, name), (2, layer.kind.encode())]
      parts += [(3, b) for b in bottoms]
      parts += [(4, top), (10, 1), *((7, b) for b in blobs)]
      if 'eps' in layer.fields:
        eps = varint(3 * 8 + 5) + struct.pack('<f', layer.fields['eps'])
        parts += [(139, eps)]
    out += field(2 if old else 100, b''.join(field(n, v) for n, v in parts))
  return out


def onnx_model(net):
  """Returns the graph of ONNX that computes the same."""
  nodes, weights, at = [], [], {'data': 'data'}

  def held(value):
    weights.append(numpy_helper.from_array(value, f'w{len(weights)}'))
    return weights[-1].name

  def node(kind, inputs, **attributes):
    name = f't{len(nodes)}'
    nodes.append(helper.make_node(kind, inputs, [name], **attributes))
    return name

  for layer in net.layers:
    if layer.training or layer.kind == 'Dropout':
      continue
    x, f, blobs = [at[b] for b in layer.bottoms], layer.fields, layer.blobs
    window = {}
    if 'kernel_size' in f:
      window = {
        'kernel_shape': [f['kernel_size']] * 2, 'strides': [f['stride']] * 2,
        'pads': [f['pad']] * 4,
      }  # fmt: skip
    if layer.kind == 'Convolution':
      y = node('Conv', x + list(map(held, blobs)), group=f['group'], **window)
    elif layer.kind == 'BatchNorm':
      mean, var, factor = blobs
      values = (
        np.ones_like(mean),
        np.zeros_like(mean),
        mean / factor,
        var / factor,
      )
      eps = f.get('eps', 1e-5)
      y = node('BatchNormalization', x + list(map(held, values)), epsilon=eps)
    elif layer.kind == 'Scale':
      gamma, beta = (held(b.reshape(1, -1, 1, 1)) for b in blobs)
      y = node('Add', [node('Mul', [*x, gamma]), beta])
    elif layer.kind == 'LRN':
      y = node('LRN', x, size=5, alpha=1e-4, beta=0.75, bias=1.0)
    elif layer.kind == 'Pooling':
      average = f['pool'] == 'AVE'
      kind = 'AveragePool' if average else 'MaxPool'
      # Keras's padded pool is the only one that rounds down.
      ceil = int(not (f['pad'] and f['stride'] == 2))
      y = node(kind, x, ceil_mode=ceil, **window)
    elif layer.kind == 'InnerProduct':
      flat = node('Flatten', x)
      y = node('Gemm', [flat, *map(held, blobs)], transB=1)
    else:
      kind = {'ReLU': 'Relu', 'Eltwise': 'Sum', 'Concat': 'Concat'}[layer.kind]
      y = node(kind, x, **({'axis': 1} if kind == 'Concat' else {}))
    at[layer.top] = y
  shape = helper.make_tensor_value_info('data', 1, [2, 3, net.side, net.side])
  last = helper.make_tensor_value_info(nodes[-1].output[0], 1, None)
  graph = helper.make_graph(nodes, 'net', [shape], [last], weights)
  opset = [helper.make_opsetid('', 13)]
  return helper.make_model(graph, opset_imports=opset, ir_version=8)
