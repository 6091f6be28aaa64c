"""A network with published weights, ready for images.

    network, variables, preprocessing = zoo.pretrained('alexnet_owt', FILE)
    images = preprocessing(crops)    # uint8 [N, 224, 224, 3], R, G, B
    logits = network.apply(variables, images, train=False)
    seen = zoo.activations(network, variables, images, ('pool5', 'fc7'))

What `tools.publish` has made of a run is a file with a folder beside it, of the
same name: config.json and classes.json there have the options of the network,
the number of classes and the preprocessing.
"""

import json
import os
import pathlib
from typing import Any, NamedTuple

import flax.linen as nn

import zoo
from zoo import weights
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
    **options: of the network; by default what the file says, where it does.
      `num_classes` is 1000 where it does not.

  Returns:
    (network, variables, preprocessing). How weights want their images is known
    of published files by their kind, see `zoo.weights`, and of a run that
    `tools.publish` has written. Of any other file it is not, and a call of
    `preprocessing` raises ValueError, which says so.

  Raises:
    weights.WeightsError: as `zoo.weights.load`; or the folder beside the file
      is of another network, or damaged.
    ValueError: unknown name or option.
  """
  zoo.image_shape(name)  # an unknown name, before anything is read
  config, classes = _record(path, 'config'), _record(path, 'classes')
  origin = weights.origin(name, _kind(path))
  known = {} if origin is None else dict(origin.options)
  if config:
    known |= _recorded_options(name, path, config)
  if classes:
    known['num_classes'] = len(classes.get('class_names', ()))
  options = known | options
  variables = weights.load(name, path, **options)
  network = zoo.create(name, **options)
  size = zoo.image_shape(name)[0]
  if origin is not None:
    how = Preprocessing(size, origin.mean, origin.std, origin.order)
  else:
    how = _of_record(path, size, config)
  return Pretrained(network, variables, how)


def _kind(path):
  """A model of the hub is a file of that kind there."""
  suffix = pathlib.Path(path).suffix
  return path if suffix in weights.SUFFIXES else 'model.safetensors'


def _record(path, what) -> dict[str, Any]:
  folder = os.path.splitext(os.path.expanduser(path))[0]
  file = pathlib.Path(folder, f'{what}.json')
  if not file.exists():
    return {}
  try:
    found = json.loads(file.read_text())
    if not isinstance(found, dict):
      raise ValueError('no object')
  except (OSError, ValueError) as error:
    raise weights.WeightsError(f'{file} cannot be read: {error}') from None
  return found


def _recorded_options(name, path, config):
  model = dict(config.get('model', {}))
  theirs = model.pop('name', name)
  model.pop('dtype', None)  # of the computation there, not of the weights
  if theirs != name:
    raise weights.WeightsError(
      f'{path} is {theirs}, as the folder beside it says, not {name}'
    )
  return model


def _of_record(path, size, config) -> Preprocessing:
  data = config.get('data', {})
  if data.get('mean_image'):
    why = (
      f'{path} was trained on images less the mean of each pixel, which is not '
      'in it: subtract mean_image.npy of its workdir, divide by data.std'
    )
  elif {'mean', 'std', 'order', 'image_size'} <= data.keys():
    return Preprocessing(
      data['image_size'], tuple(data['mean']), tuple(data['std']), data['order']
    )
  else:
    why = (
      f'how {path} wants its images is not known: it holds no more than '
      'arrays. Where you know it: '
      'zoo.preprocessing.Preprocessing(image_size, mean, std, order)'
    )
  return Preprocessing(data.get('image_size', size), None, None, unknown=why)
