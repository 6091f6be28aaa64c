"""Predictions, exports and ensembles on one's own photographs."""

import json
import os
import subprocess
import sys

import forking
import jax
import numpy as np
import photographs
import pytest

import train_lib
import zoo
from configs import alexnet, lenet5, resnet, resnet_cifar, vgg
from data.imagenet_words import imagenet_words
from errors import UserError
from evaluation import inference, networks, protocols
from tools import export, predict
from zoo import weights

RESNET = 'configs/resnet.py:variant=resnet18,data=folder,smoke'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A small ResNet-18 trained on three classes, whose data is gone since."""
  place = tmp_path_factory.mktemp('trained')
  data = photographs.make_folder(place / 'data')
  train_lib.train_and_evaluate(
    config_of(**{'data.dir': str(data)}), str(place / 'run')
  )
  data.rename(place / 'gone')
  return place / 'run', place / 'gone' / 'val' / 'class1'


def config_of(**fields):
  config = resnet.get_config(RESNET.partition(':')[2])
  config.update_from_flattened_dict(
    {'model.width': 0.05, 'train.steps': 1, **fields}
  )
  return config


def run_tool(name, *arguments, **options):
  return forking.run(
    f'tools.{name}', f'--config={RESNET}', '--config.model.width=0.05',
    *arguments, **options,
  )  # fmt: skip


def probabilities_of(workdir, files, name='center'):
  config = config_of(**{'eval.protocol': name})
  model = inference.load(config, str(workdir))
  content = [f.read_bytes() for f in files]
  protocol = protocols.create(config, name)
  return inference.predict(model, protocol, content, 8), model


@pytest.mark.slow
def test_the_tool_prints_a_line_an_image_without_the_data(trained):
  workdir, photos = trained
  files = sorted(photos.iterdir())
  found, model = probabilities_of(workdir, files)
  assert model.class_names == ('class0', 'class1', 'class2')
  result = run_tool('predict', f'--workdir={workdir}', str(photos))
  lines = result.stdout.splitlines()
  assert [line.partition(': ')[0] for line in lines] == [str(f) for f in files]
  best = found[0].argmax()
  assert f': class{best} {found[0, best]:.1%}, ' in lines[0]
  result = run_tool(
    'predict', f'--workdir={workdir}', '--json', '--protocol=ten_crop', '-',
    stdin=files[0],
  )  # fmt: skip
  said = json.loads(result.stdout)
  found, _ = probabilities_of(workdir, files[:1], 'ten_crop')
  assert said['image'] == '-'
  assert said['protocol'] == 'ten_crop'
  for entry in said['top']:
    assert entry['probability'] == pytest.approx(
      found[0, entry['index']], abs=1e-6
    )


@pytest.mark.slow
def test_the_tool_names_what_it_cannot_read_and_goes_on(trained, tmp_path):
  workdir, photos = trained
  bad, good = tmp_path / 'bad.jpg', min(photos.iterdir())
  bad.write_bytes(good.read_bytes()[:200])
  result = run_tool('predict', f'--workdir={workdir}', str(bad), str(good))
  assert result.returncode == 1
  assert f'error: {bad} cannot be decoded' in result.stderr
  assert result.stdout.startswith(f'{good}: class')
  result = run_tool('predict', '--config.nothing=1', str(good))
  assert result.returncode == 2
  assert result.stderr.startswith('error: no config field')


@pytest.mark.slow
def test_what_cannot_work_is_one_clear_line(trained, tmp_path):
  workdir, _ = trained
  for path, message in (
    ('', '--workdir is missing'),
    (str(tmp_path / 'none'), 'does not exist'),
    (str(tmp_path), r'has no classes.json.*right workdir.*--classes'),
  ):
    with pytest.raises(UserError, match=message):
      inference.load(config_of(), path)
  other = config_of(**{'model.name': 'resnet34'})
  with pytest.raises(UserError, match=r'another run \(model.name: resnet18'):
    inference.load(other, str(workdir))
  names = tmp_path / 'names.txt'
  names.write_text('one\ntwo\nthree\n')
  model = inference.load(config_of(), str(workdir), str(names))
  assert model.class_names == ('one', 'two', 'three')


def test_names_of_imagenet_are_words():
  words = imagenet_words()
  assert len(words) == 1000
  assert (words[0], words[281], words[999]) == (
    'tench', 'tabby', 'toilet tissue'
  )  # fmt: skip
  row = np.eye(1000, dtype='f')[281]
  said = predict.line('a.jpg', row, words, 'center', False)
  assert said == (
    'a.jpg: tabby 100.0%, tench 0.0%, goldfish 0.0%, '
    'great white shark 0.0%, tiger shark 0.0%'
  )


@pytest.mark.slow
def test_digits_are_predicted_from_any_picture(finished):
  workdir, _ = finished
  config = lenet5.get_config('smoke')
  model = inference.load(config, str(workdir))
  assert model.image_shape == (28, 28, 1)
  protocol = protocols.create(config, 'single')
  files = [photographs.jpeg(0), photographs.jpeg(1, 28, 28)]
  found = inference.predict(model, protocol, files, 8)
  np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
  assert found.shape == (2, 10)


@pytest.mark.slow
def test_a_member_may_be_another_network_by_name(finished, tmp_path):
  workdir, _ = finished
  module = zoo.create('lenet5_modern', num_classes=10)
  variables = jax.jit(module.init)(
    jax.random.key(0), np.zeros((1, 32, 32, 1), 'f')
  )
  weights.save(str(tmp_path / 'a.npz'), variables)
  config = lenet5.get_config('smoke')
  config.eval.members = f'lenet5_modern={tmp_path / "a.npz"}'
  model = inference.load(config, str(workdir))
  protocol, files = protocols.create(config, 'single'), [photographs.jpeg(0)]
  each = [
    inference.predict(inference.Model([n], *model[1:]), protocol, files, 8)
    for n in model.networks
  ]
  found = inference.predict(model, protocol, files, 8)
  assert np.abs(each[0] - each[1]).max() > 0.01
  np.testing.assert_allclose(found, np.mean(each, 0), atol=1e-6)


# Runs with JAX, NumPy and the standard library, far from our modules.
ALONE = """
import json, sys
import jax, numpy as np
model = jax.export.deserialize(open('model.bin', 'rb').read())
assert set(model.platforms) == {'cpu', 'cuda', 'tpu'}
images = np.load('images.npy')
found = [np.asarray(model.call(images[:n])).tolist() for n in (1, 5)]
ours = {'zoo', 'flax', 'protocols', 'scoring', 'augment'} & set(sys.modules)
print(json.dumps([found, sorted(ours)]))
"""


@pytest.mark.slow
def test_an_export_runs_alone_as_tools_predict(trained, tmp_path):
  workdir, photos = trained
  out = tmp_path / 'model.bin'
  done = run_tool('export', f'--workdir={workdir}', f'--out={out}')
  assert done.returncode == 0, done.stderr
  files = sorted(photos.iterdir())
  files = [files[i % 2] for i in range(5)]
  protocol = protocols.create(config_of(), 'center')
  about = json.loads((tmp_path / 'model.bin.json').read_text())
  assert about['image_shape'] == [224, 224, 3]
  assert about['class_names'] == ['class0', 'class1', 'class2']
  found, model = probabilities_of(workdir, files)
  crop = [
    inference.views(f.read_bytes(), protocol, model.networks[0], ())[0][0]
    for f in files
  ]
  np.save(tmp_path / 'images.npy', np.stack(crop))
  env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  result = subprocess.run(
    [sys.executable, '-c', ALONE], cwd=tmp_path, capture_output=True,
    text=True, check=True, env={**env, 'JAX_PLATFORMS': 'cpu'},
  )  # fmt: skip
  (one, five), ours = json.loads(result.stdout)
  assert ours == []
  np.testing.assert_allclose(one, found[:1], atol=1e-5)
  np.testing.assert_allclose(five, found, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['lenet5', 'alexnet', 'zfnet', 'vgg_a', 'googlenet', 'resnet20_cifar']
)
def test_every_family_exports_for_three_platforms(name):
  if name in ('googlenet', 'zfnet', 'vgg_a') and 'DEEP' not in os.environ:
    pytest.skip('compiles long: run with DEEP=1 in the environment')
  known = zoo.options(name)
  options = {'width': 0.05} if 'width' in known else {}
  module = zoo.create(name, num_classes=10, **options)
  shape = zoo.image_shape(name)
  variables = jax.jit(module.init)(
    jax.random.key(0), np.zeros((1, *shape), 'f')
  )
  variables = {k: v for k, v in variables.items() if k != 'aux_logits'}
  network = inference.Network(
    name, module, variables, lambda x: x / 255.0, shape[0], 10
  )
  model = inference.Model([network], tuple('0123456789'), shape)
  loaded = jax.export.deserialize(export.serialize(model, shape))
  images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
  found = loaded.call(images)
  expected = jax.nn.softmax(jax.jit(module.apply)(variables, images / 255.0))
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_a_run_brings_its_channels_and_its_means(tmp_path, capsys):
  def config_of_grey(**fields):
    config = resnet_cifar.get_config(
      'variant=resnet20_cifar,data=mnist5k,smoke'
    )
    config.update_from_flattened_dict(
      {'model.width': 0.1, 'train.steps': 1, **fields}
    )
    return config

  trained = config_of_grey(**{'data.mean': (50.0,), 'data.std': (2.0,)})
  final = train_lib.train_and_evaluate(trained, str(tmp_path))
  model = inference.load(config_of_grey(), str(tmp_path))
  assert model.image_shape == (28, 28, 1)
  (network,) = model.networks
  grey = np.full((1, 32, 32, 1), 54, np.uint8)
  np.testing.assert_allclose(network.prepare(grey), 2.0)
  capsys.readouterr()
  result = train_lib.evaluate_only(config_of_grey(), str(tmp_path))
  assert result['wrong'] == final['eval/wrong']
  assert result['loss'] == final['eval/loss']
  assert 'channels rgb, mean (50.0,), std (2.0,)' in capsys.readouterr().out


@pytest.mark.slow
def test_members_of_an_ensemble(trained, tmp_path):
  workdir, photos = trained
  module = zoo.create('vgg_a', width=0.02, num_classes=3, head='gap')
  variables = jax.jit(module.init)(
    jax.random.key(0), np.zeros((1, 224, 224, 3), 'f')
  )
  config = config_of()
  weights.save(str(tmp_path / 'a.npz'), variables)
  config.eval.members = f'{workdir},vgg_a={tmp_path / "a.npz"}'
  with pytest.raises(UserError, match='does not fit vgg_a'):
    inference.load(config, str(workdir))  # of another width
  config.eval.members = f'{workdir},resnet19={workdir}'
  with pytest.raises(UserError, match=r"no network 'resnet19'.*resnet1"):
    inference.load(config, str(workdir))
  config.eval.members = f'{workdir},{workdir}'
  model = inference.load(config, str(workdir))
  assert len(model.networks) == 3
  files = [f.read_bytes() for f in photos.iterdir()]
  protocol = protocols.create(config, 'center')
  found = inference.predict(model, protocol, files, 8)
  one = inference.Model(model.networks[:1], *model[1:])
  np.testing.assert_allclose(
    found, inference.predict(one, protocol, files, 8), rtol=1e-6
  )


@pytest.mark.slow
def test_three_checkpoints_are_the_mean_of_their_saved_probabilities(
  trained, tmp_path
):
  workdir, photos = trained
  data = photos.parent.parent
  others = (
    config_of(**{'seed': 5, 'data.dir': str(data)}),
    alexnet.get_config('variant=bvlc_alexnet,data=folder,smoke'),
  )
  others[1].update_from_flattened_dict(
    {'model.width': 0.05, 'train.steps': 1, 'data.dir': str(data)}
  )
  for i, config in enumerate(others):
    train_lib.train_and_evaluate(config, str(tmp_path / str(i)))
  first = config_of(**{'data.dir': str(data), 'eval.protocol': 'ten_crop'})
  runs = (workdir, tmp_path / '0', tmp_path / '1')
  files = [p.read_bytes() for p in sorted(data.rglob('val/*/*.jpg'))]
  for i, (run, config) in enumerate(zip(runs, (first, *others))):
    model = inference.load(config, str(run))
    protocol = protocols.create(config, 'ten_crop')
    found = inference.predict(model, protocol, files, 8)
    np.save(tmp_path / f'{i}.npy', found)
  mean = np.mean([np.load(tmp_path / f'{i}.npy') for i in range(3)], 0)
  first.eval.members = f'{runs[1]},{runs[2]}'
  result = train_lib.evaluate_only(first, str(workdir))
  labels = np.repeat(np.arange(3), 2)
  assert result['wrong'] == (mean.argmax(1) != labels).sum()
  own = mean[np.arange(6), labels]
  assert result['loss'] == pytest.approx(-np.log(own).mean(), rel=1e-5)
  assert result['passes'] == 30
  together = inference.predict(
    inference.load(first, str(workdir)),
    protocols.create(first, 'ten_crop'),
    files,
    8,
  )
  np.testing.assert_allclose(together, mean, atol=1e-6)
  written = (
    workdir / 'results' / 'resnet18.ensemble3.folder.gone.ten_crop.256.json'
  )
  content = json.loads(written.read_text())
  assert content['networks'] == [str(r) for r in runs]
  assert content['result'] == result


def test_torchvisions_weights_see_rgb_of_imagenets_mean(tmp_path):
  config = vgg.get_config('variant=vgg_a,data=folder')
  own = networks.with_origin(config, 'a.npz')
  assert own is config
  changed = networks.with_origin(config, 'vgg11.pth')
  assert changed.data.order == 'rgb'
  np.testing.assert_allclose(
    np.array(changed.data.mean) / 255, (0.485, 0.456, 0.406), atol=1e-6
  )
  np.testing.assert_allclose(
    np.array(changed.data.std) / 255, (0.229, 0.224, 0.225), atol=1e-6
  )
  assert networks.with_origin(config, 'a.onnx').data.mean[0] == 123.68
