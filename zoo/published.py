"""A network with published weights, ready for images.

    network, variables, preprocessing = zoo.pretrained('alexnet_owt', FILE)
    images = preprocessing(crops)    # uint8 [N, 224, 224, 3], R, G, B
    logits = network.apply(variables, images, train=False)
    seen = zoo.activations(network, variables, images, ('pool5', 'fc7'))

What `tools.publish` or `tools.export` has made of a run is a file with a folder
beside it, of the same name: what is there has the options of the network, the
number of classes and the preprocessing.
"""

import json
import os
import pathlib
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

import zoo
from zoo import weight_files, weights
from zoo.preprocessing import Preprocessing


class Pretrained(NamedTuple):
  """What `pretrained` returns."""

  network: nn.Module
  variables: dict[str, Any]
  preprocessing: Preprocessing


def pretrained(name: str, path: str, **options: Any) -> Pretrained:
  """Returns a network, the variables in a file, and how it wants its images.

  Args:
    name: of the zoo.
    path: what `zoo.weights.load` reads.
    **options: of the network; by default those of the record beside the file.
      `num_classes` is that of the file.

  Returns:
    (network, variables, preprocessing). How weights want their images is known
    of published files by their kind, see `zoo.weights`, and of what has a
    record. Of any other .npz it is not, and a call of `preprocessing` raises
    ValueError, which says so.

  Raises:
    weights.WeightsError: as `zoo.weights.load`; or the folder beside the file
      is of another network, or damaged.
    ValueError: unknown name or option.
  """
  zoo.image_shape(name)  # an unknown name, before anything is read
  record = _record(path)
  origin = None if record else weights.origin(name, _kind(path))
  known = {} if origin is None else dict(origin.options)
  if record:
    known = _recorded_options(name, path, record)
  known |= options
  variables, known['num_classes'] = _load(name, path, known)
  network = zoo.create(name, **known)
  if origin is None:
    how = _of_record(name, path, record)
  else:
    size = zoo.image_shape(name)[0]
    how = Preprocessing(size, origin.mean, origin.std, origin.order)
  return Pretrained(network, variables, how)


def _load(name, path, options) -> tuple[dict[str, Any], int]:
  """Returns the variables, and the number of classes that the file has."""
  papers = 1000 if zoo.image_shape(name)[0] > 32 else 10
  wanted = {'num_classes': papers, **options}
  file = weights.read(name, path, **wanted)
  try:
    return file.variables(**wanted), wanted['num_classes']
  except weights.WeightsError:
    if 'num_classes' in options:
      raise
    found = file.num_classes(zoo.classifier(name, **options)[-1])
    if found is None or found == papers:
      raise
    return file.variables(**options, num_classes=found), found


def _kind(path):
  """A model of the hub is a file of that kind there."""
  suffix = pathlib.Path(path).suffix
  return path if suffix in weights.SUFFIXES else 'model.safetensors'


def _folder(path):
  return pathlib.Path(os.path.splitext(os.path.expanduser(path))[0])


def _record(path) -> dict[str, Any]:
  """Returns what is recorded with weights of ours; {}: nothing.

  {'model', 'data', 'class_names'}, of the folder beside the file or its header.
  """
  header = weight_files.header(path)
  if not header and not path.endswith('.npz'):
    return {}
  config = _read(_folder(path) / 'config.json')
  if config:
    return {**config, **_read(_folder(path) / 'classes.json')}
  if header:
    model = {**header['options'], 'name': header['network']}
    return {**header, 'model': model, 'data': header}
  return {}


def _read(file) -> dict[str, Any]:
  if not file.exists():
    return {}
  try:
    found = json.loads(file.read_text())
    if not isinstance(found, dict):
      raise ValueError('no object')
  except (OSError, ValueError) as error:
    raise weights.WeightsError(f'{file} cannot be read: {error}') from None
  return found


def _recorded_options(name, path, record):
  model = dict(record.get('model', {}))
  theirs = model.pop('name', name)
  model.pop('dtype', None)  # of the computation there, not of the weights
  if theirs != name:
    raise weights.WeightsError(
      f'{path} is {theirs}, as is recorded with it, not {name}'
    )
  if classes := record.get('class_names'):
    model['num_classes'] = len(classes)
  return model


def _of_record(name, path, record) -> Preprocessing:
  data = record.get('data', {})
  size = data.get('image_size', zoo.image_shape(name)[0])
  image, why = _folder(path) / 'mean_image.npy', ''
  if data.get('mean_image') and not image.exists():
    why = (
      f'{path} was trained on images less the mean of each pixel, and '
      f'{image} is not there: it is in the workdir'
    )
  elif not {'mean', 'std', 'order'} <= data.keys():
    why = (
      f'how {path} wants its images is not known: it holds no more than '
      'arrays. Where you know it: '
      'zoo.preprocessing.Preprocessing(image_size, mean, std, order)'
    )
  if why:
    return Preprocessing(size, None, None, unknown=why)
  mean = np.load(image) if image.exists() else tuple(data['mean'])
  return Preprocessing(size, mean, tuple(data['std']), data['order'])
