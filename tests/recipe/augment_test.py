"""Pixels: padding, range, and the affine distortions of LeNet-5."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import experiment
from configs import lenet5, resnet, resnet_cifar
from data import preprocess, sources
from errors import UserError
from recipe import augment


def digits(n):
  return sources.create('mnist5k', 'test').batch(np.arange(n) * 37)['image']


def test_pixel_range_and_border_of_section_ii_b():
  config = lenet5.get_config('data=mnist5k')
  data = config.data
  image = preprocess.pad_to(jnp.asarray(digits(3)), data.image_size)
  out = np.asarray(preprocess.standardize(image, data.mean, data.std))
  assert out.shape == (3, 32, 32, 1)
  assert out.dtype == np.float32
  inner = digits(3).astype('f') / 255
  np.testing.assert_allclose(
    out[:, 2:30, 2:30], -0.1 + 1.275 * inner, atol=1e-6
  )
  border = out.copy()
  border[:, 2:30, 2:30] = -0.1
  np.testing.assert_allclose(border, -0.1, atol=1e-7)
  white = preprocess.standardize(
    np.uint8([[[[0]], [[255]]]]), data.mean, data.std
  )
  np.testing.assert_allclose(white.ravel(), [-0.1, 1.175], rtol=1e-6)


def test_training_pads_then_augments_then_standardizes():
  config = lenet5.get_config('data=mnist5k,augment=invert')
  config.train.augment_options = {'probability': 1.0}
  training = experiment.create_experiment(config)
  out = np.asarray(training.training_input(jax.random.key(0), digits(2)))
  expected = np.full((2, 32, 32, 1), 1.175)  # the border is inverted too
  expected[:, 2:30, 2:30] -= 1.275 * digits(2) / 255
  np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize('data', ['cifar10', 'fashion_mnist'])
def test_cifars_border_is_zero_after_the_mean_is_subtracted(data):
  """ResNet, Section 4.2: padded after, so that zeros are of the mean."""
  config = resnet_cifar.get_config(f'data={data}')
  mean = np.array(config.data.mean)
  white = np.full((64, 32, 32, len(mean)), 255, np.uint8)
  shift = augment.create(config.train.augment, **config.train.augment_options)
  out = preprocess.of_config(config)(shift(jax.random.key(0), white))
  inside = np.isclose(out, 255 - mean).all(-1)
  assert (inside | np.isclose(out, 0, atol=1e-4).all(-1)).all()
  rows, columns = (inside.any(axis).sum(-1) for axis in (2, 1))
  assert {*rows} == {*columns} == {28, 29, 30, 31, 32}


def test_a_border_is_even_and_an_odd_row_of_it_below():
  out = preprocess.pad_to(jnp.ones((1, 3, 5, 1)), 6)[0, ..., 0]
  np.testing.assert_array_equal(out.any(1), [0, 1, 1, 1, 0, 0])
  np.testing.assert_array_equal(out.any(0), [1, 1, 1, 1, 1, 0])


def test_distort_equals_scipys_bilinear_map():
  images = preprocess.pad_to(jnp.asarray(digits(6)), 32)
  key = jax.random.key(5)
  out = np.asarray(augment.distort(key, images, 2.0, 0.1, 0.1, 0.15))
  draws = jax.random.uniform(key, (5, 6, 1), minval=-1.0, maxval=1.0)[..., 0]
  for i, (u_x, u_y, u_scale, u_squeeze, u_shear) in enumerate(
    np.asarray(draws).T
  ):
    scale, squeeze = 1 + 0.1 * u_scale, 1 + 0.1 * u_squeeze
    matrix = [[scale * squeeze, 0], [0.15 * u_shear, scale / squeeze]]
    centre = np.array([15.5, 15.5])
    shift = np.array([2 * u_y, 2 * u_x])
    offset = centre + shift - matrix @ centre
    expected = ndimage.affine_transform(
      np.asarray(images[i, ..., 0], np.float64), matrix, offset, order=1,
      mode='grid-constant',
    )  # fmt: skip
    np.testing.assert_allclose(out[i, ..., 0], expected, atol=0.02)
  assert np.abs(out - np.asarray(images)).max() > 100


def test_distort_without_magnitudes_changes_nothing():
  images = jnp.asarray(digits(2))
  out = augment.distort(jax.random.key(0), images, 0.0, 0.0, 0.0, 0.0)
  np.testing.assert_allclose(out, images, atol=1e-3)


def test_distort_draws_for_each_image_and_for_each_key():
  image = jnp.repeat(jnp.asarray(digits(1)), 3, axis=0)
  a, b = (np.asarray(augment.distort(jax.random.key(k), image)) for k in (0, 1))
  assert (a[0] != a[1]).any()
  assert (a != b).any()
  again = np.asarray(augment.distort(jax.random.key(0), image))
  np.testing.assert_array_equal(a, again)


def test_invert_turns_a_tenth_of_the_pixels_and_no_others():
  images = images_of(8)
  out = np.asarray(augment.invert(jax.random.key(3), images))
  turned = out == 255.0 - images
  kept = out == images
  assert (turned | kept).all()
  share = (turned & ~kept).mean()
  deviation = np.sqrt(0.1 * 0.9 / images.size)
  assert abs(share - 0.1) < 4 * deviation
  assert (out[0] - images[0] != out[1] - images[1]).any()


def test_unknown_augmentation_or_option_names_the_closest():
  with pytest.raises(UserError, match="Did you mean 'distort'"):
    augment.create('distorted')
  with pytest.raises(UserError, match="Did you mean 'squeeze'"):
    augment.create('distort', sqeeze=0.1)


def images_of(n, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (n, 6, 5, 3)).astype(np.uint8)


def test_flip_is_a_mirror_for_half_of_the_images():
  images = images_of(10_000)
  out = np.asarray(augment.flip(jax.random.key(0), images))
  mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
  assert (mirrored | (out == images).all((1, 2, 3))).all()
  assert 0.48 < mirrored.mean() < 0.52


@pytest.mark.parametrize(
  ('form', 'first'), [('code', 12.178), ('literal', 5.816)]
)
def test_lighting_shifts_along_the_components(form, first):
  images = np.full((10_000, 2, 2, 3), 100, np.uint8)
  out = np.asarray(augment.lighting(jax.random.key(0), images, form=form))
  shift = out - 100
  assert (shift == shift[:, :1, :1]).all()
  components = np.array([
    [-0.56351, -0.57618, -0.59200], [-0.71258, -0.02354, 0.70120],
    [0.41796, -0.81698, 0.39731],
  ])  # fmt: skip
  along = shift[:, 0, 0] @ components.T
  deviations = np.array([121.7801, 37.0939, 19.7208])
  std = 0.1 * (deviations if form == 'code' else deviations**2 / 255)
  np.testing.assert_allclose(along.std(0), std, rtol=0.03)
  assert along.std(0)[0] == pytest.approx(first, rel=0.03)
  assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 0.04


def test_lighting_flips_half_of_the_images():
  images = images_of(400)
  out = np.asarray(augment.lighting(jax.random.key(0), images, std=0.0))
  mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
  assert (mirrored | (out == images).all((1, 2, 3))).all()
  assert 160 < mirrored.sum() < 240


def test_an_unknown_form_of_lighting_is_refused_before_training():
  config = resnet.get_config('smoke,data=fake')
  config.train.augment_options.form = 'litteral'
  with pytest.raises(UserError, match=r"form 'litteral'.*mean 'literal'"):
    experiment.create_experiment(config)


@pytest.mark.parametrize(
  'options', [{}, {'brightness': 0.2, 'contrast': 0.4, 'colour': 0.3}]
)
def test_photometric_is_three_blends_each_clipped_in_random_order(options):
  """Howard (2013), 2.2: image by image in NumPy, in each of the orders."""
  key, images = jax.random.key(1), images_of(96)
  out = np.asarray(augment.photometric(key, images, **options))
  flip_key, _, key, _ = jax.random.split(key, 4)
  images = np.asarray(augment.flip(flip_key, images), np.float64)
  draws = np.asarray(jax.random.uniform(key, (3, 96), minval=-1.0))
  widths = [options.get(n, 0.5) for n in ('brightness', 'contrast', 'colour')]

  def blended(image, draws, order):
    for which in order:
      grey = image @ [0.299, 0.587, 0.114]
      centre = (0.0, grey.mean(), grey[..., None])[which]
      factor = 1 + widths[which] * draws[which]
      image = np.clip(centre + factor * (image - centre), 0, 255)
    return image

  orders = list(itertools.permutations(range(3)))
  found = []
  for image, drawn, got in zip(images, draws.T, out):
    errors = [abs(blended(image, drawn, o) - got).max() for o in orders]
    assert min(errors) < 0.01
    found.append(np.argmin(errors))
  counts = np.bincount(found, minlength=6)
  assert counts.min() > 1  # 16 expected of each, 3.7 the deviation


def test_howards_lighting_noise_comes_last_and_is_alexnets():
  images = np.full((5_000, 2, 2, 3), 100, np.uint8)
  none = {'brightness': 0.0, 'contrast': 0.0, 'colour': 0.0}
  key = jax.random.key(1)
  out = augment.photometric(key, images, **none, lighting=0.1)
  shift = np.asarray(out) - 100
  assert (abs(shift - shift[:, :1, :1]) < 1e-3).all()
  first = shift[:, 0, 0] @ np.array([-0.56351, -0.57618, -0.59200])
  assert first.std() == pytest.approx(12.178, rel=0.04)
  white = np.full((5_000, 2, 2, 3), 255, np.uint8)
  out = augment.photometric(key, white, **none, lighting=0.1)
  assert np.asarray(out).max() > 260  # after the clipping of the three


@pytest.mark.slow
def test_pad_crop_is_a_window_of_the_padded_image():
  images, padding, fill = images_of(2_000), 2, (10.0, 20.0, 30.0)
  out = np.asarray(
    augment.pad_crop(jax.random.key(0), images, padding=padding, fill=fill)
  )
  padded = np.broadcast_to(np.array(fill), (2_000, 10, 9, 3)).copy()
  padded[:, 2:-2, 2:-2] = images
  fits = np.array([
    np.isclose(
      out[:, :, ::-1] if mirror else out,
      padded[:, y : y + 6, x : x + 5],
      atol=1e-3,
    ).all((1, 2, 3))
    for mirror in (0, 1)
    for y in range(5)
    for x in range(5)
  ])  # fmt: skip
  assert fits.any(0).all()
  seen = np.bincount(fits.argmax(0), minlength=50)
  assert seen.min() > 15  # 40 expected of each
