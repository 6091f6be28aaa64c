"""data_mean against a plain computation with NumPy."""

import re

import forking
import jax
import numpy as np
import pytest
from conftest import LENET, ROOT, make_config, run_main
from photographs import jpeg, make_folder

import experiment
from data import crops, mean_image
from errors import UserError
from recipe import augment
from tools import data_mean


@pytest.fixture
def config(tmp_path):
  root = make_folder(tmp_path / 'data', train=30)  # three chunks
  return make_config(
    data__name='folder',
    data__dir=str(root),
    data__image_size=32,
    data__geometry={'name': 'center', 'shorter_side': 40},
    data__eval_geometry={'name': 'center', 'shorter_side': 40},
  )


def plain(images):
  """Mean image, mean, covariance of [N, H, W, C], in float64."""
  flat = images.reshape(-1, images.shape[-1]).astype('d')
  covariance = np.cov(flat.T, bias=True).reshape(images.shape[-1:] * 2)
  return images.astype('d').mean(0), flat.mean(0), covariance


def check(found, images):
  image, mean, covariance = plain(images)
  np.testing.assert_allclose(found.image, image, rtol=1e-12)
  np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
  np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
  np.testing.assert_allclose(
    found.std, images.astype('d').std((0, 1, 2)), rtol=1e-9
  )


def test_photographs_are_seen_through_the_centre(config):
  files = sorted((ROOT / config.data.dir).glob('train/*/*.jpg'))
  images = np.stack([crops.center(f.read_bytes(), None, 32, 40) for f in files])
  source = experiment.create_source(config, 'train')
  by_name = [p.key for p in source.photos.read(np.arange(90))]
  assert sorted(by_name) == sorted(
    f'train/{f.parent.name}/{f.name}' for f in files
  )
  found = data_mean.collect(source, 32)
  check(found, images)
  # The centre crop of the mean image of the resized squares.
  squares = np.stack(
    [crops.center(f.read_bytes(), None, 40, 40) for f in files]
  ).astype('d')
  np.testing.assert_allclose(
    found.image, squares.mean(0)[4:36, 4:36], rtol=1e-12
  )


def test_components_are_those_of_lighting(config):
  found = data_mean.collect(experiment.create_source(config, 'train'), 32)
  components, deviations = found.components()
  assert (np.diff(deviations) < 0).all()
  np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-9)
  np.testing.assert_allclose(
    components.T * deviations**2 @ components, found.covariance, rtol=1e-9
  )
  grey = np.full((10_000, 1, 1, 3), 100, np.uint8)
  out = augment.lighting(
    jax.random.key(0), grey, components=components, deviations=deviations
  )
  covariance = np.cov(np.asarray(out, 'd').reshape(-1, 3).T)
  np.testing.assert_allclose(
    covariance, 0.01 * found.covariance, rtol=0.05, atol=2
  )


def test_digits_have_the_border_that_the_network_sees():
  config = make_config()
  source = experiment.create_source(config, 'train')
  images = np.pad(source.images, ((0, 0), (2, 2), (2, 2), (0, 0)))
  check(data_mean.collect(source, 32), images)
  some = images[np.arange(100) * 40]
  check(data_mean.collect(source, 32, 100), some)
  check(data_mean.collect(source, 32, 5_000), images)
  with pytest.raises(UserError, match='image_size 20 is smaller'):
    data_mean.collect(source, 20)


def test_nothing_cancels_in_sums_of_a_large_data_set():
  pixels = np.full((2, 2, 1), 255 * 10**9)
  products = np.array([[255**2 * 4 * 10**9]])
  found = data_mean.statistics(data_mean.Sums(10**9, pixels, products))
  assert found.mean.tolist() == [255]
  assert found.std.tolist() == [0]
  # One pixel of one image is darker by one.
  pixels[0, 0, 0] -= 1
  products[0, 0] += 254**2 - 255**2
  found = data_mean.statistics(data_mean.Sums(10**9, pixels, products))
  n = 4 * 10**9
  assert found.std[0] == pytest.approx(((n - 1) / n**2) ** 0.5, rel=1e-12)


def test_a_damaged_photograph_stops_or_is_replaced(config):
  file = ROOT / config.data.dir / 'train/class1/1_3.jpg'
  file.write_bytes(jpeg(0)[:300])
  with pytest.raises(UserError, match=r'1_3.jpg \(index .*cannot be decoded'):
    data_mean.collect(experiment.create_source(config, 'train'), 32)
  config.data.on_error = 'skip'
  source = experiment.create_source(config, 'train')
  data_mean.collect(source, 32)
  assert 'class1/1_3.jpg' in source.replaced()[0]


def run_tool(*arguments):
  return forking.run('tools.data_mean', LENET + 'smoke', *arguments)


@pytest.mark.slow
def test_what_it_prints_can_be_pasted(tmp_path):
  out = tmp_path / 'mean.npy'
  done = run_tool(f'--out={out}', '--images=500')
  assert done.returncode == 0, done.stderr
  assert 'mnist5k, train: 500 of 4,000 images\n' in done.stdout
  source = experiment.create_source(make_config(), 'train')
  found = data_mean.collect(source, 32, 500)
  np.testing.assert_array_equal(
    mean_image.read(out, 32), found.image.astype('f')
  )
  pasted = re.findall(r"(--config\S+?)='?(.*?)'?\n", done.stdout)
  names = ['--config.data.' + n for n in ('mean', 'std', 'mean_image')]
  assert [name for name, _ in pasted] == names
  result = run_main(
    LENET + 'smoke',
    f'--workdir={tmp_path}/run',
    '--config.train.steps=1',
    *(f'{name}={value}' for name, value in pasted),
  )
  assert result.returncode == 0, result.stderr
  done = run_tool(f'--out={tmp_path}/no/mean.npy')
  assert done.returncode == 2
  assert done.stderr.startswith(f"error: --out '{tmp_path}/no/mean.npy'")
