"""PyTorch's files of weights -> NumPy arrays, without PyTorch.

Such a file is a pickle, which may name any function of any package and have it
called. Here a name stands for one of the few things below, or for an object
that does nothing: what people save beside the weights (an optimizer's state,
the arguments of their script) is passed over, and no code of a file runs.

The layouts are those of torch/serialization.py: since PyTorch 1.6 a zip archive
of data.pkl and a file for each storage; before, pickles one after the other,
then the storages. torchvision's VGG and older ResNets are of the second kind.
"""

import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

Arrays = dict[str, np.ndarray]
# What training scripts call the weights in what they save. The average comes
# first: it is what those scripts evaluate, and what timm loads.
WRAPPERS = (
  'state_dict_ema', 'model_ema', 'state_dict', 'model_state_dict', 'model',
  'net',
)  # fmt: skip
# What wrappers of modules put before the names of a module's parameters:
# DataParallel, torch.compile, a module that keeps the network as `model`.
PREFIXES = ('module.', '_orig_mod.', 'model.')
_DEPTH = 4  # of wrappers
_COUNTERS = ('num_batches_tracked', 'n_averaged')  # no weights
_DTYPES = {
  'DoubleStorage': np.float64, 'FloatStorage': np.float32,
  'HalfStorage': np.float16, 'BFloat16Storage': jnp.bfloat16,
  'LongStorage': np.int64, 'IntStorage': np.int32, 'ShortStorage': np.int16,
  'CharStorage': np.int8, 'ByteStorage': np.uint8, 'BoolStorage': np.bool_,
}  # fmt: skip
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class _Sealed:
  """A pickle can set no attribute of such an object, nor of its class."""

  def __setstate__(self, state):
    del state


class _Unknown(_Sealed):
  """Stands for whatever a pickle names or makes that is not known here."""

  def __new__(cls, *args, **named):
    del args, named
    return super().__new__(cls)

  def __call__(self, *args, **named):
    del args, named
    return self

  def __setitem__(self, key, value):
    del key, value

  def append(self, item):
    del item

  extend = add = append


class _Dict(dict, _Sealed):
  """An OrderedDict of a state_dict, without the versions of its modules."""


class _Storage(NamedTuple):
  """Numbers of a file that tensors are parts of."""

  key: str
  dtype: Any
  size: int  # in numbers


class _Tensor(_Sealed):
  """A part of a storage, read only where it is wanted; numbers, not bytes."""

  def __init__(self, storage, offset, shape, strides, *rest):
    del rest  # gradients and hooks
    self.storage, self.offset = storage, offset
    self.shape, self.strides = shape, strides


class _Parameter(_Sealed):
  """A parameter is its tensor."""

  def __new__(cls, tensor, *rest):
    del rest
    return tensor


_KNOWN = {
  'collections.OrderedDict': _Dict,
  'torch._utils._rebuild_tensor': _Tensor,
  'torch._utils._rebuild_tensor_v2': _Tensor,
  'torch._utils._rebuild_parameter': _Parameter,
  'torch._utils._rebuild_parameter_with_state': _Parameter,
  **{f'torch.{name}': name for name in _DTYPES},
}


class _Unpickler(pickle.Unpickler):
  """Makes what `_KNOWN` has; everything else is a class of `_Unknown`."""

  def __init__(self, file):
    super().__init__(file, encoding='utf-8')  # of texts of Python 2
    self.storages: dict[str, _Storage] = {}

  def find_class(self, module, name):
    """As pickle has it; imports nothing."""
    path = f'{module}.{name}'
    return _KNOWN.get(path) or type(path, (_Unknown,), {})

  def persistent_load(self, pid):
    """Returns a storage: ('storage', its type, key, device, size, view)."""
    _, kind, key, _, size, *view = pid
    if kind not in _DTYPES or any(view):
      return _Unknown()
    storage = _Storage(str(key), np.dtype(_DTYPES[kind]), int(size))
    self.storages[storage.key] = storage
    return storage


def read(file: pathlib.Path) -> tuple[Arrays, list[str]]:
  """Returns the weights in a file by name, and what was done to find them.

  Args:
    file: as torch.save writes it: a state_dict, or a dictionary that has one
      under a name of `WRAPPERS`.

  Returns:
    The arrays, in the file's types; and notes for a person.

  Raises:
    OSError: it cannot be read.
    Exception: of pickle, struct or zipfile: damaged, or no file of PyTorch.
    ValueError: no weights in it, or something else where one should be.
  """
  with file.open('rb') as opened:
    form = _open_zip if opened.read(2) == b'PK' else _open_old
    opened.seek(0)
    content, bytes_of = form(opened)
    found, notes = weights_of(content)
    return {k: _array(k, v, bytes_of) for k, v in found.items()}, notes


def _open_zip(opened) -> tuple[Any, Callable[[_Storage], bytes]]:
  archive = zipfile.ZipFile(opened)
  names = archive.namelist()
  pickles = [n for n in names if n.endswith('/data.pkl')]
  if len(pickles) != 1:
    raise ValueError('a zip archive, but without data.pkl: not of torch.save')
  root = pickles[0].removesuffix('data.pkl')
  order = f'{root}byteorder'
  if order in names and archive.read(order) != b'little':
    raise ValueError('written on a big-endian machine')
  with archive.open(pickles[0]) as file:
    content = _Unpickler(file).load()
  return content, lambda storage: archive.read(f'{root}data/{storage.key}')


def _open_old(opened) -> tuple[Any, Callable[[_Storage], bytes]]:
  storages: dict[str, _Storage] = {}

  def load():
    unpickler = _Unpickler(opened)
    loaded = unpickler.load()
    storages.update(unpickler.storages)
    return loaded

  if opened.read(1) != b'\x80':
    raise ValueError(
      'not a file of torch.save, or of PyTorch 0.1: load it in PyTorch and '
      'torch.save(model.state_dict(), FILE)'
    )
  opened.seek(0)
  if load() != _MAGIC or load() != _PROTOCOL:
    raise ValueError('a pickle, but not of torch.save')
  if not load()['little_endian']:
    raise ValueError('written on a big-endian machine')
  content, keys = load(), load()
  places = {}
  for key in keys:
    (size,) = struct.unpack('<q', opened.read(8))
    if key not in storages:
      raise ValueError('it has a storage of a type that is not known here')
    length = size * storages[key].dtype.itemsize
    places[key] = opened.tell(), length
    opened.seek(length, 1)

  def bytes_of(storage):
    place, length = places[storage.key]
    opened.seek(place)
    return opened.read(length)

  return content, bytes_of


def _array(name, tensor, bytes_of) -> np.ndarray:
  """Returns a tensor as an array; NumPy holds it against its storage's end."""
  if not isinstance(tensor.storage, _Storage):
    raise ValueError(f'{name} is kept in a form that is not known here')
  kind, size = tensor.storage.dtype, tensor.storage.dtype.itemsize
  content = bytes_of(tensor.storage)
  if len(content) != tensor.storage.size * size:
    raise ValueError(f'{name} is truncated')
  strides = [size * n for n in tensor.strides]
  return np.ndarray(tensor.shape, kind, content, size * tensor.offset, strides)


def weights_of(content: Any) -> tuple[dict[str, Any], list[str]]:
  """Returns the weights in what a file holds, by the network's own names.

  Args:
    content: a state_dict, or dictionaries around one; its values may be arrays.

  Returns:
    The tensors or arrays; and what was unwrapped and stripped, for a person.

  Raises:
    ValueError: no weights in it, or something else where one should be.
  """
  notes, where = [], ''
  for _ in range(_DEPTH):  # a dictionary may hold itself
    if not (inner := _wrapped(content)):
      break
    beside = [str(k) for k in content if k != inner]
    where, content = f'{where}.{inner}'.strip('.'), content[inner]
    aside = f', not {", ".join(beside)}' if beside else ''
    notes.append(f'the weights in {where}{aside}')
  if isinstance(content, _Unknown):
    raise ValueError(
      f'{where or "it"} is an object of {type(content).__name__}, and no code '
      'of a file is run: torch.save(model.state_dict(), FILE) writes weights '
      'alone'
    )
  found = _tensors(content if isinstance(content, Mapping) else {}, where)
  if not found:
    has = f': it has {", ".join(map(str, content))}'[:100] if content else ''
    raise ValueError(f'no weights by name in {where or "it"}{has}')
  stripped, prefix = _stripped(found)
  if prefix:
    notes.append(f"names without '{prefix}'")
  return stripped, notes


def _wrapped(content) -> str:
  """Returns the name under which a dictionary has the weights; '': it is it."""
  kinds = (Mapping, _Unknown)
  for name in WRAPPERS if isinstance(content, Mapping) else ():
    if content.get(name) and isinstance(content[name], kinds):
      return name
  return ''


def _tensors(content, where):
  """Drops what is no weight; refuses what cannot be told from one."""
  found = {}
  for name, value in content.items():
    if isinstance(value, _Unknown):
      raise ValueError(
        f'{where}{"." * bool(where)}{name} is an object of '
        f'{type(value).__name__}, not a tensor, and no code of a file is run'
      )
    tensor = isinstance(value, _Tensor | np.ndarray)
    if tensor and not str(name).endswith(_COUNTERS):
      found[str(name)] = value
  return found


def _stripped(found):
  """Returns the weights without what all names begin with, and that."""
  whole = ''
  while prefix := next(
    (p for p in PREFIXES if all(k.startswith(p) for k in found)), ''
  ):
    found = {k.removeprefix(prefix): v for k, v in found.items()}
    whole += prefix
  # torch.compile on a part of a network.
  inner = {k.replace('._orig_mod.', '.'): v for k, v in found.items()}
  return inner, whole or '_orig_mod.' * (inner.keys() != found.keys())
