"""The papers' protocols, against forms written a second time, slowly."""

import io
import json
import socket

import cv2
import flax.linen as nn
import forking
import jax
import jax.numpy as jnp
import numpy as np
import photographs
import pytest
from conftest import ROOT, cases
from PIL import Image

from configs import default
from data import preprocess
from data.photos import Cropped, Photo
from errors import UserError
from evaluation import inference, protocols, scoring

# Portrait, landscape, square, smaller than the crop, long; the last are grey.
SIZES = (
  (375, 500), (500, 375), (333, 500), (500, 334), (256, 256), (257, 256),
  (400, 400), (100, 150), (151, 99), (60, 60), (31, 47), (200, 640), (640, 210),
  (480, 640), (500, 281), (224, 224), (225, 300), (299, 301), (300, 226),
  (120, 480),
)  # fmt: skip
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def photograph(number, height, width):
  """Returns a file with pixels of its own everywhere."""
  rng = np.random.default_rng(number)
  image = photographs.pixels(number, height, width).astype(int)
  image = (image + rng.integers(-30, 31, image.shape)).clip(0, 255)
  mode = 'L' if number >= 17 else 'RGB'
  kind = {'quality': 90} if number % 3 else {}
  name = 'JPEG' if number % 3 else 'PNG'
  return photographs.encode(image.astype(np.uint8), name, mode, **kind)


FILES = [photograph(i, *size) for i, size in enumerate(SIZES)]
# None of which shrinks to less than half of itself at 64.
SMALL = [photograph(i, h // 4, w // 4) for i, (h, w) in enumerate(SIZES)]


class Album:
  """`data.photos.Photos` in memory."""

  num_classes, class_names = 7, tuple('abcdefg')

  def __init__(self, files):
    self.files = files

  def __len__(self):
    return len(self.files)

  def read(self, indices):
    return [Photo(self.files[i], int(i) % 7, f'{i}.jpg') for i in indices]


def source_of(files, size):
  return Cropped(Album(files), lambda *_: None, size, 0)


class Small(nn.Module):
  """A network whose map of scores has a cell every 16 pixels."""

  num_classes: int = 7

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.relu(nn.Conv(8, (4, 4), (4, 4), padding='VALID')(x))
    x = nn.relu(nn.Conv(8, (3, 3), (4, 4))(x))
    x = nn.Conv(self.num_classes, (4, 4), padding='VALID')(x)
    return x[:, 0, 0] if x.shape[1:3] == (1, 1) else x


def network_of(size=64, seed=3, scale=3):
  module = Small()
  variables = module.init(jax.random.key(seed), jnp.zeros((1, size, size, 3)))
  variables = jax.tree.map(lambda x: scale * x, variables)
  prepare = preprocess.make_prepare(size, MEAN, STD)
  return scoring.Network('small', module, variables, prepare, size, 7)


def protocol_of(name, scales=(), geometry=None):
  config = default.get_config()
  config.data.eval_geometry = {'name': 'center', 'shorter_side': 256}
  config.data.geometry = geometry or {
    'name': 'scale_jitter', 'smallest': 256, 'largest': 512,
  }  # fmt: skip
  config.eval.scales = scales
  return protocols.create(config, name)


# The second form: PIL decodes, one view at a time, mirrors as views.


def slow_resized(encoded, side):
  image = Image.open(io.BytesIO(encoded))
  w, h = image.size
  if image.format == 'JPEG' and min(h, w) >= 2 * side:
    image.draft('RGB', (-(-w // 2), -(-h // 2)))  # see data/crops.py
  image = np.asarray(image.convert('RGB'))
  if h < w:
    h, w = side, round(w * side / h)
  else:
    h, w = round(h * side / w), side
  if image.shape[:2] == (h, w):
    return image
  return cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)


def slow_views(name, encoded, scale, size):
  """Yields (weight, view), mirrors too."""
  image = slow_resized(encoded, scale)
  h, w = image.shape[:2]
  views, mirrored = [], True
  if name == 'center':
    y, x = (h - size) // 2, (w - size) // 2
    views, mirrored = [image[y : y + size, x : x + size]], False
  elif name == 'multiscale' or name == 'dense':
    views = [image]
  elif name == 'multi_crop':
    for i in range(5):
      for j in range(5):
        y, x = int(i / 4 * (h - size)), int(j / 4 * (w - size))
        views.append(image[y : y + size, x : x + size])
  elif name == 'ten_crop':
    y, x = (h - scale) // 2, (w - scale) // 2
    views = slow_five(image[y : y + scale, x : x + scale], size)
  elif name == 'crops144':
    if h > w:
      parts = [image[:w], image[(h - w) // 2 :][:w], image[h - w :]]
    else:
      parts = [
        image[:, :h], image[:, (w - h) // 2 :][:, :h], image[:, w - h :]
      ]  # fmt: skip
    for square in parts:
      views += slow_five(square, size)
      views.append(cv2.resize(square, (size, size)))
  if mirrored:
    views = [v for view in views for v in (view, np.fliplr(view))]
  return views


def slow_five(square, size):
  n = len(square)
  c = (n - size) // 2
  return [
    square[:size, :size], square[:size, n - size :], square[n - size :, :size],
    square[n - size :, n - size :], square[c : c + size, c : c + size],
  ]  # fmt: skip


PAPERS = {
  'center': (256,),
  'ten_crop': (256,),
  'dense': (256, 384, 512),
  'multi_crop': (256, 384, 512),
  'crops144': (256, 288, 320, 352),
  'multiscale': (224, 256, 384, 480, 640),
}
PASSES = {
  'center': 1, 'ten_crop': 10, 'dense': 6, 'multi_crop': 150, 'crops144': 144,
  'multiscale': 10, 'dense_and_multi_crop': 156,
}  # fmt: skip


@pytest.mark.parametrize('name', cases(PAPERS, ['center', 'ten_crop', 'dense']))
def test_views_are_the_papers_to_the_pixel(name):
  protocol = protocol_of(name)
  assert protocol.scales == PAPERS[name]
  assert protocol.passes == PASSES[name]
  assert sum(p.weight for p in protocol.parts) == pytest.approx(1)
  step = 1 if name != 'crops144' else 2
  for encoded in FILES[::step]:
    found = scoring.cut(encoded, protocol, 224)
    for part, views in zip(protocol.parts, found, strict=True):
      slow = slow_views(name, encoded, part.side, 224)
      fast = [
        v
        for view in views
        for v in ((view, view[:, ::-1]) if part.flips else (view,))
      ]
      assert len(fast) == len(slow)
      for a, b in zip(fast, slow):
        np.testing.assert_array_equal(a, b)


def test_ten_crops_of_resnet_reach_into_the_corners_of_the_whole_image():
  config = default.get_config()
  config.data.eval_geometry = {'name': 'center', 'shorter_side': 256}
  config.eval.corners = 'image'
  protocol = protocols.create(config, 'ten_crop')
  for encoded in FILES:
    image = slow_resized(encoded, 256)
    (views,) = scoring.cut(encoded, protocol, 224)
    c, d = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    expected = [
      image[:224, :224], image[:224, -224:], image[-224:, :224],
      image[-224:, -224:], image[c : c + 224, d : d + 224],
    ]  # fmt: skip
    np.testing.assert_array_equal(views, expected)
  config.eval.corners = 'imgae'
  with pytest.raises(UserError, match=r"corners 'imgae' is unknown.*'image'"):
    protocols.create(config, 'ten_crop')


def test_views_of_caffes_networks_are_of_the_warped_image():
  config = default.get_config()
  config.data.eval_geometry = {'name': 'center', 'resize': 'warp'}
  protocol = protocols.create(config, 'ten_crop')
  encoded = photographs.jpeg(0, 260, 330)
  (views,) = scoring.cut(encoded, protocol, 227)
  whole = np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))
  warped = cv2.resize(whole, (256, 256))
  np.testing.assert_array_equal(views[3], warped[-227:, -227:])


def slow_probabilities(network, apply, name, encoded, scales):
  if name == 'dense_and_multi_crop':
    halves = [
      slow_probabilities(network, apply, n, encoded, scales)
      for n in ('dense', 'multi_crop')
    ]
    return np.mean(halves, 0)
  of_scales = []
  for scale in scales:
    of_views = []
    for view in slow_views(name, encoded, scale, network.image_size):
      x = (view.astype('d') - MEAN) / STD
      scores = np.asarray(apply(network.variables, x[None].astype('f')))[0]
      scores = scores.reshape(-1, 7).astype('d').mean(0)
      scores = np.exp(scores - scores.max())
      of_views.append(scores / scores.sum())
    of_scales.append(np.mean(of_views, 0))
  return np.mean(of_scales, 0)


@pytest.mark.slow
@pytest.mark.parametrize('name', PASSES)
def test_probabilities_are_those_of_the_slow_form(name):
  network = network_of()
  scales = (64,) if name == 'center' else (72, 64)
  protocol = protocol_of(name, scales)
  found, labels = scoring.probabilities(
    network, protocol, source_of(SMALL, 64), np.arange(20), batch_size=37
  )
  assert labels.tolist() == [i % 7 for i in range(20)]
  apply = jax.jit(network.module.apply)
  slow = [slow_probabilities(network, apply, name, f, scales) for f in SMALL]
  assert np.ptp(slow, 0).max() > 0.1
  np.testing.assert_allclose(found, slow, atol=1e-5)


def small_album():
  sizes = [(40, 48), (48, 40), (40, 40), (52, 40)]
  return [photographs.jpeg(i, *sizes[i % 4]) for i in range(37)]


def count_all(batch_sizes):
  """Returns [count, wrong, top-5 error] for protocols and batch sizes."""
  network, source = network_of(), source_of(small_album(), 64)
  found = {}
  for name, scales in (('ten_crop', (72,)), ('dense', (64, 80))):
    protocol = protocol_of(name, scales)
    for b in batch_sizes:
      r = scoring.evaluate([network], protocol, source, batch_size=b)
      found[f'{name} {b}'] = [r['count'], r['wrong'], r['top5_error']]
  return found


@pytest.mark.slow
def test_counts_do_not_depend_on_the_batch_size():
  found = count_all((7, 64))
  assert found['ten_crop 7'] == found['ten_crop 64']
  assert found['dense 7'] == found['dense 64']
  assert found['dense 7'][0] == 37
  assert 0 < found['dense 7'][1] < 37


def start(devices, said, processes=1, process=0, address=''):
  task = {
    'devices': devices, 'processes': processes, 'process': process,
    'address': address,
  }  # fmt: skip
  flags = f'--xla_force_host_platform_device_count={devices // processes}'
  return said, forking.Process(
    'tests/evaluation/counting.py', [json.dumps(task)], {'XLA_FLAGS': flags},
    ROOT, said, f'{said}.errors',
  )  # fmt: skip


def result_of(started):
  said, process = started
  assert process.wait(timeout=240) == 0
  return json.loads(said.read_text().splitlines()[-1])


@pytest.mark.slow
def test_counts_do_not_depend_on_devices_and_processes(tmp_path):
  results = [result_of(start(n, tmp_path / f'{n}')) for n in (1, 8)]
  with socket.socket() as probe:
    probe.bind(('localhost', 0))
    address = f'localhost:{probe.getsockname()[1]}'
  pair = [start(2, tmp_path / f'of 2: {i}', 2, i, address) for i in range(2)]
  results += [result_of(p) for p in pair]
  assert len({json.dumps(r) for r in results}) == 1
  for name in ('ten_crop', 'dense'):
    of = [v for k, v in results[0].items() if k.startswith(name)]
    assert len({tuple(v) for v in of}) == 1
    assert of[0][0] == 37


def test_an_ensemble_is_the_mean_of_probabilities_of_any_input_size():
  files, protocol = SMALL[:6], protocol_of('center', (80,))
  source = source_of(files, 64)
  sizes = (64, 80, 64)
  networks = [network_of(size, i, 1.5) for i, size in enumerate(sizes)]
  apply = jax.jit(networks[0].module.apply)
  each = np.array([
    [slow_probabilities(n, apply, 'center', f, (80,)) for f in files]
    for n in networks
  ])  # fmt: skip
  assert all(np.abs(each[i] - each[i - 1]).max() > 0.1 for i in range(3))

  def loss_of(p):
    return -np.log(p[np.arange(6), np.arange(6)]).mean()

  result = scoring.evaluate(networks, protocol, source, batch_size=4)
  mean = each.mean(0)
  assert result['loss'] == pytest.approx(loss_of(mean), rel=1e-5)
  # Not of logits, nor of fewer networks: the loss would tell.
  logits = np.exp(np.log(each).mean(0))
  others = [logits / logits.sum(1, keepdims=True)]
  others += [np.delete(each, i, 0).mean(0) for i in range(3)]
  assert all(abs(loss_of(p) / loss_of(mean) - 1) > 1e-3 for p in others)
  assert result['wrong'] == (mean.argmax(1) != np.arange(6)).sum()
  assert result['passes'] == 3
  model = inference.Model(networks, Album.class_names, (80, 80, 3))
  found = inference.predict(model, protocol, files * 11, 4)  # beyond a chunk
  np.testing.assert_allclose(found, np.tile(mean, (11, 1)), atol=1e-5)


def test_scales_follow_the_training():
  fixed = {'name': 'scale_jitter', 'smallest': 384, 'largest': 384}
  assert protocol_of('dense', geometry=fixed).scales == (352, 384, 416)
  crop = {'name': 'random_crop'}
  assert protocol_of('dense', geometry=crop).scales == (256,)
  assert protocol_of('dense', (256, 512)).scales == (256, 512)


def test_what_does_not_fit_is_refused():
  config = default.get_config()
  config.data.name = 'mnist'
  assert protocols.requested(config) == ['single']
  with pytest.raises(UserError, match=r"'dense' does not go with .*mnist"):
    protocols.create(config, 'dense')
  config.eval.protocol = 'single,ten_corp'
  with pytest.raises(UserError, match=r"'ten_corp' is unknown.*ten_crop"):
    protocols.requested(config)
  with pytest.raises(UserError, match="'single' does not go with"):
    protocol_of('single')
  with pytest.raises(UserError, match=r'32 of dense is below .* 64'):
    protocols.check_scales(protocol_of('dense', (96, 32)), 64)
  damaged = source_of([FILES[1], FILES[1][:300]], 64)
  with pytest.raises(UserError, match=r'1\.jpg \(index 1\) cannot be decoded'):
    scoring.evaluate(
      [network_of()], protocol_of('center'), damaged, batch_size=2
    )
