"""Published weights -> variables of our networks. No code of a file is run.

    variables = weights.load('vgg_e', 'vgg19-caffe2-9.onnx')
    variables = weights.load('resnet50_v1_5', 'resnet50-0676ba61.pth')

A file is read into arrays by name; for every array of ours a rule below gives
the name that it has in the file. Nothing may be missing, left over, or of
another shape.

    source                                       networks
    the authors' own, in Caffe (.caffemodel):    bvlc_alexnet, caffenet,
    `zoo.caffe_files`                            bvlc_googlenet, vgg_d/e,
                                                 resnet50/101/152
    keras.applications (.h5), the same weights:  vgg_d/e; resnet50/101/152 with
    `zoo.keras_files`                            padded_pool=True
    ONNX model zoo (Caffe's original weights)    bvlc_alexnet, zfnet512, vgg_e
                                                 bvlc_googlenet,
                                                 resnet50_v1_5
    torchvision, timm, and training in           alexnet_owt, vgg_a/b/d/e,
    PyTorch with their networks (.pth and the    resnet18/34/50/101/152_v1_5
    like, .safetensors): `zoo.torch_files`
    `save` (.npz), `weight_files.save`           all
    (.safetensors)

A hub id such as 'timm/vgg16.tv_in1k' is fetched where there is a network.

How they want their images, and with which network: `zoo.weight_origins`.
"""

import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

import zoo
from zoo import (
  caffe_files,
  keras_files,
  torch_files,
  weight_files,
  weight_names,
  weight_origins,
)
from zoo.torch_files import Arrays
from zoo.weight_origins import TORCH, Origin


class _Found(NamedTuple):
  """What a file has."""

  arrays: Arrays
  notes: Sequence[str] = ()  # what a person should know of it
  network: str = ''  # of which it is, where the file tells


class WeightsError(ValueError):
  """A file that cannot be read, or does not fit; one line."""


class File(NamedTuple):
  """A file of weights that was read, for a network."""

  name: str  # of the network
  path: str
  arrays: Arrays  # by their names there
  rule: weight_names.Rule
  told: Sequence[str] = ()  # what may explain that it does not fit

  def variables(
    self, without: Iterable[str] = (), **options: Any
  ) -> dict[str, Any]:
    """Returns the variables of the network.

    Args:
      without: modules by path, as 'fc8' or 'conv2_1/a', that are left out and
        compared with nothing; nor is what the file has beyond the others.
      **options: of the network; `num_classes` is 1000 by default.

    Raises:
      WeightsError: the first array that is missing, left over or of another
        shape, with both shapes.
    """
    try:
      return _convert(self, frozenset(without), options)
    except WeightsError as error:
      raise WeightsError('; '.join([str(error), *self.told])) from None

  def num_classes(self, classifier: str) -> int | None:
    """Returns how many classes a layer of the file knows; None: not there."""
    bias = self.arrays.get(self.rule(('params', classifier, 'bias')))
    return None if bias is None else bias.size


def origin(name: str, path: str) -> Origin | None:
  """Returns how published weights want their images; None: not known.

  Raises:
    WeightsError: with a mean image, which a file of weights does not hold.
  """
  if ours := weight_files.header(path):
    if ours['mean_image']:
      raise WeightsError(
        f'{path}: its mean image is not beside it: {ours["mean_image"]} of the '
        'folder that was written with it'
      )
    return Origin(ours['order'], tuple(ours['mean']), tuple(ours['std']))
  return weight_origins.published(name, path)


def load(
  name: str,
  path: str,
  say: Callable[[str], None] = lambda text: None,
  **options: Any,
) -> dict[str, Any]:
  """Returns the variables of a network from a file of published weights.

  Args:
    name: of the zoo.
    path: .caffemodel, .h5, .onnx, .safetensors, .npz, or of PyTorch: .pth, .pt,
      .pth.tar, .bin, .ckpt; or OWNER/MODEL of the Hugging Face hub.
    say: is told, in a line, what was done to a file that is more than weights.
    **options: of the network; `num_classes` is 1000 by default.

  Raises:
    WeightsError: as `read` and `File.variables`.
    ValueError: unknown name or option.
  """
  return read(name, path, say, **options).variables(**options)


def read(
  name: str,
  path: str,
  say: Callable[[str], None] = lambda text: None,
  **options: Any,
) -> File:
  """Returns the arrays of a file; the arguments are those of `load`.

  Raises:
    WeightsError: unreadable or of an unknown kind, or of another network.
    ValueError: unknown name or option.
  """
  try:
    file = pathlib.Path(path).expanduser()
  except RuntimeError as error:  # no home directory, or no such user's
    raise WeightsError(f'{path}: {error}') from None
  if file.is_dir():
    raise WeightsError(
      f'{path} is a directory: evaluation.networks.load_variables reads '
      'checkpoints and workdirs'
    )
  hub_id = re.fullmatch(r'[\w-]+/[\w.-]+', path) and not file.exists()
  if hub_id and file.suffix not in _READERS:
    file = _fetch(path)
  if file.suffix not in _READERS:
    raise WeightsError(
      f'{path}: not one of the kinds {", ".join(sorted(_READERS))}'
    )
  reader, rule = _READERS[file.suffix]
  try:
    found = reader(file)
  except ImportError as error:
    package = (error.name or '').partition('.')[0]
    package = {'google': 'protobuf'}.get(package, package)
    raise WeightsError(
      f'{path}: reading it needs pip install {package} ({error})'
    ) from None
  except Exception as error:  # each format has its own kinds
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(f'{path} cannot be read: {reason}') from error
  arrays, notes = found.arrays, list(found.notes)
  if wrong := weight_origins.objection(
    name, file.suffix, arrays, found.network, options
  ):
    raise WeightsError(f'{path} {wrong}')
  if any(k.startswith('params/') for k in arrays):
    rule = weight_names.own
  told = list(notes)
  if found.network not in ('', name):
    told.append(f'it is of {found.network}')
  kinds = {str(v.dtype) for v in arrays.values()} - {'float32'}
  if kinds:
    notes.append(f'{" and ".join(sorted(kinds))} as float32')
  if notes:
    say(f'{path}: {"; ".join(notes)}')
  return File(name, path, arrays, rule(name), told)


def _target(name, options) -> dict[str, Any]:
  network = zoo.create(name, **options)
  image = jax.ShapeDtypeStruct((1, *zoo.image_shape(name)), jnp.float32)
  target = jax.eval_shape(network.init, jax.random.key(0), image)
  return {k: v for k, v in target.items() if k != 'aux_logits'}


def _fetch(hub_id) -> pathlib.Path:
  """Downloads the weights of a model of the hub once, into its own cache."""
  try:
    import huggingface_hub  # noqa: PLC0415

    found = huggingface_hub.hf_hub_download(hub_id, 'model.safetensors')
  except ImportError:
    raise WeightsError(
      f'{hub_id}: fetching it needs pip install huggingface_hub safetensors'
    ) from None
  except Exception as error:  # of the network, the hub, or the file system
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(
      f'{hub_id} is no file here, and could not be fetched from the hub: '
      f'{reason}'
    ) from error
  return pathlib.Path(found)


def save(path: str, variables: dict[str, Any]) -> None:
  """Writes variables as .npz, names joined with '/'."""
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  arrays: dict[str, Any] = {_joined(k): np.asarray(v) for k, v in leaves}
  np.savez(path, **arrays)


def _joined(keys) -> str:
  return '/'.join(key.key for key in keys)


def _convert(file, without, options):
  name, path, source_name = file.name, file.path, file.rule
  arrays, target = dict(file.arrays), _target(name, options)
  if 'googlenet' in name:
    target['params'], arrays = _with_the_same_heads(target['params'], arrays)
  target, left_out = _parted(target, without)
  for ours in left_out:
    arrays.pop(source_name(ours), None)

  def fill(keys, leaf):
    ours = tuple(key.key for key in keys)
    theirs = source_name(ours)
    if theirs not in arrays:
      raise WeightsError(
        f'{path} does not fit {name}: it has no {theirs} for {"/".join(ours)} '
        f'{leaf.shape}'
      )
    value = _as_kernel(arrays.pop(theirs), leaf.shape)
    if value.shape != leaf.shape:
      raise WeightsError(
        f'{path} does not fit {name}: {theirs} is {value.shape}, '
        f'{"/".join(ours)} is {leaf.shape}'
      )
    if not jnp.issubdtype(value.dtype, jnp.floating):
      raise WeightsError(
        f'{path} does not fit {name}: {theirs} is of {value.dtype}, no floats'
      )
    return jnp.asarray(value, leaf.dtype)

  result = jax.tree_util.tree_map_with_path(fill, target)
  if arrays and not without:  # a part is not compared with the whole
    first, value = next(iter(arrays.items()))
    raise WeightsError(
      f'{path} does not fit {name}: it has {first} {value.shape} too, which is '
      'nothing there'
    )
  return result


def _parted(target, without):
  """Returns variables without those of some modules, and the others' paths."""
  if not without:
    return target, []
  flat = traverse_util.flatten_dict(target)
  left_out = [p for p in flat if '/'.join(p[1:-1]) in without]
  for ours in left_out:
    del flat[ours]
  return traverse_util.unflatten_dict(flat), left_out


def _with_the_same_heads(target, arrays):
  """Leaves auxiliary heads out where the network or the file has none."""
  heads = [k for k in target if k.startswith('aux')]
  theirs = [k for k in arrays if re.match(r'loss[12]/|params/aux', k)]
  if heads and theirs:
    return target, arrays
  return (
    {k: v for k, v in target.items() if k not in heads},
    {k: v for k, v in arrays.items() if k not in theirs},
  )


def _as_kernel(value, shape):
  """OIHW or [O, C H W] -> HWIO, where a kernel is wanted."""
  if len(shape) != 4:
    return value
  height, width, ins, outs = shape
  flat = (outs, ins * height * width)
  if value.shape in (flat, (1, 1, *flat)):  # fully connected
    value = value.reshape(outs, ins, height, width)
  return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def _read_onnx(file) -> _Found:
  import onnx  # noqa: PLC0415
  from onnx import numpy_helper  # noqa: PLC0415

  graph = onnx.load(str(file)).graph
  kinds = ('Conv', 'Gemm', 'BatchNormalization', 'Reshape')
  used = {i for n in graph.node if n.op_type in kinds for i in n.input}
  return _Found(
    {
      i.name.removeprefix('gpu_0/'): numpy_helper.to_array(i)
      for i in graph.initializer
      if i.name in used and not i.name.startswith('OC2_DUMMY')
    }
  )


def _read_caffe(file) -> _Found:
  arrays, network = caffe_files.read(file)
  return _Found(arrays, network=network)


def _read_keras(file) -> _Found:
  return _Found(*keras_files.read(file))


def _read_torch(file) -> _Found:
  arrays, notes = torch_files.read(file)
  return _Found(_as_torchvision(arrays), notes)


def _read_safetensors(file) -> _Found:
  from safetensors.numpy import load_file  # noqa: PLC0415

  arrays = load_file(str(file))
  if any(k.startswith('params/') for k in arrays):
    return _Found(_turned(arrays))
  arrays, notes = torch_files.weights_of(arrays)
  return _Found(_as_torchvision(arrays), notes)


# timm's head of VGG, and torchvision's.
_TIMM = {'pre_logits.fc1': '0', 'pre_logits.fc2': '3', 'head.fc': '6'}


def _as_torchvision(arrays):
  """Gives timm's VGG the names of torchvision's."""
  if 'pre_logits.fc1.weight' not in arrays:
    return arrays
  return {
    f'classifier.{_TIMM[layer]}.{kind}' if layer in _TIMM else key: value
    for key, value in arrays.items()
    for layer, _, kind in [key.rpartition('.')]
  }


def _read_npz(file) -> _Found:
  if not zipfile.is_zipfile(file):
    raise ValueError('not an .npz archive')
  with np.load(file, allow_pickle=False) as content:
    return _Found(_turned(content))


def _turned(arrays):
  """Turns kernels of ours round, since `_as_kernel` turns them back."""
  return {
    k: v.transpose(3, 2, 0, 1) if v.ndim == 4 else v for k, v in arrays.items()
  }


_READERS = {
  '.caffemodel': (_read_caffe, weight_names.caffe),
  '.h5': (_read_keras, weight_names.keras),
  '.onnx': (_read_onnx, weight_names.caffe2),
  **dict.fromkeys(TORCH, (_read_torch, weight_names.torchvision)),
  '.safetensors': (_read_safetensors, weight_names.torchvision),
  '.npz': (_read_npz, weight_names.own),
}
SUFFIXES = frozenset(_READERS)
