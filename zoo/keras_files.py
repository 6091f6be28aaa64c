"""The weights of keras.applications -> NumPy arrays, without Keras.

An .h5 of theirs, or of model.save('FILE.h5'), has a group for each layer; its
attribute weight_names has the arrays in their order, by which Keras itself
knows them: their names have changed with its versions. A .weights.h5 of Keras 3
numbers them. Layers are called as in 2016 ('res2a_branch2a', 'bn2a_branch2a')
or as since 2019 ('conv2_block1_1_conv', 'conv2_block1_1_bn').
"""

import pathlib
import re
from collections.abc import Iterator

import numpy as np

from zoo import caffe_files, weight_origins
from zoo.caffe_files import Arrays

# Of BatchNormalization there. (In the code of 2016 it was 1e-3, which the
# weights were not trained with.)
_EPSILON = 1.001e-5
_PARTS = {
  1: ('kernel',),
  2: ('kernel', 'bias'),
  4: ('gamma', 'beta', 'mean', 'var'),
}
_CLASSIFIERS = ('fc1000', 'probs')  # today 'predictions'
_VGG_MAP = 7  # side of the maps that fc1 of VGG sees


def read(file: pathlib.Path) -> tuple[Arrays, list[str], str]:
  """Returns the weights in a file by name, and the network that it is of.

  Args:
    file: HDF5, of layers with names as keras.applications has them.

  Returns:
    By today's names of the layers: 'LAYER/kernel', [O, I, h, w] or [O, I],
    'LAYER/bias'; of batch normalisation 'LAYER/mean', 'var', 'gamma', 'beta'. A
    bias before it is taken off its mean, and what its epsilon is more than ours
    is added to its variance. Notes for a person. And the network's name in the
    zoo; '' where it is not known.

  Raises:
    ImportError: h5py is not there.
    OSError, KeyError, RuntimeError: of h5py: damaged, or not HDF5.
    ValueError: no weights in it, or none that can be told apart.
  """
  import h5py  # noqa: PLC0415

  arrays: Arrays = {}
  with h5py.File(file, 'r') as opened:
    size = file.stat().st_size
    for layer, values in _layers(opened):
      if len(values) not in _PARTS:
        raise ValueError(f'layer {layer} has {len(values)} arrays')
      name = _today(layer)
      for part, value in zip(_PARTS[len(values)], values):
        where = f'{layer}/{part}'
        if not isinstance(value, h5py.Dataset):
          raise ValueError(f'{where} is no array')
        # A link or a data set may name another file, of any place.
        elsewhere = value.file.filename != opened.filename
        if elsewhere or value.external or value.is_virtual:
          raise ValueError(f'{where} is kept in another file')
        if value.nbytes > size:
          raise ValueError(
            f'{where} is {value.shape}, which is more than the whole file'
          )
        arrays[f'{name}/{part}'] = _turned(where, value[()])
  if not arrays:
    raise ValueError('no weights in it: it is not of keras.applications')
  more = _EPSILON - caffe_files.EPSILON
  arrays = {
    k: v + v.dtype.type(more) if k.endswith('/var') else v
    for k, v in arrays.items()
  }
  names = [key.rpartition('/')[0] for key in arrays]
  notes = []
  if 'predictions' not in names:
    notes.append('saved without its classifier (include_top=False)')
  network = weight_origins.of_keras(names)
  return caffe_files.fold_biases(arrays), notes, network


def _layers(opened) -> Iterator[tuple[str, list]]:
  """Yields (name, arrays in their order) of the layers that have any."""
  root = opened.get('model_weights', opened)
  if 'layer_names' in root.attrs:
    for layer in map(_text, root.attrs['layer_names']):
      names = map(_text, root[layer].attrs['weight_names'])
      if values := [root[layer][name] for name in names]:
        yield layer, values
  elif 'layers' in root:  # .weights.h5
    for group in root['layers'].values():
      values = group.get('vars', ())
      if len(values) and 'name' not in values.attrs:
        raise ValueError(
          'its layers have no names, as before Keras 3.6: in Keras, '
          "model.save('FILE.h5')"
        )
      if len(values):
        arrays = [values[str(i)] for i in range(len(values))]
        yield _text(values.attrs['name']), arrays


def _text(name) -> str:
  return name.decode() if isinstance(name, bytes) else str(name)


def _turned(name, array) -> np.ndarray:
  """Returns a kernel as `caffe_files.read` has it."""
  if array.ndim == 4:  # [h, w, I, O]
    return array.transpose(3, 2, 0, 1)
  if name == 'fc1/kernel':  # [H W C, O], of VGG
    maps = array.reshape(_VGG_MAP, _VGG_MAP, -1, array.shape[-1])
    return maps.transpose(3, 2, 0, 1)
  return array.T


def _today(layer: str) -> str:
  """Returns the name that a layer has since 2019."""
  if layer in _CLASSIFIERS:
    return 'predictions'
  if layer in ('conv1', 'bn_conv1'):
    return 'conv1_bn' if layer == 'bn_conv1' else 'conv1_conv'
  old = re.fullmatch(r'(res|bn)(\d)([a-z])(\d*)_branch(1|2[abc])', layer)
  if not old:
    return layer
  kind, stage, letter, number, branch = old.groups()
  block = int(number) + 1 if number else 'abcdef'.index(letter) + 1
  place = '0' if branch == '1' else 'abc'.index(branch[1]) + 1
  last = 'conv' if kind == 'res' else 'bn'
  return f'conv{stage}_block{block}_{place}_{last}'
