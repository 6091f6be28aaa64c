"""Published layouts of weights, against runs by other people's code."""

import pathlib
import pickle
import sys
import types

import jax
import numpy as np
import onnx
import onnx_graphs
import onnxruntime
import pytest
from conftest import random_variables
from safetensors import numpy as safetensors

import zoo
from zoo import weights

# The graphs of the ONNX model zoo that ship with `onnx`, without weights.
GRAPHS = {
  'light_bvlc_alexnet': ('bvlc_alexnet', 227),
  'light_zfnet512': ('zfnet512', 224),
  'light_inception_v1': ('bvlc_googlenet', 224),
  'light_vgg19': ('vgg_e', 224),
  'light_resnet50': ('resnet50_v1_5', 224),
}
WIDTH = 0.25  # whole, a network takes seconds more and up to 2.4 GB of memory


@pytest.mark.slow
@pytest.mark.parametrize('graph_name', GRAPHS)
def test_every_layer_equals_onnxruntimes(graph_name, tmp_path):
  name, side = GRAPHS[graph_name]
  model = onnx_graphs.random_model(graph_name, side, WIDTH)
  outputs = onnx_graphs.give_layers(model, graph_name)
  file = tmp_path / 'model.onnx'
  onnx.save(model, str(file))
  del model
  session = onnxruntime.InferenceSession(
    str(file), providers=['CPUExecutionProvider']
  )
  rng = np.random.default_rng(1)
  images = rng.normal(size=(2, side, side, 3)).astype('f')
  feed = {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2).copy()}
  expected = dict(zip(outputs, session.run(list(outputs.values()), feed)))
  del session
  network, variables, _ = zoo.pretrained(name, str(file), width=WIDTH)
  seen = jax.jit(lambda v, x: zoo.activations(network, v, x))(variables, images)
  assert set(seen) == set(expected)
  for layer, found in seen.items():
    theirs = expected[layer].reshape(
      *expected[layer].shape[:2], *found.shape[1:3]
    )
    theirs = theirs.transpose(0, 2, 3, 1)
    assert theirs.shape == found.shape
    assert np.abs(found - theirs).max() < 1e-4 * theirs.std(), layer


def small_vgg(path, change=lambda arrays: None):
  network = zoo.create('vgg_a', width=0.02, num_classes=10)
  variables = random_variables(network, (224, 224, 3))
  weights.save(str(path), variables)
  arrays = dict(np.load(path))
  change(arrays)
  np.savez(path, **arrays)
  return variables


def load_small(path):
  return weights.load('vgg_a', str(path), width=0.02, num_classes=10)


@pytest.mark.slow
def test_what_is_saved_is_loaded(tmp_path):
  saved = small_vgg(tmp_path / 'a.npz')
  loaded = load_small(tmp_path / 'a.npz')
  jax.tree.map(np.testing.assert_array_equal, saved, loaded)


@pytest.mark.slow
def test_files_that_do_not_fit_are_refused_by_name_and_shape(tmp_path):
  path = tmp_path / 'a.npz'
  kernel = 'params/conv1_1/kernel'
  small_vgg(path, lambda a: a.pop(kernel))
  with pytest.raises(weights.WeightsError, match=f'has no {kernel}'):
    load_small(path)
  small_vgg(path, lambda a: a.update(more=np.zeros(3)))
  with pytest.raises(weights.WeightsError, match=r'has more \(3,\) too'):
    load_small(path)
  small_vgg(path, lambda a: a.update({kernel: np.zeros((3, 3, 1, 4))}))
  with pytest.raises(weights.WeightsError, match=r'\(3, 3, 1, 4\).*\(3, 3, 3'):
    load_small(path)


def test_damaged_files_are_refused(tmp_path):
  path = tmp_path / 'a.npz'
  small_vgg(path)
  path.write_bytes(path.read_bytes()[:1000])
  with pytest.raises(weights.WeightsError, match='cannot be read'):
    load_small(path)
  (tmp_path / 'a.onnx').write_bytes(b'not a graph')
  with pytest.raises(weights.WeightsError, match='cannot be read'):
    weights.load('vgg_e', str(tmp_path / 'a.onnx'))
  with pytest.raises(weights.WeightsError, match='cannot be read'):
    weights.load('vgg_e', str(tmp_path / 'missing.npz'))
  with pytest.raises(weights.WeightsError, match='not one of the kinds'):
    weights.load('vgg_e', str(tmp_path / 'a.keras'))


def test_timms_names_of_vgg_are_torchvisions(tmp_path):
  network = zoo.create('vgg_a', width=0.02, num_classes=10)
  target = jax.eval_shape(
    network.init, jax.random.key(0), np.zeros((1, 224, 224, 3), 'f')
  )['params']
  # timm/vgg11.tv_in1k: positions of the convolutions, then its own head.
  convolutions = [f'features.{i}' for i in (0, 3, 6, 8, 11, 13, 16, 18)]
  names = [*convolutions, 'pre_logits.fc1', 'pre_logits.fc2', 'head.fc']
  rng, arrays = np.random.default_rng(0), {}
  for name, layer in zip(names, target.values(), strict=True):
    height, width, ins, outs = layer['kernel'].shape
    shape = (outs, ins, height, width) if 'head' not in name else (outs, ins)
    arrays[f'{name}.weight'] = rng.normal(size=shape).astype('f')
    arrays[f'{name}.bias'] = rng.normal(size=outs).astype('f')
  safetensors.save_file(arrays, str(tmp_path / 'a.safetensors'))
  loaded = weights.load(
    'vgg_a', str(tmp_path / 'a.safetensors'), width=0.02, num_classes=10
  )['params']
  for ours, theirs in (('fc6', 'pre_logits.fc1'), ('conv2_1', 'features.3')):
    np.testing.assert_array_equal(
      loaded[ours]['kernel'], arrays[f'{theirs}.weight'].transpose(2, 3, 1, 0)
    )
  np.testing.assert_array_equal(
    loaded['fc8']['kernel'][0, 0], arrays['head.fc.weight'].T
  )


def test_a_hub_id_is_fetched_or_says_why_not(tmp_path, monkeypatch):
  hub = types.ModuleType('huggingface_hub')
  asked = []

  def fetched(*arguments):
    asked.append(arguments)
    return str(tmp_path / 'missing.safetensors')

  hub.hf_hub_download = fetched
  monkeypatch.setitem(sys.modules, 'huggingface_hub', hub)
  with pytest.raises(
    weights.WeightsError, match=r'cannot be read|needs a pack'
  ):
    weights.load('vgg_d', 'timm/vgg16.tv_in1k')
  assert asked == [('timm/vgg16.tv_in1k', 'model.safetensors')]

  def offline(*_):
    raise OSError('no network')

  hub.hf_hub_download = offline
  with pytest.raises(weights.WeightsError, match=r'no file here.*no network'):
    weights.load('vgg_d', 'timm/vgg16.tv_in1k')


class Trap:
  """Leaves a mark where it is unpickled."""

  def __init__(self, mark):
    self.mark = mark

  def __reduce__(self):
    return pathlib.Path.touch, (self.mark,)


def test_a_pickle_inside_npz_is_not_run(tmp_path):
  mark = tmp_path / 'code-of-a-pickle-ran'
  trap = Trap(mark)
  np.savez(tmp_path / 'a.npz', trap=np.array([trap], dtype=object))
  with pytest.raises(weights.WeightsError, match='cannot be read'):
    load_small(tmp_path / 'a.npz')
  assert not mark.exists()
  pickle.loads(pickle.dumps(trap))  # the trap itself works
  assert mark.exists()
