"""Variables of our networks -> .safetensors, for PyTorch and whoever reads it.

Where torchvision has the network, arrays have its names and its layout, all of
its state_dict, so that load_state_dict takes them: kernels [out, in, h, w],
those of fully connected layers [out, in h w] in the order channels, rows,
columns. Else they are ours, as in the .npz of `weights.save`: 'params/conv1/
kernel', [h, w, in, out].

The header of the file has texts, of what is no text its JSON:

    network, options    of the zoo
    names               torchvision.models.NAME, or own
    class_names         in the order of the scores
    image_size          the side of the input, in pixels
    image_shape         [height, width, channels] of the images of the data
    order               of the channels that the network takes: rgb, bgr
    mean, std           of each channel, R, G, B, or one for all; of 0 to 255:
                        it takes (pixels - mean) / std
    mean_image          name of a file that stands in for `mean`; '' for none
    versions            of what wrote it
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import zoo
from zoo import weight_names

_TORCHVISION = {
  'alexnet_owt': 'alexnet',
  'vgg_a': 'vgg11', 'vgg_b': 'vgg13', 'vgg_d': 'vgg16', 'vgg_e': 'vgg19',
  **{f'resnet{n}_v1_5': f'resnet{n}' for n in (18, 34, 50, 101, 152)},
}  # fmt: skip
# Options that change neither an array nor what the network says of an image.
_OF_TRAINING = ('dropout', 'initializer', 'bn_group', 'fused_norm', 'scan')
_OWN = 'own'
_HEADER: dict[str, Callable[[str], Any]] = {
  **dict.fromkeys(('network', 'names', 'order', 'mean_image'), str),
  **dict.fromkeys(('options', 'class_names', 'image_size'), json.loads),
  **dict.fromkeys(('image_shape', 'mean', 'std', 'versions'), json.loads),
}


def torchvision_name(name: str, **options: Any) -> str:
  """Returns what torchvision calls a network; '' where it has none such.

  Args:
    name: of the zoo.
    **options: of the network. One that makes it another network than its name
      alone stands for, as `width`, is none of torchvision's.
  """
  default = zoo.options(name)
  same = all(
    value == default[key]
    for key, value in options.items()
    if key in default and key not in _OF_TRAINING
  )
  return _TORCHVISION.get(name, '') if same else ''


def arrays_of(
  name: str, variables: Mapping[str, Any], **options: Any
) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by their names: see the module."""
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  paths = {tuple(k.key for k in keys): np.asarray(v) for keys, v in leaves}
  if not torchvision_name(name, **options):
    return {'/'.join(path): value for path, value in paths.items()}
  rule = weight_names.torchvision(name)
  found = {rule(path): _as_torch(path, v) for path, v in paths.items()}
  for key in [k for k in found if k.endswith('.running_mean')]:
    # PyTorch's count of batches, which says nothing where momentum is given.
    counter = key.replace('running_mean', 'num_batches_tracked')
    found[counter] = np.zeros((), np.int64)
  return found


def _as_torch(path, value):
  if value.ndim != 4:
    return value
  value = value.transpose(3, 2, 0, 1)
  if path[-2].startswith('fc'):
    value = value.reshape(len(value), -1)
  return np.ascontiguousarray(value)  # what is written is its memory


def save(
  path: str,
  name: str,
  variables: Mapping[str, Any],
  about: Mapping[str, Any],
  **options: Any,
) -> dict[str, np.ndarray]:
  """Writes a .safetensors file; returns what `arrays_of` does.

  Args:
    path: of the file.
    name: of the network.
    variables: its.
    about: what else the header has: see the module.
    **options: of the network, those that are not its own defaults or all.

  Raises:
    ImportError: there is no package safetensors.
    OSError: it cannot be written.
  """
  from safetensors.numpy import save as as_bytes  # noqa: PLC0415

  theirs = torchvision_name(name, **options)
  texts = {
    # As PyTorch's own; transformers and what is built on it ask for it.
    **({'format': 'pt'} if theirs else {}),
    'network': name,
    'options': options,
    'names': f'torchvision.models.{theirs}' if theirs else _OWN,
    **about,
  }
  texts = {
    k: v if isinstance(v, str) else json.dumps(v) for k, v in texts.items()
  }
  arrays = arrays_of(name, variables, **options)
  # Its own `save_file` makes a file that only its owner may read.
  pathlib.Path(path).write_bytes(as_bytes(arrays, texts))
  return arrays


def header(path: str) -> dict[str, Any]:
  """Returns what `save` wrote in the header; {}: no such file.

  What was no text is as it was given, with lists for tuples.
  """
  if pathlib.Path(path).suffix != '.safetensors':
    return {}
  try:
    import safetensors  # noqa: PLC0415

    with safetensors.safe_open(path, 'np') as file:
      texts = file.metadata() or {}
    return {k: read(texts[k]) for k, read in _HEADER.items()}
  except Exception:  # noqa: BLE001  `weights.load` says what is wrong with it
    return {}
