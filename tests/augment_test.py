"""Pixels: padding, range, and the affine distortions of LeNet-5."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import augment
import sources
from configs import lenet5
from errors import UserError


def digits(n):
  return sources.create('mnist5k', 'test').batch(np.arange(n) * 37)['image']


def test_pixel_range_and_border_of_section_ii_b():
  config = lenet5.get_config('data=mnist5k')
  data = config.data
  image = augment.pad_to(jnp.asarray(digits(3)), data.image_size)
  out = np.asarray(augment.standardize(image, data.mean, data.std))
  assert out.shape == (3, 32, 32, 1)
  assert out.dtype == np.float32
  inner = digits(3).astype('f') / 255
  np.testing.assert_allclose(
    out[:, 2:30, 2:30], -0.1 + 1.275 * inner, atol=1e-6
  )
  border = out.copy()
  border[:, 2:30, 2:30] = -0.1
  np.testing.assert_allclose(border, -0.1, atol=1e-7)
  white = augment.standardize(np.uint8([[[[0]], [[255]]]]), data.mean, data.std)
  np.testing.assert_allclose(white.ravel(), [-0.1, 1.175], rtol=1e-6)


def test_distort_equals_scipys_bilinear_map():
  images = augment.pad_to(jnp.asarray(digits(6)), 32)
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


def test_unknown_augmentation_or_option_names_the_closest():
  with pytest.raises(UserError, match="Did you mean 'distort'"):
    augment.create('distorted')
  with pytest.raises(UserError, match="Did you mean 'squeeze'"):
    augment.create('distort', sqeeze=0.1)
