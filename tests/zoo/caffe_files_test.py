"""The authors' .caffemodel files, against runs by other people's code.

The files are written here byte by byte (`caffe_nets`), with random weights.
DEEP=1 takes the networks at full width; -rP shows the differences.
"""

import functools
import os

import caffe_nets
import cv2
import jax
import numpy as np
import onnxruntime
import pytest
from caffe_nets import blob, field, varint

import zoo
from zoo import caffe_files, weights

DEEP = 'DEEP' in os.environ
# Name: what makes it, the form of its file, and the width of quick tests.
NETS = {
  'bvlc_alexnet': (caffe_nets.alexnet, 'old', 0.125),
  'caffenet': (lambda w: caffe_nets.alexnet(w, False), 'old', 0.125),
  'vgg_d': (lambda w: caffe_nets.vgg(16, w), 'old', 0.0625),
  'vgg_e': (lambda w: caffe_nets.vgg(19, w), 'old', 0.0625),
  'bvlc_googlenet': (caffe_nets.googlenet, 'old', 0.25),
  'resnet50': (lambda w: caffe_nets.resnet(50, w), 'new', 0.0625),
  'resnet101': (lambda w: caffe_nets.resnet(101, w), 'new', 0.0625),
  'resnet152': (lambda w: caffe_nets.resnet(152, w), 'new', 0.0625),
}
QUICK = ('bvlc_alexnet', 'caffenet', 'vgg_d', 'bvlc_googlenet', 'resnet50')


def small(name, width=None):
  """Returns a network, and its .caffemodel."""
  make, form, quick = NETS[name]
  net = make(width or quick)
  return net, caffe_nets.caffemodel(net, form == 'old')


@functools.lru_cache(1)
def ours(name, folder):
  """Returns a network, its .caffemodel, images and our logits of them."""
  width = 1.0 if DEEP else NETS[name][2]
  net, content = small(name, width)
  file = folder / 'net.caffemodel'
  file.write_bytes(content)
  variables = weights.load(name, str(file), width=width)
  shape = (2, net.side, net.side, 3)
  images = np.random.default_rng(1).normal(0, 50, shape).astype('f')
  network = zoo.create(name, width=width)
  logits = np.asarray(jax.jit(network.apply)(variables, images))
  return net, file, images.transpose(0, 3, 1, 2).copy(), logits


def by_onnxruntime(net, file, images):
  del file
  session = onnxruntime.InferenceSession(
    caffe_nets.onnx_model(net).SerializeToString(),
    providers=['CPUExecutionProvider'],
  )
  return session.run(None, {'data': images})[0]


def by_opencv(net, file, images):
  if not hasattr(cv2.dnn, 'readNetFromCaffe'):
    pytest.skip(
      "OpenCV 5 reads no Caffe: pip install 'opencv-python-headless<5'"
    )
  text = np.frombuffer(caffe_nets.prototxt(net).encode(), np.uint8)
  read = cv2.dnn.readNetFromCaffe(text, np.fromfile(file, np.uint8))
  read.setInput(images)
  return read.forward().reshape(len(images), -1)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  yield tmp_path_factory.mktemp('caffe')
  ours.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'run'),
  [(name, run) for name in NETS for run in (by_onnxruntime, by_opencv)],
)
def test_logits_equal_those_of(name, run, folder):
  if name not in QUICK and not DEEP:
    pytest.skip('takes up to half a minute: run with DEEP=1 in the environment')
  net, file, images, logits = ours(name, folder)
  expected = run(net, file, images)
  difference = np.abs(logits - expected).max() / expected.std()
  print(f'{name} {run.__name__} {difference:.1e} of the deviation')
  assert logits.shape == expected.shape == (2, 1000)
  assert difference < 1e-4


def load(name, content, folder, **options):
  file = folder / 'a.caffemodel'
  file.write_bytes(content)
  options = {'width': NETS[name][2] if name in NETS else 0.0625, **options}
  return weights.load(name, str(file), **options)


@pytest.mark.parametrize('name', ['resnet101', 'resnet152'])
def test_blocks_of_the_deep_networks_have_the_names_of_their_files(
  name, tmp_path
):
  net, content = small(name)
  loaded = load(name, content, tmp_path)
  blobs_of = {layer.name: layer.blobs for layer in net.layers}
  pairs = {
    'conv2_3/c': '2c_branch2c', 'conv3_1/proj': '3a_branch1',
    'conv3_2/a': '3b1_branch2a', 'conv4_23/b': '4b22_branch2b',
    'conv5_3/c': '5c_branch2c',
  }  # fmt: skip
  for path, place in pairs.items():
    block, part = path.split('/')
    layer = loaded['params'][block][part]
    (kernel,) = blobs_of[f'res{place}']
    np.testing.assert_array_equal(layer['kernel'], kernel.transpose(2, 3, 1, 0))
    gamma, beta = blobs_of[f'scale{place}']
    np.testing.assert_array_equal(layer['bn']['scale'], gamma)
    np.testing.assert_array_equal(layer['bn']['bias'], beta)
    mean, var, factor = blobs_of[f'bn{place}']
    statistics = loaded['batch_stats'][block][part]['bn']
    np.testing.assert_allclose(statistics['mean'], mean / factor, rtol=1e-6)
    np.testing.assert_allclose(statistics['var'], var / factor, rtol=1e-6)


def test_auxiliary_heads_are_taken_where_the_network_has_them(tmp_path):
  net, content = small('bvlc_googlenet')
  blobs_of = {layer.name: layer.blobs for layer in net.layers}
  with_heads = load('bvlc_googlenet', content, tmp_path)['params']
  without = load('bvlc_googlenet', content, tmp_path, aux_heads=False)['params']
  assert with_heads.keys() - without.keys() == {
    f'aux{i}_{part}' for i in (1, 2) for part in ('conv', 'fc', 'classifier')
  }
  kernel = blobs_of['loss2/fc'][0].reshape(256, 32, 4, 4).transpose(2, 3, 1, 0)
  np.testing.assert_array_equal(with_heads['aux2_fc']['kernel'], kernel)
  np.testing.assert_array_equal(
    with_heads['aux1_classifier']['bias'], blobs_of['loss1/classifier'][1]
  )


def test_both_forms_and_doubles_give_the_same(tmp_path):
  net, old = small('bvlc_alexnet', 0.0625)
  forms = (
    old,
    caffe_nets.caffemodel(net),
    caffe_nets.caffemodel(net, True, True),
  )
  said: list[str] = []
  file = tmp_path / 'a.caffemodel'
  loaded = []
  for content in forms:
    file.write_bytes(content)
    loaded.append(
      weights.load('bvlc_alexnet', str(file), said.append, width=0.0625)
    )
  for other in loaded[1:]:
    jax.tree.map(np.testing.assert_array_equal, loaded[0], other)
  assert said == [f'{file}: float64 as float32']


@pytest.mark.parametrize(
  ('name', 'file', 'blue', 'options'),
  [
    ('bvlc_alexnet', 'a.caffemodel', 104, {}),
    ('bvlc_googlenet', 'a.caffemodel', 104, {'lrn': 'caffe'}),
    ('vgg_d', 'VGG_ILSVRC_16_layers.caffemodel', 103.939, {}),
    ('resnet50', 'ResNet-50-model.caffemodel', 103.062623801, {}),
    ('vgg_e', 'a.h5', 103.939, {}),
    ('resnet50', 'a.h5', 103.939, {'padded_pool': True}),
  ],
)
def test_files_have_their_own_preprocessing(name, file, blue, options):
  found = weights.origin(name, file)
  assert (found.order, found.mean[2], found.std) == ('bgr', blue, (1.0,))
  assert dict(found.options) == options


REFUSED = (
  ('resnet50', 'resnet50_v1_5', {}, 'is of resnet50, not resnet50_v1_5'),
  ('resnet50', 'resnet50', {'padded_pool': True}, 'padded_pool=False'),
  ('resnet50', 'resnet101', {}, 'has no .*3b1.*it is of resnet50'),
  ('bvlc_alexnet', 'caffenet', {}, 'is of bvlc_alexnet, not caffenet'),
  ('bvlc_alexnet', 'alexnet', {}, 'is of bvlc_alexnet, not alexnet'),
  ('caffenet', 'bvlc_alexnet', {}, 'is of caffenet, not bvlc_alexnet'),
  ('bvlc_googlenet', 'googlenet', {'width': 0.25}, 'is bvlc_googlenet'),
  ('vgg_d', 'vgg_e', {}, 'has no conv3_4/.*it is of vgg_d'),
  ('vgg_d', 'vgg_d', {'num_classes': 10}, r'fc8/bias is \(1000,\)'),
  ('vgg_d', 'resnet20_cifar', {}, 'it is of vgg_d'),
)  # fmt: skip


@pytest.mark.parametrize(('of', 'name', 'options', 'said'), REFUSED)
def test_another_network_is_refused_and_the_right_one_named(
  of, name, options, said, tmp_path
):
  with pytest.raises(weights.WeightsError, match=said):
    load(name, small(of)[1], tmp_path, **{'width': NETS[of][2], **options})


def one_layer(*parts):
  """Returns a NetParameter of one layer, conv1, with these blobs."""
  blobs = b''.join(field(7, part) for part in parts)
  return field(100, field(1, b'conv1') + blobs)


BAD = {
  'nothing': (b'', 'no weights in its 0 layers'),
  'a prototxt': (b'name: "AlexNet"\nlayer {\n}\n', 'no .caffemodel'),
  'a mean image': (blob(np.zeros((3, 2, 2), 'f')), 'is it a .caffem'),
  'a huge shape': (
    one_layer(field(7, field(1, 8 * varint(2**60)))), 'has 0 bytes of <f4, but',
  ),
  'a negative shape': (
    one_layer(field(1, 2**64 - 1) + field(2, 2**64 - 1)),
    r'a shape of \[-1, -1, 0, 0\]',
  ),
  'too few numbers': (
    one_layer(field(7, field(1, b'\5')) + field(5, b'abcd')),
    r'conv1, blob 0, has 4 bytes of <f4, but a shape of \[5\]',
  ),
  'a length beyond the end': (
    b'\xa2\x06' + varint(2**31 - 1) + b'abc', 'cut short',
  ),
  'two layers of a name': (
    2 * one_layer(blob(np.zeros(3, 'f'))), 'two layers conv1',
  ),
  'layers of 2013': (
    field(2, field(1, b'')), 'upgrade_net_proto_binary',
  ),
  'three arrays': (
    one_layer(*[blob(np.zeros(3, 'f'))] * 3), 'conv1 has 3 arrays',
  ),
}  # fmt: skip


@pytest.mark.parametrize('what', BAD)
def test_what_is_no_file_of_weights_is_refused_in_a_line(what, tmp_path):
  content, said = BAD[what]
  with pytest.raises(weights.WeightsError, match=said) as caught:
    load('bvlc_alexnet', content, tmp_path)
  assert '\n' not in str(caught.value)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path):
  _, content = small('bvlc_alexnet', 0.0625)
  load('bvlc_alexnet', content, tmp_path, width=0.0625)
  for end in np.linspace(0, len(content) - 1, 40).astype(int):
    with pytest.raises(weights.WeightsError):
      load('bvlc_alexnet', content[:end], tmp_path, width=0.0625)


def test_statistics_are_divided_by_their_weight(tmp_path):
  def norm(factor, eps=b''):
    arrays = (
      np.array([2, 4], 'f'),
      np.array([6, 8], 'f'),
      np.array([factor], 'f'),
    )
    parts = [(1, b'bn_conv1'), (2, b'BatchNorm'), (139, eps)]
    parts += [(7, blob(a)) for a in arrays]
    return field(100, b''.join(field(n, v) for n, v in parts))

  def read(*layers):
    (tmp_path / 'a.caffemodel').write_bytes(b''.join(layers))
    return caffe_files.read(tmp_path / 'a.caffemodel')[0]

  arrays = read(norm(2))
  np.testing.assert_array_equal(arrays['bn_conv1/mean'], [1, 2])
  np.testing.assert_array_equal(arrays['bn_conv1/var'], [3, 4])
  assert not read(norm(0))['bn_conv1/mean'].any()  # as Caffe has it
  # 1e-3 instead of 1e-5.
  arrays = read(norm(2, b'\x1d' + np.float32(1e-3).tobytes()))
  np.testing.assert_allclose(
    arrays['bn_conv1/var'], [3.00099, 4.00099], rtol=1e-6
  )
  bias = blob(np.array([10, 20], 'f'))
  arrays = read(one_layer(blob(np.zeros((2, 1, 1, 1), 'f')), bias), norm(2))
  np.testing.assert_array_equal(arrays['bn_conv1/mean'], [-9, -18])
  assert 'conv1/bias' not in arrays
