"""Pixels: padding, range, and the affine distortions of LeNet-5."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import experiment
from configs import lenet5, resnet
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


def test_an_unknown_form_of_lighting_is_refused_before_training():
  config = resnet.get_config('smoke,data=fake')
  config.train.augment_options.form = 'litteral'
  with pytest.raises(UserError, match=r"form 'litteral'.*mean 'literal'"):
    experiment.create_experiment(config)


def centre_of(name, image):
  """What a factor leaves as it is: black, the mean grey, the pixel's grey."""
  grey = (image @ np.array([0.299, 0.587, 0.114]))[..., None]
  return {'brightness': 0 * grey, 'contrast': grey.mean(), 'colour': grey}[name]


def test_photometric_is_three_blends_in_every_order():
  images, key = images_of(64), jax.random.key(1)
  options = {'brightness': 0.0, 'contrast': 0.0, 'colour': 0.0}
  same = augment.photometric(key, images, **options)
  flipped = np.asarray(augment.flip(jax.random.split(key, 4)[0], images), float)
  np.testing.assert_allclose(same, flipped, atol=1e-3)
  factors = {name: [] for name in options}
  for name, found in factors.items():
    out = augment.photometric(key, images, **{**options, name: 0.5})
    for image, changed in zip(flipped, np.asarray(out, float), strict=True):
      inside = (changed > 0.5) & (changed < 254.5)
      centre = centre_of(name, image)
      x, y = (image - centre)[inside], (changed - centre)[inside]
      found.append((x * y).sum() / (x * x).sum())
      np.testing.assert_allclose(y, found[-1] * x, atol=0.05)
    assert 0.5 <= min(found) < 0.6
    assert 1.4 < max(found) <= 1.5
  # All three: as one by one in an order, clipped after each, which is what
  # tells the orders apart.
  out = np.asarray(augment.photometric(key, images, 0.5, 0.5, 0.5))
  orders = set()
  for i, image in enumerate(flipped):
    fitting = set()
    for order in itertools.permutations(options):
      x = image
      for name in order:
        centre = centre_of(name, x)
        x = (centre + factors[name][i] * (x - centre)).clip(0, 255)
      if np.allclose(out[i], x, atol=0.05):
        fitting.add(order)
    assert fitting
    orders |= fitting if len(fitting) == 1 else set()
  assert len(orders) == 6


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
  seen = np.zeros((2, 5, 5), int)
  for image, around in zip(out, padded, strict=True):
    found = [
      (mirror, y, x)
      for mirror in (0, 1)
      for y in range(5)
      for x in range(5)
      if np.allclose(
        image[:, ::-1] if mirror else image,
        around[y : y + 6, x : x + 5],
        atol=1e-3,
      )
    ]
    assert found
    seen[found[0]] += 1
  assert seen.min() > 15  # 40 expected of each
