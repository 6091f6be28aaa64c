"""The mean of each pixel: in training, resumed, evaluated, predicted from."""

import json
import shutil

import jax
import numpy as np
import photographs
import pytest
import two_processes
from conftest import make_config

import train_lib
import zoo
from configs import recorded, vgg
from data import mean_image, preprocess
from errors import UserError
from evaluation import inference, networks, protocols
from tools import export, export_weights


def image_of(seed, channels=1):
  rng = np.random.default_rng(seed)
  return (255 * rng.random((32, 32, channels))).astype('f')


def config_of(path, **fields):
  return make_config(
    'smoke,variant=lenet5_modern',
    data__mean_image=str(path),
    **{'train__steps': 8, **fields},
  )


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A workdir of 8 steps in two starts, and the file of its mean image."""
  place = tmp_path_factory.mktemp('mean')
  np.save(place / 'a.npy', image_of(0))
  for steps in (4, 8):
    config = config_of(place / 'a.npy', train__steps=steps)
    train_lib.train_and_evaluate(config, str(place / 'run'))
  return place / 'run', place / 'a.npy'


def digests(workdir):
  path = workdir / 'checkpoints' / '00000008' / 'manifest' / 'metadata'
  return json.loads(path.read_text())['arrays']


def test_each_pixel_has_its_own_mean():
  mean = image_of(0, 3)
  images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
  prepare = preprocess.make_prepare(32, (1.0,), (4.0, 5.0, 6.0), 'bgr', mean)
  expected = (images.astype('d') - mean) / (4, 5, 6)
  np.testing.assert_allclose(
    prepare(images), expected[..., ::-1], rtol=1e-5, atol=1e-5
  )
  small = np.pad(images[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2), (0, 0)))
  np.testing.assert_array_equal(prepare(images[:, 2:-2, 2:-2]), prepare(small))


def test_a_larger_image_has_the_mean_of_each_channel():
  mean = image_of(0, 3)
  images = np.random.default_rng(1).integers(0, 256, (2, 40, 32, 3), np.uint8)
  prepare = preprocess.make_prepare(32, (1.0,), (1.0,), 'rgb', mean)
  expected = images - mean.astype('d').mean((0, 1))
  np.testing.assert_allclose(prepare(images), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (None, r"data.mean_image '.*bad.npy' cannot be read: .*No such file"),
    (b'text', r'cannot be read.*data_mean'),
    (image_of(0).astype('d'), r'is float64 \[32, 32, 1\]: float32'),
    (image_of(0)[:31], r'is float32 \[31, 32, 1\].*data.image_size 32'),
    (image_of(0)[..., 0], r'is float32 \[32, 32\]'),
    (image_of(0) * np.float32(np.nan), 'not finite or not of 0 to 255'),
    (image_of(0) - 300, 'not finite or not of 0 to 255'),
    (image_of(0, 3), r'is of 3 channels, the images have 1'),
  ],
)  # fmt: skip
def test_a_bad_mean_image_is_refused_at_the_start(tmp_path, content, message):
  file = tmp_path / 'bad.npy'
  if isinstance(content, bytes):
    file.write_bytes(content)
  elif content is not None:
    np.save(file, content)
  with pytest.raises(UserError, match=message):
    train_lib.train_and_evaluate(config_of(file), str(tmp_path / 'run'))
  assert not list((tmp_path / 'run').iterdir())


@pytest.mark.slow
def test_training_sees_it_and_resumes_exactly(run, tmp_path):
  workdir, file = run
  np.testing.assert_array_equal(
    np.load(workdir / 'mean_image.npy'), np.load(file)
  )
  train_lib.train_and_evaluate(config_of(file), str(tmp_path / 'whole'))
  assert digests(tmp_path / 'whole') == digests(workdir)
  train_lib.train_and_evaluate(config_of(''), str(tmp_path / 'without'))
  assert digests(tmp_path / 'without') != digests(workdir)
  assert not (tmp_path / 'without' / 'mean_image.npy').exists()


def test_another_mean_image_is_another_run(run, tmp_path):
  workdir, file = run
  np.save(tmp_path / 'b.npy', image_of(1))
  for given in ('', tmp_path / 'b.npy'):
    with pytest.raises(UserError, match=r"set it to '.*run/mean_image.npy'"):
      train_lib.train_and_evaluate(config_of(given), str(workdir))
  for go in (train_lib.evaluate_only, inference.load):
    with pytest.raises(UserError, match='is not the mean image of the run'):
      go(config_of(tmp_path / 'b.npy'), str(workdir))
  train_lib.train_and_evaluate(
    config_of('', train__steps=1), str(tmp_path / 'without')
  )
  for go in (train_lib.train_and_evaluate, train_lib.evaluate_only):
    with pytest.raises(UserError, match="set it to ''"):
      go(config_of(file), str(tmp_path / 'without'))


@pytest.fixture
def moved(run, tmp_path):
  """The workdir of `run`, elsewhere, and a file that is not there."""
  shutil.copytree(run[0], tmp_path / 'moved')
  return tmp_path / 'moved', tmp_path / 'gone.npy'


@pytest.mark.slow
def test_evaluation_takes_the_copy_of_the_workdir(run, moved, tmp_path):
  workdir, gone = moved
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  last = [json.loads(line) for line in lines if 'eval/count' in line][-1]
  step = workdir / 'checkpoints' / '00000008'
  for given, init_from in (
    ('', ''), (gone, ''), (run[1], ''), ('', workdir), ('', step)
  ):  # fmt: skip
    config = config_of(given, init_from=str(init_from))
    place = tmp_path / 'results' if init_from else workdir
    result = train_lib.evaluate_only(config, str(place))
    assert result['loss'] == last['eval/loss']
    assert result['wrong'] == last['eval/wrong']


def predicted(config, workdir, files):
  model = inference.load(config, str(workdir))
  protocol = protocols.create(config, 'single')
  return inference.predict(model, protocol, files, 8), model


@pytest.mark.slow
def test_predictions_members_and_exports_take_it(run, moved):
  workdir, gone = moved
  files = [photographs.jpeg(0), photographs.jpeg(1, 28, 28)]
  found, model = predicted(config_of(gone), workdir, files)
  protocol = protocols.create(config_of(''), 'single')
  images = np.concatenate([
    inference.views(f, protocol, model.networks[0], model.image_shape)[0]
    for f in files
  ])  # fmt: skip
  module = zoo.create('lenet5_modern', num_classes=10)
  padded = np.pad(images.astype('f'), ((0, 0), (2, 2), (2, 2), (0, 0)))
  logits = module.apply(
    model.networks[0].variables, (padded - np.load(run[1])) / 200, train=False
  )
  expected = jax.nn.softmax(logits)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  both = config_of('', eval__members=str(workdir))
  np.testing.assert_allclose(
    predicted(both, workdir, files)[0], expected, atol=1e-6
  )
  loaded = jax.export.deserialize(export.serialize(model, (28, 28, 1)))
  np.testing.assert_allclose(loaded.call(images), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['npz', 'safetensors'])
def test_a_file_made_of_a_run_brings_it(run, tmp_path, kind):
  workdir, _ = run
  files = [photographs.jpeg(0)]
  expected, model = predicted(config_of(''), workdir, files)
  given = networks.as_trained(config_of(''), str(workdir))
  file = tmp_path / f'a.{kind}'
  export_weights.write(given, model, file, str(workdir))
  config = recorded.read(str(tmp_path / 'a' / 'config.json'))
  assert config.data.mean_image == ''
  for start in (config, config_of('')):
    start.init_from = str(file)
    found, _ = predicted(start, '', files)
    np.testing.assert_array_equal(found, expected)
  (tmp_path / 'a' / 'mean_image.npy').rename(tmp_path / 'gone')
  if kind == 'safetensors':
    (tmp_path / 'a' / 'config.json').unlink()
    with pytest.raises(UserError, match='mean image is not beside it'):
      predicted(config_of('', init_from=str(file)), '', files)


@pytest.mark.slow
def test_a_member_without_one_has_none(run, tmp_path):
  workdir, file = run
  train_lib.train_and_evaluate(
    config_of('', train__steps=1), str(tmp_path / 'without')
  )
  files = [photographs.jpeg(0)]
  config = config_of(file, eval__members=str(tmp_path / 'without'))
  found, _ = predicted(config, workdir, files)
  each = [
    predicted(config_of(''), place, files)[0]
    for place in (workdir, tmp_path / 'without')
  ]
  np.testing.assert_allclose(found, np.mean(each, 0), atol=1e-6)


def test_processes_compare_the_content_of_the_file(tmp_path, monkeypatch):
  """The same path on all, but one has another file behind it."""
  place = tmp_path / 'mine'
  place.mkdir()
  monkeypatch.chdir(place)
  np.save('a.npy', image_of(0))

  def check():
    config = config_of('a.npy')
    train_lib._check_same(config, None)

  others = two_processes.say(monkeypatch, check)
  two_processes.hear(monkeypatch, others)
  check()
  np.save('a.npy', np.nextafter(image_of(0), 256))
  with pytest.raises(UserError, match=r'file of data\.mean_image of process 1'):
    check()


def test_published_weights_have_a_mean_of_their_own():
  config = vgg.get_config('variant=vgg_a,data=folder')
  config.data.mean_image = 'mine.npy'
  changed = networks.with_origin(config, 'vgg11.pth')
  assert changed.data.mean_image == ''
  assert config.data.mean_image == 'mine.npy'
  assert mean_image.of_config(changed) is None


@pytest.mark.parametrize(
  ('channels', 'words'),
  [(1, 'have 1 channel: give 1$'), (3, 'have 3 channels: give 1 or 3$')],
)
def test_a_mean_of_other_channels_is_named(channels, words):
  prepare = preprocess.make_prepare(8, (1.0, 2.0), (1.0,))
  with pytest.raises(UserError, match=rf'data\.mean has 2 values, .* {words}'):
    prepare(np.zeros((1, 8, 8, channels), np.uint8))
