"""Caffe's files of weights -> NumPy arrays, without Caffe.

A .caffemodel is a protocol buffer, NetParameter of caffe.proto (BVLC/caffe,
src/caffe/proto/caffe.proto). The few fields that weights need are declared
below and read by Google's own decoder, which runs nothing and looks at each
length before it believes it. Layers are of the form of 2014 ('layers': BVLC's
and VGG's files) or the later one ('layer': ResNet's).
"""

import math
import pathlib
from typing import Any

import numpy as np

from zoo import weight_names, weight_origins

Arrays = dict[str, np.ndarray]
EPSILON = 1e-5  # of Caffe's BatchNorm, unless a file says another; and of ours

# A field: number, type, and whether there are many. Packed floats have the form
# of bytes, which are declared instead: they become an array as they are.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
  'BlobShape': {'dim': (1, 'int64', True)},
  'BlobProto': {
    'num': (1, 'int32', False), 'channels': (2, 'int32', False),
    'height': (3, 'int32', False), 'width': (4, 'int32', False),
    'data': (5, 'bytes', True), 'shape': (7, 'BlobShape', False),
    'double_data': (8, 'bytes', True),
  },
  'BatchNormParameter': {'eps': (3, 'float', False)},
  'LayerParameter': {
    'name': (1, 'string', False), 'type': (2, 'string', False),
    'blobs': (7, 'BlobProto', True),
    'batch_norm_param': (139, 'BatchNormParameter', False),
  },
  'V1LayerParameter': {
    'layer': (1, 'bytes', False), 'name': (4, 'string', False),
    'blobs': (6, 'BlobProto', True),
  },
  'NetParameter': {
    'layers': (2, 'V1LayerParameter', True),
    'layer': (100, 'LayerParameter', True),
  },
}  # fmt: skip


def read(file: pathlib.Path) -> tuple[Arrays, str]:
  """Returns the weights in a file by name, and the network that it is of.

  Args:
    file: a NetParameter, as Caffe's snapshots are.

  Returns:
    'LAYER/kernel' as Caffe has it, [O, I / groups, h, w], or [O, I] with inputs
    in the order C, H, W; 'LAYER/bias'; 'LAYER/mean' and 'LAYER/var' of
    BatchNorm with its factor applied; 'LAYER/gamma' and 'LAYER/beta' of Scale.
    A bias before BatchNorm is taken off its mean. And the network's name in the
    zoo; '' where it is not known.

  Raises:
    ImportError: protobuf is not there.
    OSError: it cannot be read.
    ValueError: damaged, no protocol buffer, no weights in it, or none that can
      be told apart.
  """
  net = _parsed(file.read_bytes())
  if any(layer.HasField('layer') for layer in net.layers):
    raise ValueError(
      'its layers are of the form before 2014: Caffe brings it up to date with '
      'upgrade_net_proto_binary'
    )
  arrays: Arrays = {}
  layers = [*net.layers, *net.layer]
  for layer in layers:
    found = _arrays_of(layer)
    if arrays.keys() & found.keys():
      raise ValueError(f'it has two layers {layer.name}')
    arrays |= found
  if not arrays:
    raise ValueError(
      f'no weights in its {len(layers)} layers: is it a .caffemodel?'
    )
  return fold_biases(arrays), weight_origins.of_caffe([x.name for x in layers])


def _parsed(content: bytes) -> Any:
  """Returns a NetParameter, whose class is made from `_MESSAGES`."""
  from google.protobuf import (  # noqa: PLC0415
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
  )

  file = descriptor_pb2.FileDescriptorProto(name='weights.proto', package='zoo')
  kinds = descriptor_pb2.FieldDescriptorProto
  for title, fields in _MESSAGES.items():
    made = file.message_type.add(name=title)
    for name, (number, kind, many) in fields.items():
      label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
      field = made.field.add(name=name, number=number, label=label)
      if kind in _MESSAGES:
        field.type, field.type_name = kinds.TYPE_MESSAGE, f'.zoo.{kind}'
      else:
        field.type = kinds.Type.Value(f'TYPE_{kind.upper()}')
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  found = pool.FindMessageTypeByName('zoo.NetParameter')
  net = message_factory.GetMessageClass(found)()
  try:
    net.ParseFromString(content)
  except message.DecodeError:
    raise ValueError('damaged, cut short, or no .caffemodel') from None
  return net


def _arrays_of(layer) -> Arrays:
  """Returns the arrays of a layer, by the layer's name and what they are."""
  kind, name = getattr(layer, 'type', ''), layer.name
  blobs = [
    _array(f'{name}, blob {i},', blob) for i, blob in enumerate(layer.blobs)
  ]
  if kind == 'BatchNorm':
    mean, var, factor = (b.reshape(-1) for b in _exactly(3, name, blobs))
    if factor.size != 1:
      raise ValueError(f'{name} has {factor.size} factors')
    # batch_norm_layer.cpp: sums and their weight; none yet means zeros.
    by = 1 / factor[0] if factor[0] else factor[0]
    eps = layer.batch_norm_param
    more = eps.eps - EPSILON if eps.HasField('eps') else 0
    return {f'{name}/mean': mean * by, f'{name}/var': var * by + more}
  parts = ('gamma', 'beta') if kind == 'Scale' else ('kernel', 'bias')
  if len(blobs) > 2:
    raise ValueError(f'{name} has {len(blobs)} arrays, and no known kind')
  found = {f'{name}/{part}': blob for part, blob in zip(parts, blobs)}
  # In the form of 2014 a bias is of 1 x 1 x 1 x n numbers.
  return {
    k: v if k.endswith('/kernel') else v.reshape(-1) for k, v in found.items()
  }


def _exactly(count, name, blobs):
  if len(blobs) != count:
    raise ValueError(f'{name} has {len(blobs)} arrays, not {count}')
  return blobs


def _array(name, blob) -> np.ndarray:
  """Returns the numbers of a BlobProto in their shape."""
  shape = [blob.num, blob.channels, blob.height, blob.width]
  if blob.HasField('shape'):
    shape = list(blob.shape.dim)
  kind, parts = '<f4', blob.data
  if blob.double_data:
    kind, parts = '<f8', blob.double_data
  content = parts[0] if len(parts) == 1 else b''.join(parts)
  wanted = math.prod(shape) * int(kind[2:])
  if min(shape, default=0) < 0 or wanted != len(content):
    raise ValueError(
      f'{name} has {len(content)} bytes of {kind}, but a shape of {shape}'
    )
  return np.frombuffer(content, kind).reshape(shape)


def fold_biases(arrays: Arrays) -> Arrays:
  """Takes biases of convolutions off the means of the normalisation after them.

  Args:
    arrays: as `read` names them.

  Returns:
    The same without those biases. The network's function is the same.
  """
  arrays = dict(arrays)
  for key in [k for k in arrays if k.endswith('/mean')]:
    bias = f'{weight_names.convolution_before(key.removesuffix("/mean"))}/bias'
    if bias in arrays and arrays[bias].shape == arrays[key].shape:
      arrays[key] = arrays[key] - arrays.pop(bias)
  return arrays
