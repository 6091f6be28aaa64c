"""Other people's weights on photographs, as their own tools showed them."""

import io
import os
import pathlib

import caffe_nets
import cv2
import keras_h5
import numpy as np
import onnx
import onnx_graphs
import onnxruntime
import photographs
import pytest
from PIL import Image

import train_lib
import zoo
from configs import alexnet, googlenet, resnet, vgg, zfnet
from evaluation import inference, protocols

GRAPHS = {
  'light_bvlc_alexnet': (alexnet, 'bvlc_alexnet', 227),
  'light_zfnet512': (zfnet, 'zfnet', 224),
  'light_inception_v1': (googlenet, 'bvlc_googlenet', 224),
  'light_vgg19': (vgg, 'vgg_e', 224),
  'light_resnet50': (resnet, 'resnet50_v1_5', 224),
}
WIDTH = 0.25  # nothing but time and memory depends on it
QUICK = ('light_bvlc_alexnet', 'light_inception_v1')


def photographs_of_1000_classes(root):
  content = photographs.jpeg(0)  # an empty class is refused
  for i in range(1000):
    (root / 'train' / f'{i:03d}').mkdir(parents=True)
    (root / 'train' / f'{i:03d}' / 'a.jpg').write_bytes(content)
  for i, (height, width) in enumerate(((300, 400), (350, 260))):
    (root / 'val' / f'{500 * i:03d}').mkdir(parents=True)
    file = root / 'val' / f'{500 * i:03d}' / f'{i}.jpg'
    file.write_bytes(photographs.jpeg(i, height, width))
  return root


def caffe_input(encoded, side, mean, warp):
  """As Caffe's users wrote it: OpenCV's BGR, minus a mean, channels first.

  `warp`: to 256x256, as examples/imagenet has it, and not to a shorter side.
  """
  image = np.asarray(Image.open(io.BytesIO(encoded)))[..., ::-1]
  h, w = image.shape[:2]
  if warp:
    h, w = 256, 256
  else:
    h, w = (256, round(w * 256 / h)) if h < w else (round(h * 256 / w), 256)
  image = cv2.resize(np.ascontiguousarray(image), (w, h))
  y, x = (h - side) // 2, (w - side) // 2
  crop = image[y : y + side, x : x + side].astype('f') - np.array(mean, 'f')
  return crop.transpose(2, 0, 1)


def scores_of(model, images):
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=['CPUExecutionProvider']
  )
  return session.run(None, {session.get_inputs()[0].name: images})[0]


def softmax(x):
  x = np.exp(x - x.max(1, keepdims=True))
  return x / x.sum(1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize('graph', GRAPHS)
def test_onnx_files_see_what_caffe_showed_them(graph, tmp_path):
  paper, name, side = GRAPHS[graph]
  if graph not in QUICK and 'DEEP' not in os.environ:
    pytest.skip('takes up to a minute: run with DEEP=1 in the environment')
  model = onnx_graphs.random_model(graph, side, WIDTH)
  file = tmp_path / 'model.onnx'
  root = photographs_of_1000_classes(tmp_path / 'data')
  paths = sorted((root / 'val').rglob('*.jpg'))
  mean = (103.939, 116.779, 123.68) if 'vgg' in graph else (104, 117, 123)
  warp = 'bvlc' in name
  images = [caffe_input(p.read_bytes(), side, mean, warp) for p in paths]
  images = np.stack(images)
  # Random weights give large scores: the last layer brings them to about 3.
  scale = 3 / scores_of(model, images).std()
  last = [n for n in model.graph.node if n.op_type == 'Gemm'][-1]
  for i in model.graph.initializer:
    if i.name in last.input[1:]:
      value = onnx.numpy_helper.to_array(i) * np.float32(scale)
      i.CopyFrom(onnx.numpy_helper.from_array(value, i.name))
  onnx.save(model, str(file))
  expected = softmax(scores_of(model, images).astype('d'))
  config = paper.get_config(f'variant={name},data=folder')
  if graph == 'light_zfnet512':
    with config.unlocked():
      config.model = {
        'name': 'zfnet512', 'dtype': 'float32', **zoo.options('zfnet512')
      }  # fmt: skip
  config.model.width = WIDTH
  config.init_from, config.data.dir = str(file), str(root)
  config.data.eval_geometry.shorter_side = 256
  check_scores(config, expected, paths, tmp_path / 'run')


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['caffemodel', 'h5'])
def test_files_of_caffe_and_keras_see_what_those_showed_them(kind, tmp_path):
  keras, file = kind == 'h5', tmp_path / f'a.{kind}'
  if keras:
    net, mean = caffe_nets.resnet(50, 0.0625, True), (103.939, 116.779, 123.68)
    config = resnet.get_config('variant=resnet50,data=folder')
  else:
    net, mean = caffe_nets.alexnet(0.0625), (104, 117, 123)
    config = alexnet.get_config('variant=bvlc_alexnet,data=folder')
  root = photographs_of_1000_classes(tmp_path / 'data')
  paths = sorted((root / 'val').rglob('*.jpg'))
  images = np.stack(
    [caffe_input(p.read_bytes(), net.side, mean, not keras) for p in paths]
  )
  scale = 3 / scores_of(caffe_nets.onnx_model(net), images).std()
  for blob in net.layers[-1].blobs:
    blob *= scale
  expected = softmax(scores_of(caffe_nets.onnx_model(net), images).astype('d'))
  if keras:
    keras_h5.write(file, net)
  else:
    file.write_bytes(caffe_nets.caffemodel(net, old=True))
  config.model.width = 0.0625
  config.init_from, config.data.dir = str(file), str(root)
  config.data.eval_geometry.shorter_side = 256
  check_scores(config, expected, paths, tmp_path / 'run')


def check_scores(config, expected, paths, workdir):
  """Holds evaluation and prediction against probabilities of two images."""
  result = train_lib.evaluate_only(config, str(workdir))
  own = expected[[0, 1], [0, 500]]
  assert result['count'] == 2
  assert result['wrong'] == (expected.argmax(1) != [0, 500]).sum()
  assert result['loss'] == pytest.approx(-np.log(own).mean(), rel=1e-4)
  model = inference.load(config, '')
  assert model.class_names[281] == 'tabby'
  protocol = protocols.create(config, 'center')
  files = [pathlib.Path(p).read_bytes() for p in paths]
  found = inference.predict(model, protocol, files, 2)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert 0.01 < expected.max() < 0.99
