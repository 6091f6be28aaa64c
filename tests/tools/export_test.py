"""Weights as files of others: their names, header and record, and mistakes."""

import json
import pathlib

import forking
import jax
import numpy as np
import onnx
import photographs
import pytest
from conftest import make_config, random_variables
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import train_lib
import zoo
from configs import recorded
from errors import UserError
from evaluation import inference, networks
from runtime import checkpoints
from runtime import workdir as workdir_lib
from tools import export, export_onnx, export_weights
from zoo import weight_files, weights


@pytest.mark.parametrize(
  ('given', 'file', 'kind'),
  [
    ('', 'a.bin', 'stablehlo'),
    ('', 'a', 'stablehlo'),
    ('stablehlo', 'a.bin', 'stablehlo'),
    ('', 'a.safetensors', 'safetensors'),
    ('', 'a.npz', 'npz'),
    ('', 'a.onnx', 'onnx'),
    ('npz', 'a.npz', 'npz'),
  ],
)
def test_the_end_of_the_file_says_the_format(given, file, kind):
  assert export.format_of(given, pathlib.Path(file)) == kind


@pytest.mark.parametrize(
  ('given', 'file', 'message'),
  [
    ('safetensor', 'a', "Did you mean 'safetensors'"),
    ('npz', 'a.bin', r'--out=a\.bin: name it a\.npz'),
    ('stablehlo', 'a.npz', r'\.npz is of --format=npz'),
    ('npz', '/', 'is a folder: name a file in it'),
    ('', '/none/a.npz', '/none/a.npz: there is no folder /none'),
  ],
)
def test_what_cannot_be_the_file_is_said_in_a_line(given, file, message):
  with pytest.raises(UserError, match=message):
    export.format_of(given, pathlib.Path(file))


def test_the_file_is_asked_about_before_a_network_is_read():
  done = forking.run(
    'tools.export', '--config=configs/lenet5.py', '--workdir=/nowhere',
    '--out=a.bin', '--format=npz',
  )  # fmt: skip
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr == 'error: --format=npz --out=a.bin: name it a.npz\n'


@pytest.mark.slow
def test_a_workdir_alone_becomes_a_file_that_predicts_alone(finished, tmp_path):
  workdir, _ = finished
  file = tmp_path / 'digits.safetensors'
  done = forking.run('tools.export', f'--workdir={workdir}', f'--out={file}')
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    f'{file}: {file.stat().st_size:,} bytes, 12 arrays by our own names: '
    'torchvision has no such network',
    'images: 28x28 in a border of 0 to 32x32, grey, '
    '(pixels of 0 to 255 - 20) / 200',
    f'{tmp_path}/digits: classes.json and config.json, so that '
    f'--config.init_from={file} needs no --config',
  ]
  assert {f.name for f in tmp_path.iterdir()} == {'digits', file.name}
  record = (tmp_path / 'digits' / 'config.json').read_text()
  assert str(workdir) not in record
  picture = tmp_path / 'picture.jpg'
  picture.write_bytes(photographs.jpeg(0, 28, 28))
  said = [
    forking.run('tools.predict', flag, '--json', picture).stdout
    for flag in (f'--config.init_from={file}', f'--workdir={workdir}')
  ]
  assert said[0] == said[1] != ''


def test_a_file_beside_its_workdir_takes_that_for_its_record(finished):
  workdir, _ = finished
  before = (workdir / 'config.json').read_text()
  file = workdir.with_name(f'{workdir.name}.npz')
  export_weights.write(*loaded(workdir), file, str(workdir))
  assert (workdir / 'config.json').read_text() == before
  found, expected = (loaded(p)[1].networks[0] for p in (file, workdir))
  same(found.variables, expected.variables)


def test_a_folder_of_something_else_is_left_alone(finished, tmp_path):
  workdir, _ = finished
  (tmp_path / 'photos').mkdir()
  with pytest.raises(UserError, match='photos, where config'):
    export_weights.write(*loaded(workdir), tmp_path / 'photos.npz', '')
  assert [f.name for f in tmp_path.iterdir()] == ['photos']
  for _ in range(2):  # what it wrote itself may be written again
    export_weights.write(*loaded(workdir), tmp_path / 'a.npz', '')


def test_an_ensemble_is_no_file_of_weights(finished, tmp_path):
  workdir, _ = finished
  config, model = loaded(workdir)
  model = model._replace(networks=model.networks * 3)
  with pytest.raises(UserError, match='adds 2: export them one by one'):
    export_weights.write(config, model, tmp_path / 'a.npz', '')


def loaded(path):
  """Returns config and model as tools.export has them, of a run or a file."""
  config = recorded.read(str(workdir_lib.record_of(path) / 'config.json'))
  config.init_from = str(path)
  return networks.as_trained(config, str(path)), inference.load(config, '')


def same(found, expected):
  """Compares to the bit, and the paths too."""
  jax.tree.map(np.testing.assert_array_equal, found, dict(expected))


@pytest.mark.slow
def test_the_average_is_written_where_a_run_has_one(tmp_path):
  run = tmp_path / 'run'
  config = make_config(
    'smoke,variant=lenet5_modern', train__average=0.9, train__steps=3
  )
  train_lib.train_and_evaluate(config, str(run))
  last = networks.load_variables('lenet5_modern', str(run), num_classes=10)
  shapes = jax.tree.map(lambda x: x, last['params'])
  state = checkpoints.load_parameters(str(run), {'average': shapes})
  export_weights.write(*loaded(run), tmp_path / 'a.npz', str(run))
  found = weights.load(
    'lenet5_modern', str(tmp_path / 'a.npz'), num_classes=10
  )['params']
  same(found, state['average'])
  off = jax.tree.map(lambda a, b: np.abs(a - b).max(), found, last['params'])
  assert min(jax.tree.leaves(off)) > 0


@pytest.mark.parametrize(
  ('name', 'options', 'kind', 'key'),
  [
    ('lenet5_modern', {}, 'npz', 'params/C5/kernel'),
    ('lenet5_modern', {}, 'safetensors', 'params/C5/kernel'),
    ('resnet20_cifar', {}, 'safetensors', 'batch_stats/conv1/bn/var'),
    ('resnet18_v1_5', {}, 'safetensors', 'layer2.0.downsample.0.weight'),
    # Published files have no auxiliary heads; ours have.
    ('googlenet', {'width': 0.05}, 'npz', 'params/aux1_fc/kernel'),
  ],
)
def test_what_is_written_is_read_to_the_bit(name, options, kind, key, tmp_path):
  network = zoo.create(name, num_classes=7, **options)
  variables = random_variables(network, zoo.image_shape(name))
  file = str(tmp_path / f'a.{kind}')
  if kind == 'npz':
    weights.save(file, variables)
  else:
    weight_files.save(file, name, variables, ABOUT, **options)
  arrays = np.load(file) if kind == 'npz' else load_file(file)
  assert key in arrays
  same(weights.load(name, file, num_classes=7, **options), variables)


def test_fully_connected_layers_read_channels_rows_columns(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(weight_files, 'torchvision_name', lambda *a, **o: 'vgg11')
  network = zoo.create('vgg_a', num_classes=7, width=0.02)
  variables = random_variables(network, (224, 224, 3))
  file = str(tmp_path / 'a.safetensors')
  weight_files.save(file, 'vgg_a', variables, ABOUT, width=0.02)
  arrays, kernel = load_file(file), variables['params']['fc6']['kernel']
  rows, columns, ins, outs = kernel.shape
  for out, channel, row, column in ((0, 0, 0, 1), (5, 3, 6, 2), (9, 7, 0, 0)):
    place = (channel * rows + row) * columns + column
    assert (
      arrays['classifier.0.weight'][out, place]
      == (kernel[row, column, channel, out])
    )
  assert arrays['classifier.0.weight'].shape == (outs, ins * rows * columns)
  assert arrays['features.3.weight'].shape[2:] == (3, 3)
  same(weights.load('vgg_a', file, num_classes=7, width=0.02), variables)


ABOUT = {
  'class_names': list('abcdefg'), 'image_size': 32, 'image_shape': [28, 28, 1],
  'order': 'bgr', 'mean': [1.5], 'std': [2.0, 3.0, 4.0], 'mean_image': '',
  'versions': {'jax': '1'},
}  # fmt: skip


def write_linear(file, **about):
  variables = {'params': {'fc': {'bias': np.arange(3, dtype='f')}}}
  weight_files.save(str(file), 'resnet18', variables, {**ABOUT, **about})
  return str(file)


def test_the_header_says_what_the_network_takes_and_gives(tmp_path):
  file = write_linear(tmp_path / 'a.safetensors')
  with safe_open(file, 'np') as opened:
    texts = opened.metadata()
  assert texts['network'] == 'resnet18'
  assert texts['names'] == 'own'
  assert json.loads(texts['mean']) == [1.5]
  assert weights.origin('resnet18', file) == ('bgr', (1.5,), (2, 3, 4), ())
  names, shape = networks.trained_classes(file)
  assert (names, shape) == (tuple('abcdefg'), (28, 28, 1))
  config = make_config()
  assert networks.as_trained(config, file).data.order == 'bgr'


def test_other_peoples_files_have_no_such_header(tmp_path):
  file = tmp_path / 'a.safetensors'
  save_file({'a': np.zeros(3)}, file, {'format': 'pt'})
  for path in (file, tmp_path / 'none.safetensors', tmp_path / 'a.pth'):
    assert weight_files.header(str(path)) == {}
    assert weights.origin('vgg_a', str(path)).std == (58.395, 57.12, 57.375)
  file.write_bytes(file.read_bytes()[:20])
  assert weight_files.header(str(file)) == {}


def test_a_mean_image_that_is_gone_is_missed(tmp_path):
  file = write_linear(tmp_path / 'a.safetensors', mean_image='mean_image.npy')
  with pytest.raises(UserError, match='mean image is not beside it'):
    networks.as_trained(make_config(), file)


@pytest.mark.parametrize(
  ('name', 'options', 'theirs'),
  [
    ('resnet50_v1_5', {}, 'resnet50'),
    ('resnet50_v1_5', {'bn_group': 8, 'scan': True}, 'resnet50'),
    ('resnet50_v1_5', {'padded_pool': False}, ''),
    ('resnet50', {}, ''),
    ('vgg_d', {'dropout': 0.1, 'initializer': 'glorot'}, 'vgg16'),
    ('vgg_d', {'head': 'gap'}, ''),
    ('vgg_c', {}, ''),
    ('alexnet', {}, ''),
    ('alexnet_owt', {'width': 1.0}, 'alexnet'),
    ('alexnet_owt', {'width': 0.5}, ''),
  ],
)
def test_torchvisions_names_are_for_torchvisions_networks(
  name, options, theirs
):
  assert weight_files.torchvision_name(name, **options) == theirs


@pytest.mark.parametrize(
  ('factor', 'right'), [(1 / 255, True), (1 / 250, False)]
)
def test_a_graph_that_says_something_else_is_refused(factor, right):
  node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
  graph = onnx.helper.make_graph(
    [
      node('Cast', ['images'], ['x'], to=onnx.TensorProto.FLOAT),
      node('Flatten', ['x'], ['y']),
      node('Mul', ['y', 'factor'], ['z']),
      node('Softmax', ['z'], ['probabilities']),
    ],
    'linear',
    [info('images', onnx.TensorProto.UINT8, ['batch', 2, 2, 1])],
    [info('probabilities', onnx.TensorProto.FLOAT, ['batch', 4])],
    [onnx.numpy_helper.from_array(np.float32(factor), 'factor')],
  )
  opset = onnx.helper.make_opsetid('', export_onnx.OPSET)
  model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)

  def check():
    export_onnx.check(
      model.SerializeToString(),
      lambda x: jax.nn.softmax(x.reshape(len(x), -1) / 255),
      (2, 2, 1),
    )

  if right:
    check()
  else:
    with pytest.raises(UserError, match='says other than the network'):
      check()
