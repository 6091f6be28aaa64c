"""The graphs of the ONNX model zoo that ship with `onnx`, without weights.

Import this where `onnx` is known to be there.
"""

import pathlib

import numpy as np
import onnx

_ALEXNET = (
  'conv1 norm1 pool1 conv2 norm2 pool2 conv3 conv4 conv5 pool5 fc6 fc7 fc8'
).split()
_MODULE = '_1x1 _3x3_reduce _3x3 _5x5_reduce _5x5 _pool_proj'.split()


def _modules(names):
  return [
    f'inception_{n}{part}' for n in names.split() for part in [*_MODULE, '']
  ]


def _numbered(counts, form):
  return [form.format(i, j + 1) for i, n in counts for j in range(n)]


# The papers' layers in the order in which a graph computes them.
LAYERS = {
  'light_bvlc_alexnet': _ALEXNET,
  'light_zfnet512': _ALEXNET,
  'light_inception_v1': [
    *'conv1 pool1 norm1 conv2_reduce conv2 norm2 pool2'.split(),
    *_modules('3a 3b'), 'pool3', *_modules('4a 4b 4c 4d 4e'), 'pool4',
    *_modules('5a 5b'), 'avgpool', 'classifier',
  ],
  'light_vgg19': [
    *(
      name
      for i, n in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4))
      for name in (*_numbered([(i, n)], 'conv{}_{}'), f'pool{i}')
    ),
    'fc6', 'fc7', 'fc8',
  ],
  'light_resnet50': [
    'conv1', 'pool1',
    *_numbered([(2, 3), (3, 4), (4, 6), (5, 3)], 'conv{}_{}'),
    'avgpool', 'fc',
  ],
}  # fmt: skip
KEPT = (1, 3, 5, 7, 11, 1000)  # sides of kernels, colours, classes


def random_model(graph_name, side, width=1.0):
  """Returns the graph with random weights, ending in the logits.

  `width` scales all channels, as in the zoo; a quarter fits all five.
  """
  light = pathlib.Path(onnx.__file__).parent / 'backend/test/data/light'
  model = onnx.load(str(light / f'{graph_name}.onnx'))
  graph, rng = model.graph, np.random.default_rng(0)
  shapes = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
  filled = {}
  for node in [n for n in graph.node if n.op_type == 'ConstantOfShape']:
    filled[node.output[0]] = shapes[node.input[0]].tolist()
    graph.node.remove(node)
  used = {i for node in graph.node for i in node.input}
  for name in used & set(shapes):
    if 'DUMMY' not in name and not name.endswith('__SHAPE'):
      filled[name] = list(shapes[name].shape)
  del graph.initializer[:]

  def narrow(shape):
    return [n if n in KEPT else round(n * width) for n in shape]

  for name, value in shapes.items():
    if 'DUMMY' in name:  # what a Reshape makes of its input
      value = np.array(narrow(value), value.dtype)
      graph.initializer.append(onnx.numpy_helper.from_array(value, name))
  for name, shape in filled.items():
    shape = narrow(shape)
    if len(shape) > 1:
      value = rng.standard_normal(shape, np.float32)
      value *= np.sqrt(2 / np.prod(shape[1:]), dtype=np.float32)
    elif name.endswith(('_riv_0', '_bn_s_0')):
      value = rng.uniform(0.5, 1.5, shape)
    else:
      value = rng.normal(size=shape) * 0.1
    value = value.astype(np.float32, copy=False)
    graph.initializer.append(onnx.numpy_helper.from_array(value, name))
  _mend(graph, graph_name, side)
  return model


def give_layers(model, graph_name):
  """Makes outputs of what its layers say; returns their names by layer.

  After the ReLU; of a block of ResNet what follows its sum, of a module of
  GoogLeNet the concatenation.
  """
  nodes = list(model.graph.node)
  made = {output: node.op_type for node in nodes for output in node.output}
  kinds, found = {'Relu', 'LRN', 'MaxPool', 'AveragePool', 'Concat'}, []
  for node in nodes:
    strides = [list(a.ints) for a in node.attribute if a.name == 'strides']
    inside = node.op_type == 'MaxPool' and strides == [[1, 1]]  # of a module
    if graph_name == 'light_resnet50' and node.op_type == 'Relu' and found:
      inside = made[node.input[0]] != 'Sum'
    if node.op_type in kinds and not inside:
      found.append(node.output[0])
  for name in found:
    model.graph.output.append(
      onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    )
  logits = model.graph.output[0].name
  return dict(zip(LAYERS[graph_name], [*found, logits], strict=True))


def _mend(graph, graph_name, side):
  """What the exports of these graphs lost (facts of their Caffe originals)."""
  names = {i.name for i in graph.initializer}
  image = next(
    i for i in graph.input if i.name not in names and 'data' in i.name
  )
  for dim, value in zip(image.type.tensor_type.shape.dim, (2, 3, side, side)):
    dim.dim_value = value
  for i in [i for i in graph.input if i.name != image.name]:
    graph.input.remove(i)
  softmax = next(n for n in graph.node if n.op_type == 'Softmax')
  logits = softmax.input[0]
  graph.node.remove(softmax)
  del graph.output[:], graph.value_info[:]
  graph.output.append(
    onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None)
  )
  for node in graph.node:
    pads = next((a for a in node.attribute if a.name == 'pads'), None)
    strides = next((a for a in node.attribute if a.name == 'strides'), None)
    if graph_name == 'light_inception_v1':
      if node.op_type == 'MaxPool' and list(strides.ints) == [2, 2]:
        pads.ints[:] = [0, 0, 1, 1]  # ceil mode
      if node.op_type == 'AveragePool':
        pads.ints[:] = [0, 0, 0, 0]
    if graph_name == 'light_bvlc_alexnet' and node.op_type == 'MaxPool':
      pads.ints[:] = [0, 0, 0, 0]
  for i in list(graph.initializer):  # Reshape to [batch, features]
    if 'DUMMY_1' in i.name:
      graph.initializer.remove(i)
      shape = np.array([2, -1])
      graph.initializer.append(onnx.numpy_helper.from_array(shape, i.name))
