"""A network of `caffe_nets` as keras.applications publishes it.

Import this where `h5py` is known to be there.
"""

import h5py
import numpy as np


def write(file, net, names=lambda layer: layer, group=''):
  """Writes the weights of a network in the layout of Keras before 3.

  Args:
    file: the .h5.
    net: of `caffe_nets`, with BatchNorm and Scale, which are one layer here.
    names: what a layer of Caffe is called.
    group: of the file, 'model_weights' as model.save has it.
  """
  arrays, shapes = {}, net.of
  scales = {x.bottoms[0]: x.blobs for x in net.layers if x.kind == 'Scale'}
  for layer in net.layers:
    found = []
    if layer.kind == 'BatchNorm':
      mean, var, factor = layer.blobs
      gamma, beta = scales[layer.bottoms[0]]
      found = [('gamma', gamma), ('beta', beta)]
      found += [
        ('moving_mean', mean / factor),
        ('moving_variance', var / factor),
      ]
    if layer.kind == 'Convolution':
      found = [('kernel', layer.blobs[0].transpose(2, 3, 1, 0))]
    if layer.kind == 'InnerProduct':
      kernel, (channels, side) = layer.blobs[0], shapes[layer.bottoms[0]]
      maps = kernel.reshape(len(kernel), channels, side, side)
      maps = maps.transpose(2, 3, 1, 0).reshape(-1, len(kernel))
      found = [('kernel', maps)]
    if layer.kind in ('Convolution', 'InnerProduct') and len(layer.blobs) > 1:
      found.append(('bias', layer.blobs[1]))
    if layer.kind != 'Scale':
      arrays[names(layer.name) if found else layer.name] = found
  with h5py.File(file, 'w') as opened:
    root = opened.create_group(group) if group else opened
    root.attrs['layer_names'] = np.array(list(arrays), 'S')
    for name, found in arrays.items():
      at = root.create_group(name)
      keys = [f'{name}/{part}:0' for part, _ in found]
      at.attrs['weight_names'] = np.array(keys, 'S')
      for key, (_, value) in zip(keys, found):
        at.create_dataset(key, data=value)


def vgg_name(layer):
  """'conv1_1' -> 'block1_conv1', 'fc6' -> 'fc1'."""
  fc = {'fc6': 'fc1', 'fc7': 'fc2', 'fc8': 'predictions'}
  if layer.startswith('conv'):
    return f'block{layer[4]}_conv{layer[6]}'
  return fc.get(layer, layer)


def resnet_name(layer):
  """'res2a_branch2a' -> 'conv2_block1_1_conv', as since 2019; of 50 layers."""
  stem = {
    'conv1': 'conv1_conv', 'bn_conv1': 'conv1_bn', 'fc1000': 'predictions',
  }  # fmt: skip
  if '_branch' not in layer:
    return stem.get(layer, layer)
  kind, rest = ('conv', layer[3:]) if layer[0] == 'r' else ('bn', layer[2:])
  number = {'1': 0, '2a': 1, '2b': 2, '2c': 3}[rest.partition('_branch')[2]]
  return f'conv{rest[0]}_block{"abcdef".index(rest[1]) + 1}_{number}_{kind}'
