"""Files as PyTorch users have them, written without PyTorch; traps in them."""

import argparse
import collections
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors

import zoo
from zoo import torch_files, weight_names, weights

STORAGES = {np.dtype(v): k for k, v in torch_files._DTYPES.items()}


class Tensor:
  """An array, to be written as PyTorch writes a tensor."""

  def __init__(self, array, parameter=False):
    self.array, self.parameter = array, parameter

  def __reduce__(self):
    utils, strides = sys.modules['torch._utils'], self.array.strides
    size = self.array.itemsize
    if self.parameter:
      form = utils._rebuild_parameter
      return form, (Tensor(self.array), True, collections.OrderedDict())
    steps = tuple(s // size for s in strides)
    hooks = collections.OrderedDict()
    arguments = (Storage(self.array), 0, self.array.shape, steps, False, hooks)
    return utils._rebuild_tensor_v2, arguments


class Storage:
  """Says `Pickler` to write the array by itself."""

  def __init__(self, array):
    self.array = array


@pytest.fixture(autouse=True)
def names_of_torch(monkeypatch):
  """Modules with the names that PyTorch's pickles have, and nothing in them."""

  def add(module, *names):
    made = types.ModuleType(module)
    monkeypatch.setitem(sys.modules, module, made)
    for name in names:
      content = {'__module__': module, '__qualname__': name}
      setattr(made, name, type(name, (), content))

  add('torch', *STORAGES.values())
  add('torch._utils', '_rebuild_tensor_v2', '_rebuild_parameter')
  add('theirs', 'Config')


class Pickler(pickle.Pickler):
  """Writes what refers to a storage, and keeps the array."""

  def __init__(self, file, *view):
    super().__init__(file, protocol=2)
    self.arrays, self._view = [], view

  def persistent_id(self, value):
    if not isinstance(value, Storage):
      return None
    kind = getattr(sys.modules['torch'], STORAGES[value.array.dtype])
    self.arrays.append(value.array)
    key, size = str(len(self.arrays)), value.array.size
    return ('storage', kind, key, 'cuda:0', size, *self._view)


def content_of(array):
  return array.tobytes('A')


def save(path, content):
  """Writes a file as PyTorch does since 1.6."""
  file = io.BytesIO()
  pickler = Pickler(file)
  pickler.dump(content)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', file.getvalue())
    archive.writestr('archive/byteorder', 'little')
    for i, array in enumerate(pickler.arrays):
      archive.writestr(f'archive/data/{i + 1}', content_of(array))


def save_old(path, content):
  """Writes a file as PyTorch did before."""
  with path.open('wb') as file:
    for head in (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}):
      pickle.dump(head, file, protocol=2)
    pickler = Pickler(file, None)
    pickler.dump(content)
    keys = [str(i + 1) for i in range(len(pickler.arrays))]
    pickle.dump(keys, file, protocol=2)
    for array in pickler.arrays:
      file.write(struct.pack('<q', array.size) + content_of(array))


def small_state(kind=np.float32):
  """Returns arrays by torchvision's names for a narrow vgg_a."""
  network = zoo.create('vgg_a', width=0.02, num_classes=10)
  image = np.zeros((1, 224, 224, 3), 'f')
  target = jax.eval_shape(network.init, jax.random.key(0), image)['params']
  indices = weight_names.torch_indices('vgg_a')
  rng, arrays = np.random.default_rng(0), {}
  for layer, leaves in target.items():
    *_, ins, outs = shape = leaves['kernel'].shape
    theirs = (outs, ins, *shape[:2])
    if layer.startswith('fc'):
      theirs = (outs, int(np.prod(shape[:3])))
    arrays[f'{indices[layer]}.weight'] = rng.normal(size=theirs).astype(kind)
    arrays[f'{indices[layer]}.bias'] = rng.normal(size=outs).astype(kind)
  return arrays


def tensors(arrays, prefix='', parameter=False):
  return collections.OrderedDict(
    (prefix + name, Tensor(array, parameter)) for name, array in arrays.items()
  )


@pytest.mark.parametrize(
  'name', ['lenet5', 'alexnet', 'googlenet', 'plain18', 'resnet20_cifar']
)
def test_a_file_of_another_network_is_refused_by_name(name):
  """Also where torchvision has no such network, and so no names for it."""
  rule = weight_names.torchvision(name)
  read = weights.File(name, 'vgg.pth', small_state(), rule)
  with pytest.raises(weights.WeightsError, match=f'does not fit {name}'):
    read.variables(num_classes=10)


def check_loaded(path, arrays, *said):
  notes = []
  options = {'width': 0.02, 'num_classes': 10}
  loaded = weights.load('vgg_a', str(path), notes.append, **options)['params']
  for layer, theirs in weight_names.torch_indices('vgg_a').items():
    kernel = np.asarray(loaded[layer]['kernel'])
    assert kernel.dtype == np.float32
    expected = arrays[f'{theirs}.weight'].astype('f')
    found = kernel.transpose(3, 2, 0, 1).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
      loaded[layer]['bias'], arrays[f'{theirs}.bias'].astype('f')
    )
  assert len(notes) == bool(said)
  for words in said:
    assert words in notes[0]


def refused(path, match):
  with pytest.raises(weights.WeightsError, match=match):
    weights.load('vgg_a', str(path), width=0.02, num_classes=10)


@pytest.mark.parametrize('form', [save, save_old])
def test_a_state_dict_alone_is_read_and_nothing_said(tmp_path, form):
  arrays = small_state()
  form(tmp_path / 'a.pth', tensors(arrays))
  check_loaded(tmp_path / 'a.pth', arrays)


@pytest.mark.parametrize('form', [save, save_old])
def test_what_training_scripts_save_is_unwrapped(tmp_path, form):
  """The imagenet example's, torchvision's, and timm's, of several devices."""
  arrays = small_state()
  beside = {
    'epoch': 90,
    'best_acc1': Tensor(np.float32(70.5)),
    'optimizer': {'state': {0: {'momentum_buffer': Tensor(np.ones(3, 'f'))}}},
    'args': argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath('/data')),
    'score': np.float64(0.5),
  }
  state = {**tensors(arrays, 'module.'), 'bn.num_batches_tracked': 3}
  form(tmp_path / 'a.pth.tar', {**beside, 'state_dict': state})
  said = ['in state_dict, not epoch, best_acc1', 'args', "without 'module.'"]
  check_loaded(tmp_path / 'a.pth.tar', arrays, *said)
  for name in ('model', 'model_state_dict', 'net'):
    form(tmp_path / 'a.pt', {name: tensors(arrays, '_orig_mod.'), **beside})
    check_loaded(tmp_path / 'a.pt', arrays, f'in {name}', '_orig_mod.')
  other = tensors({k: v + 1 for k, v in arrays.items()})
  form(tmp_path / 'a.ckpt', {'state_dict': other, 'state_dict_ema': state})
  check_loaded(tmp_path / 'a.ckpt', arrays, 'in state_dict_ema, not state_dict')


@pytest.mark.parametrize(
  'prefix',
  ['module._orig_mod.', '_orig_mod.module.', 'model.', 'module.model.'],
)
def test_nested_wrappers_and_prefixes(tmp_path, prefix):
  arrays = small_state()
  state = tensors(arrays, prefix, parameter=True)
  state[prefix.split('.')[0] + '.n_averaged'] = Tensor(np.int64(7))
  save(tmp_path / 'a.pth', {'model': {'state_dict': state}})
  check_loaded(tmp_path / 'a.pth', arrays, 'in model.state_dict', prefix)


def test_a_compiled_part_of_a_network(tmp_path):
  arrays = small_state()
  state = tensors(
    {
      k.replace('features.', 'features._orig_mod.'): v
      for k, v in arrays.items()
    }
  )
  save(tmp_path / 'a.pth', state)
  check_loaded(tmp_path / 'a.pth', arrays, '_orig_mod.')


@pytest.mark.parametrize('kind', [np.float16, jnp.bfloat16, np.float64])
def test_other_kinds_of_floats_are_cast_and_it_is_said(tmp_path, kind):
  arrays = small_state(kind)
  said = f'{np.dtype(kind).name} as float32'
  save(tmp_path / 'a.pth', tensors(arrays))
  check_loaded(tmp_path / 'a.pth', arrays, said)
  save_old(tmp_path / 'a.pth', tensors(arrays, parameter=True))
  check_loaded(tmp_path / 'a.pth', arrays, said)


def test_integers_are_no_weights(tmp_path):
  save(tmp_path / 'a.pth', tensors(small_state(np.int8)))
  refused(tmp_path / 'a.pth', 'is of int8, no floats')


def test_prefixes_of_safetensors(tmp_path):
  arrays = small_state()
  named = {f'module.{k}': v for k, v in arrays.items()}
  safetensors.save_file(named, str(tmp_path / 'a.safetensors'))
  check_loaded(tmp_path / 'a.safetensors', arrays, "without 'module.'")


def test_transposed_tensors_are_read_by_their_strides(tmp_path):
  array = np.asfortranarray(np.arange(6, dtype='f').reshape(2, 3))
  save(tmp_path / 'a.pth', {'fc.weight': Tensor(array)})
  found, _ = torch_files.read(tmp_path / 'a.pth')
  np.testing.assert_array_equal(found['fc.weight'], array)


class Trap:
  """Leaves a mark where it is unpickled."""

  def __init__(self, mark):
    self.mark = mark

  def __reduce__(self):
    return pathlib.Path.touch, (self.mark,)


@pytest.mark.parametrize('form', [save, save_old])
def test_no_code_of_a_file_runs(tmp_path, form):
  mark, path = tmp_path / 'code-of-a-pickle-ran', tmp_path / 'a.pth'
  arrays, trap = small_state(), Trap(mark)
  for name, match in (
    (None, 'no code'),
    *((w, w) for w in torch_files.WRAPPERS),
  ):
    form(path, trap if name is None else {name: trap})
    refused(path, match)
    form(path, {name: {**tensors(arrays), 'features.0.bias': trap}})
    refused(path, 'no code|no weights by name')
  form(path, {'state_dict': tensors(arrays), 'args': trap, trap: 1})
  check_loaded(path, arrays, 'in state_dict')
  assert not mark.exists()
  pickle.loads(pickle.dumps(trap))  # the trap itself works
  assert mark.exists()


@pytest.mark.parametrize(
  'code',
  [
    b'cos\nsystem\n(S"touch MARK"\ntR.',  # REDUCE
    b'(S"touch MARK"\nios\nsystem\n.',  # INST
    b'(cos\nsystem\nS"touch MARK"\no.',  # OBJ
    b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0atouch MARK\x85R.',
    b"c__builtin__\neval\n(S\"open('MARK', 'w')\"\ntR.",
    # BUILD: attributes of what is known here.
    b'ctorch._utils\n_rebuild_tensor_v2\n}S"__init__"\ncos\nsystem\nsb.',
    b'ccollections\nOrderedDict\n(N}S"items"\ncos\nsystem\nstb.',
  ],
)
def test_opcodes_that_call_or_change_do_neither(tmp_path, monkeypatch, code):
  monkeypatch.chdir(tmp_path)
  kept = dict(vars(torch_files._Tensor)), dict(vars(torch_files._Dict))
  with zipfile.ZipFile('a.pth', 'w') as archive:
    archive.writestr('a/data.pkl', code)
  refused('a.pth', 'cannot be read')
  assert not pathlib.Path('MARK').exists()
  assert kept == (
    dict(vars(torch_files._Tensor)), dict(vars(torch_files._Dict)),
  )  # fmt: skip


def test_a_whole_model_says_how_to_save_its_weights(tmp_path):
  save(tmp_path / 'a.pth', {'model': sys.modules['theirs'].Config()})
  refused(
    tmp_path / 'a.pth', r'model is an object of theirs.Config.*state_dict'
  )
  endless = {}
  endless['state_dict'] = endless
  save(tmp_path / 'a.pth', endless)
  refused(tmp_path / 'a.pth', 'no weights by name')
  save(tmp_path / 'a.pth', {'epoch': 3, 'weight': 'none'})
  refused(tmp_path / 'a.pth', 'no weights by name in it: it has epoch, weight')


def test_damaged_and_foreign_files_are_refused(tmp_path):
  arrays, path = small_state(), tmp_path / 'a.pth'
  save(path, tensors(arrays))
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  refused(path, 'cannot be read')
  save_old(path, tensors(arrays))
  content = path.read_bytes()
  path.write_bytes(content[:-1])
  refused(path, 'bias is truncated')
  path.write_bytes(pickle.dumps(3, protocol=2))
  refused(path, 'a pickle, but not of torch.save')
  path.write_bytes(b'sys_info.tar' * 100)
  refused(path, r'torch.save\(model.state_dict')
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('graph.json', '{}')
  refused(path, 'without data.pkl')


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
  array = np.ones(4, 'f')
  tensor = Tensor(array)
  utils = sys.modules['torch._utils']
  for place, shape, strides in (
    (2, (4,), (1,)),
    (0, (4,), (9,)),
    (0, (9,), (1,)),
  ):
    arguments = (Storage(array), place, shape, strides)
    tensor = type('T', (Tensor,), {
      '__reduce__': lambda self, a=arguments: (utils._rebuild_tensor_v2, a)
    })(array)  # fmt: skip
    save(tmp_path / 'a.pth', {'features.0.weight': tensor})
    refused(tmp_path / 'a.pth', 'cannot be read')
