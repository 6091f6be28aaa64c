"""Files of keras.applications, against onnxruntime, and against Keras itself.

`pip install keras` adds the latter; DEEP=1 its large networks; -rP shows the
differences.
"""

import os
import sys

import caffe_nets
import h5py
import jax
import keras_h5
import numpy as np
import onnxruntime
import pytest

import zoo
from zoo import weights

PADDED = {'padded_pool': True}
NETS = {
  'vgg_d': (lambda: caffe_nets.vgg(16, 0.0625), keras_h5.vgg_name, {}),
  'resnet50': (
    lambda: caffe_nets.resnet(50, 0.0625, keras=True), str, PADDED,
  ),
}  # fmt: skip


def difference(name, file, images, expected, **options):
  """Returns how far our logits are from others', in their deviations."""
  variables = weights.load(name, str(file), **options)
  network = zoo.create(name, **options)
  logits = jax.jit(network.apply)(variables, images)
  assert logits.shape == expected.shape == (2, 1000)
  return np.abs(logits - expected).max() / expected.std()


@pytest.mark.slow
@pytest.mark.parametrize('name', NETS)
def test_logits_equal_those_of_onnxruntime(name, tmp_path):
  make, names, options = NETS[name]
  net = make()
  keras_h5.write(tmp_path / 'a.h5', net, names)
  images = np.random.default_rng(1).normal(0, 50, (2, 224, 224, 3)).astype('f')
  session = onnxruntime.InferenceSession(
    caffe_nets.onnx_model(net).SerializeToString(),
    providers=['CPUExecutionProvider'],
  )
  expected = session.run(None, {'data': images.transpose(0, 3, 1, 2)})[0]
  found = difference(
    name, tmp_path / 'a.h5', images, expected, width=0.0625, **options
  )
  assert found < 1e-4


KERAS = {
  'ResNet50': ('resnet50', PADDED),
  'ResNet101': ('resnet101', PADDED),
  'ResNet152': ('resnet152', PADDED),
  'VGG16': ('vgg_d', {}),
  'VGG19': ('vgg_e', {}),
}


def random_keras(theirs, monkeypatch):
  """Returns a network of keras.applications with weights of a trained size."""
  if 'keras' not in sys.modules:
    monkeypatch.setenv('KERAS_BACKEND', 'jax')
  keras = pytest.importorskip('keras', reason='pip install keras')
  make = getattr(keras.applications, theirs)
  model = make(weights=None, classifier_activation=None)
  rng = np.random.default_rng(0)
  for layer in model.layers:
    if not (found := layer.get_weights()):
      continue
    size = found[-1].shape
    values = [rng.normal(0, 0.1, size), rng.normal(0, 0.1, size)]
    if len(found) == 4:
      low = 0.2 if layer.name.endswith('3_bn') else 0.8
      values = [rng.uniform(low, low + 0.4, size), *values]
      values.append(rng.uniform(0.5, 1.5, size))
    else:
      std = np.sqrt(2 / np.prod(found[0].shape[:-1]))
      values[0] = rng.normal(0, std, found[0].shape)
    layer.set_weights(values)
  return model


@pytest.mark.slow
@pytest.mark.parametrize('theirs', KERAS)
def test_logits_equal_those_of_keras(theirs, tmp_path, monkeypatch):
  if theirs != 'ResNet50' and 'DEEP' not in os.environ:
    pytest.skip('takes up to a minute: run with DEEP=1 in the environment')
  model = random_keras(theirs, monkeypatch)
  images = np.random.default_rng(1).normal(0, 50, (2, 224, 224, 3)).astype('f')
  expected = np.asarray(model.predict(images, verbose=0))
  name, options = KERAS[theirs]
  model.save(tmp_path / 'a.h5')
  model.save_weights(tmp_path / 'a.weights.h5')
  for file in ('a.h5', 'a.weights.h5'):
    found = difference(name, tmp_path / file, images, expected, **options)
    print(f'{theirs} {file} {found:.1e} of the deviation')
    assert found < 1e-4


def load(name, file, **options):
  return weights.load(name, str(file), width=0.0625, **options)


def test_names_of_2016_and_of_today_and_whole_models_give_the_same(tmp_path):
  net, file = caffe_nets.resnet(50, 0.0625, keras=True), tmp_path / 'a.h5'
  blobs = {layer.name: layer.blobs for layer in net.layers}
  blobs['bn_conv1'][1][:] = 0
  keras_h5.write(file, net)
  old = load('resnet50', file, **PADDED)
  keras_h5.write(file, net, keras_h5.resnet_name, 'model_weights')
  jax.tree.map(
    np.testing.assert_array_equal, old, load('resnet50', file, **PADDED)
  )
  # A bias is taken off the mean; 1.001e-5 less 1e-5 is added to the variance.
  mean, var, factor = blobs['bn4f_branch2c']
  found = old['batch_stats']['conv4_6']['c']['bn']
  np.testing.assert_allclose(
    found['mean'], mean / factor - blobs['res4f_branch2c'][1], atol=1e-6
  )
  np.testing.assert_allclose(found['var'], var / factor, rtol=1e-6)
  stem = old['batch_stats']['conv1']['bn']
  np.testing.assert_allclose(stem['var'], 1e-8, rtol=1e-4)


def test_another_network_is_refused_and_the_right_one_named(tmp_path):
  net, file = caffe_nets.resnet(50, 0.0625, keras=True), tmp_path / 'a.h5'
  keras_h5.write(file, net)
  with pytest.raises(weights.WeightsError, match='with padded_pool=True'):
    load('resnet50', file)
  with pytest.raises(weights.WeightsError, match='is of resnet50, not resnet'):
    load('resnet50_v1_5', file)
  with pytest.raises(weights.WeightsError, match='it is of resnet50'):
    load('resnet101', file, **PADDED)
  keras_h5.write(file, caffe_nets.vgg(16, 0.0625), keras_h5.vgg_name)
  with pytest.raises(weights.WeightsError, match='it is of vgg_d'):
    load('vgg_e', file)
  net.layers.pop()  # the classifier
  keras_h5.write(file, net)
  with pytest.raises(weights.WeightsError, match=r'saved without its classif'):
    load('resnet50', file, **PADDED)
  options = {'width': 0.0625, **PADDED}
  part = weights.read('resnet50', str(file), **options)
  assert part.num_classes('fc') is None
  assert 'fc' not in part.variables(['fc'], **options)['params']


def spoilt(change, file):
  keras_h5.write(file, caffe_nets.vgg(16, 0.0625), keras_h5.vgg_name)
  with h5py.File(file, 'a') as opened:
    change(opened)


def elsewhere(opened):
  del opened['fc2/fc2/bias:0']
  opened['fc2/fc2/bias:0'] = h5py.ExternalLink('other.h5', '/x')


def huge(opened):
  del opened['fc2/fc2/bias:0']
  opened.create_dataset('fc2/fc2/bias:0', (2**40,), 'f')


def raw_outside(opened):
  del opened['fc2/fc2/bias:0']
  opened.create_dataset('fc2/fc2/bias:0', (4,), 'f', external='other.raw')


def named(*names):
  def change(opened):
    opened['fc2'].attrs['weight_names'] = np.array(names, 'S')

  return change


BAD = {
  elsewhere: 'fc2/bias is kept in another file',
  raw_outside: 'fc2/bias is kept in another file',
  huge: r'fc2/bias is \(1099511627776,\), which is more than the whole file',
  lambda opened: opened.attrs.pop('layer_names'): 'not of keras.applications',
  named('x'): "'x'",
  named('fc2'): 'fc2/kernel is no array',
  named(*['fc2/kernel:0'] * 3): 'layer fc2 has 3 arrays',
}


@pytest.mark.parametrize('change', BAD)
def test_a_strange_file_is_refused_in_a_line(change, tmp_path):
  with h5py.File(tmp_path / 'other.h5', 'w') as opened:
    opened['x'] = np.zeros(4, 'f')
  (tmp_path / 'other.raw').write_bytes(bytes(16))
  spoilt(change, tmp_path / 'a.h5')
  with pytest.raises(weights.WeightsError, match=BAD[change]) as caught:
    load('vgg_d', tmp_path / 'a.h5')
  assert '\n' not in str(caught.value)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path):
  file = tmp_path / 'a.h5'
  keras_h5.write(file, caffe_nets.vgg(16, 0.0625), keras_h5.vgg_name)
  content = file.read_bytes()
  for end in np.linspace(0, len(content) - 1, 40).astype(int):
    file.write_bytes(content[:end])
    with pytest.raises(weights.WeightsError):
      load('vgg_d', file)


def test_without_h5py_the_error_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'h5py', None)
  with pytest.raises(weights.WeightsError, match='needs pip install h5py'):
    load('vgg_d', tmp_path / 'a.h5')
