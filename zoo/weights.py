"""Published weights -> variables of our networks. No code of a file is run.

    variables = weights.load('vgg_e', 'vgg19-caffe2-9.onnx')
    variables = weights.load('resnet50_v1_5', 'resnet50-0676ba61.pth')

A file is read into arrays by name; for every array of ours a rule below gives
the name that it has in the file. Nothing may be missing, left over, or of
another shape.

    source                                       networks
    ONNX model zoo (Caffe's original weights)    bvlc_alexnet, zfnet512, vgg_e
                                                 bvlc_googlenet,
                                                 resnet50_v1_5
    torchvision, timm, and training in           alexnet_owt, vgg_a/b/d/e,
    PyTorch with their networks (.pth and the    resnet18/34/50/101/152_v1_5
    like, .safetensors): `zoo.torch_files`
    `save` (.npz), `weight_files.save`           all
    (.safetensors)

A hub id such as 'timm/vgg16.tv_in1k' is fetched where there is a network.

Other people's weights want their own preprocessing, on pixels of 0 to 255:

    .onnx                       channels B, G, R; minus 104, 117, 123 (VGG:
                                103.939, 116.779, 123.68); GoogLeNet is
                                bvlc_googlenet
    of PyTorch, .safetensors    R, G, B; divided by 255, minus ImageNet's mean,
                                divided by its standard deviation
    .npz                        as the config says
    of `weight_files.save`      as its header says

That of the zoo's ResNet-50 is Caffe's by its form; its authors do not say.
"""

import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

import zoo
from zoo import torch_files, weight_files, weight_names
from zoo.torch_files import Arrays

_Found = tuple[Arrays, list[str]]  # and what a person should know of it


# .tar: of the .pth.tar of PyTorch's own examples.
_TORCH = ('.pth', '.pt', '.tar', '.bin', '.ckpt')


class WeightsError(ValueError):
  """A file that cannot be read, or does not fit; one line."""


class File(NamedTuple):
  """A file of weights that was read, for a network."""

  name: str  # of the network
  path: str
  arrays: Arrays  # by their names there
  rule: weight_names.Rule

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
    return _convert(self, frozenset(without), options)

  def num_classes(self, classifier: str) -> int | None:
    """Returns how many classes a layer of the file knows; None: not there."""
    bias = self.arrays.get(self.rule(('params', classifier, 'bias')))
    return None if bias is None else bias.size


class Origin(NamedTuple):
  """How weights were trained; `mean` and `std` are R, G, B of 0 to 255."""

  order: str  # of the channels: rgb, bgr
  mean: tuple[float, ...]
  std: tuple[float, ...]
  options: tuple[tuple[str, Any], ...] = ()  # of the network


_TORCHVISION = Origin(
  'rgb', (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)  # 255 times (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225)


def origin(name: str, path: str) -> Origin | None:
  """Returns how published weights want their images; None: not known.

  Raises:
    WeightsError: with a mean image, which a file of weights does not hold.
  """
  suffix = pathlib.Path(path).suffix
  if ours := weight_files.header(path):
    if ours['mean_image']:
      raise WeightsError(
        f'{path}: its mean image is not beside it: {ours["mean_image"]} of the '
        'folder that was written with it'
      )
    return Origin(ours['order'], tuple(ours['mean']), tuple(ours['std']))
  if suffix in (*_TORCH, '.safetensors'):
    return _TORCHVISION
  if suffix != '.onnx':
    return None
  mean = (123.0, 117.0, 104.0)
  if name.startswith('vgg'):
    mean = (123.68, 116.779, 103.939)
  options = (('lrn', 'caffe'),) if 'googlenet' in name else ()
  return Origin('bgr', mean, (1.0,), options)


def load(
  name: str,
  path: str,
  say: Callable[[str], None] = lambda text: None,
  **options: Any,
) -> dict[str, Any]:
  """Returns the variables of a network from a file of published weights.

  Args:
    name: of the zoo.
    path: .onnx, .safetensors, .npz, or of PyTorch: .pth, .pt, .pth.tar, .bin,
      .ckpt; or OWNER/MODEL of the Hugging Face hub.
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
    arrays, notes = reader(file)
  except ImportError as error:
    raise WeightsError(f'{path}: reading it needs a package: {error}') from None
  except Exception as error:  # each format has its own kinds
    reason = ' '.join(str(error).split())[:200]
    raise WeightsError(f'{path} cannot be read: {reason}') from error
  if 'googlenet' in name and any('inception3a.' in k for k in arrays):
    raise WeightsError(
      f"{path} is torchvision's GoogLeNet: it has 3x3 convolutions where the "
      'paper has 5x5, and batch normalisation'
    )
  form = {**zoo.options(name), **options}.get('lrn')
  if file.suffix == '.onnx' and form == 'paper':
    raise WeightsError(
      f"{path} was trained with Caffe's response normalisation: its network is "
      f'bvlc_googlenet, not {name}'
    )
  if any(k.startswith('params/') for k in arrays):
    rule = weight_names.own
  kinds = {str(v.dtype) for v in arrays.values()} - {'float32'}
  if kinds:
    notes = [*notes, f'{" and ".join(sorted(kinds))} as float32']
  if notes:
    say(f'{path}: {"; ".join(notes)}')
  return File(name, path, arrays, rule(name))


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
  # Published files have the main path only.
  if 'googlenet' in name and not any('params/aux' in k for k in arrays):
    target['params'] = {
      k: v for k, v in target['params'].items() if not k.startswith('aux')
    }
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
  return {
    i.name.removeprefix('gpu_0/'): numpy_helper.to_array(i)
    for i in graph.initializer
    if i.name in used and not i.name.startswith('OC2_DUMMY')
  }, []


def _read_torch(file) -> _Found:
  arrays, notes = torch_files.read(file)
  return _as_torchvision(arrays), notes


def _read_safetensors(file) -> _Found:
  from safetensors.numpy import load_file  # noqa: PLC0415

  arrays = load_file(str(file))
  if any(k.startswith('params/') for k in arrays):
    return _turned(arrays), []
  arrays, notes = torch_files.weights_of(arrays)
  return _as_torchvision(arrays), notes


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
    return _turned(content), []


def _turned(arrays):
  """Turns kernels of ours round, since `_as_kernel` turns them back."""
  return {
    k: v.transpose(3, 2, 0, 1) if v.ndim == 4 else v for k, v in arrays.items()
  }


_READERS = {
  '.onnx': (_read_onnx, weight_names.caffe2),
  **dict.fromkeys(_TORCH, (_read_torch, weight_names.torchvision)),
  '.safetensors': (_read_safetensors, weight_names.torchvision),
  '.npz': (_read_npz, weight_names.own),
}
SUFFIXES = frozenset(_READERS)
