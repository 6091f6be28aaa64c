"""Geometries, to the pixel and in distribution."""

import io

import cv2
import numpy as np
import pytest
from photographs import encode, jpeg, pixels
from PIL import Image

from data import crops, decoding
from errors import UserError

DRAWS = 10_000


class Script:
  """A generator that gives what the test says, and notes what is asked."""

  def __init__(self, *integers, uniforms=()):
    self.integers_left, self.uniforms = list(integers), uniforms
    self.asked = []

  def integers(self, low, high=None):
    self.asked.append((0, low) if high is None else (low, high))
    return self.integers_left.pop(0)

  def random(self, shape):
    rows = np.full(shape, 0.5)
    rows[: len(self.uniforms)] = self.uniforms
    return rows


def full(encoded):
  """Decoded by another library's code: Pillow's libjpeg."""
  return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))


def bilinear(image, height, width):
  """Half-pixel centres, edges repeated, float64: the textbook's form."""
  for axis, size in ((0, height), (1, width)):
    old = image.shape[axis]
    at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, old - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    part = (at - low).reshape(shape)
    image = (1 - part) * image.take(low, axis) + part * image.take(high, axis)
  return image


def assert_pixels(got, expected):
  """Equal up to OpenCV's fixed-point weights and one rounding."""
  assert got.dtype == np.uint8
  assert got.shape == expected.shape
  assert np.abs(got - expected.astype(np.float64)).max() <= 1.01


def test_center_is_the_middle_of_the_resized_image():
  got = crops.center(jpeg(0), Script(), 32, shorter_side=40)
  whole = bilinear(full(jpeg(0)), 40, 53)  # 60x80: 40x53.3
  assert_pixels(got, whole[4:36, 10:42])


def test_caffe_warps_to_a_square():
  got = crops.center(jpeg(0), Script(), 32, shorter_side=40, resize='warp')
  assert_pixels(got, bilinear(full(jpeg(0)), 40, 40)[4:36, 4:36])  # of 60x80


def test_area_is_the_mean_of_what_a_pixel_covers_and_cubic_where_it_grows():
  got = crops.resized(jpeg(0, 60, 90), 40, 'area')
  fine = full(jpeg(0, 60, 90)).repeat(2, 0).repeat(2, 1).astype(np.float64)
  assert_pixels(got, fine.reshape(40, 3, 60, 3, 3).mean((1, 3)))
  got = crops.resized(jpeg(0, 60, 80), 90, 'area')
  cubic = cv2.resize(
    full(jpeg(0, 60, 80)), (120, 90), interpolation=cv2.INTER_CUBIC
  )
  np.testing.assert_array_equal(got, cubic)


@pytest.mark.parametrize('number', range(5))
def test_zfnets_five_crops_are_corners_and_centre(number):
  got = crops.five_crops(jpeg(1), Script(number), 32, shorter_side=40)
  square = crops.center(jpeg(1), Script(), 40, shorter_side=40)
  top, left = ((0, 0), (0, 8), (8, 0), (8, 8), (4, 4))[number]
  np.testing.assert_array_equal(got, square[top : top + 32, left : left + 32])


def test_an_unknown_form_of_resizing_is_refused():
  with pytest.raises(UserError, match=r"geometry.resize 'wrap'.*mean 'warp'"):
    crops.create('data.geometry', 32, 'center', resize='wrap')


def test_random_crop_lies_in_the_central_square():
  rng = Script(3, 8)
  got = crops.random_crop(jpeg(1), rng, 32, shorter_side=40)
  square = bilinear(full(jpeg(1)), 40, 53)[:, 6:46]
  assert_pixels(got, square[3:35, 8:40])
  assert rng.asked == [(0, 9), (0, 9)]
  # AlexNet's own: 33 positions an axis.
  rng = Script(32, 32)
  assert crops.random_crop(jpeg(1), rng, 224).shape == (224, 224, 3)
  assert rng.asked == [(0, 33), (0, 33)]


def test_scale_jitter_draws_the_side_then_the_place_in_the_whole_image():
  rng = Script(64, 30, 7)
  got = crops.scale_jitter(jpeg(2, 80, 60), rng, 32, smallest=40, largest=70)
  whole = bilinear(full(jpeg(2, 80, 60)), 85, 64)  # standing: 80x60
  assert_pixels(got, whole[30:62, 7:39])
  assert rng.asked == [(40, 71), (0, 54), (0, 33)]


@pytest.mark.parametrize('number', range(4))
def test_inception_resizes_its_patch_with_the_drawn_method(number):
  # Half of the image's area, square: 49 x 49 of 60 x 80, at (5, 15).
  uniforms = [[(0.5 - 0.08) / 0.92, 0.5, 5.5 / 12, 15.5 / 32]]
  rng = Script(number, uniforms=uniforms)
  got = crops.inception(jpeg(3), rng, 32)
  patch = full(jpeg(3))[5:54, 15:64]
  if number == 0:
    assert_pixels(got, bilinear(patch, 32, 32))
  elif number == 1:  # exact area: every pixel split into 32 x 32, then means
    fine = patch.repeat(32, 0).repeat(32, 1).astype(np.float64)
    assert_pixels(got, fine.reshape(32, 49, 32, 49, 3).mean((1, 3)))
  elif number == 2:
    at = np.arange(32) * 49 // 32
    np.testing.assert_array_equal(got, patch[at][:, at])
  else:
    expected = cv2.resize(patch, (32, 32), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(got, expected)
  assert rng.asked == [(0, 4)]


def test_an_image_is_decoded_so_large_that_its_patch_need_not_grow(monkeypatch):
  asked, decode = [], crops.decode
  monkeypatch.setattr(
    crops,
    'decode',
    lambda e, size, rows: asked.append((size, rows)) or decode(e, size),
  )
  # Half of 60 x 80, lying: 42 x 57.
  rng = Script(0, uniforms=[[(0.5 - 0.08) / 0.92, 1.0, 0.0, 0.0]])
  crops.inception(jpeg(3), rng, 20)
  # 60 x 20 / 42 and 80 x 20 / 57, rounded up; at the top, so 42 rows.
  assert asked == [((29, 29), 42)]


def test_a_patch_is_the_same_of_the_rows_that_it_needs_and_of_the_whole(
  monkeypatch,
):
  photo, decode = jpeg(0, 375, 500), crops.decode
  ours = [
    crops.inception(photo, np.random.default_rng(i), 224) for i in range(9)
  ]
  monkeypatch.setattr(crops, 'decode', lambda e, size, rows: decode(e, size))
  for i, patch in enumerate(ours):
    np.testing.assert_array_equal(
      patch, crops.inception(photo, np.random.default_rng(i), 224)
    )


def test_inception_boxes_over_many_draws():
  rng = np.random.default_rng(0)
  boxes = np.array(
    [
      crops.inception_box(375, 500, rng, (0.08, 1.0), (3 / 4, 4 / 3))
      for _ in range(DRAWS)
    ]
  )
  top, left, height, width = boxes.T
  assert (top >= 0).all()
  assert (left >= 0).all()
  assert (top + height <= 375).all()
  assert (left + width <= 500).all()
  area, aspect = height * width / (375 * 500), width / height
  assert 0.078 < area.min() < 0.085
  assert area.max() > 0.97
  assert 0.74 < aspect.min() < 0.76
  assert 1.32 < aspect.max() < 1.35
  # Before shapes that do not fit are drawn again, areas are uniform: below
  # half of the image every shape fits, so there counts are equal.
  counts, _ = np.histogram(area, np.linspace(0.08, 0.5, 7))
  assert np.abs(counts / counts.mean() - 1).max() < 0.12
  small = aspect[area < 0.5]
  assert abs(np.log(small).mean()) < 0.01  # lying and standing alike
  assert abs(np.log(small).std() - np.log(16 / 9) / 12**0.5) < 0.01
  # Places are uniform in what is left free.
  assert abs((top / np.maximum(375 - height, 1)).mean() - 0.5) < 0.02
  assert abs((left / np.maximum(500 - width, 1)).mean() - 0.5) < 0.02


def test_aspect_is_width_by_height():
  rng = np.random.default_rng(0)
  _, _, height, width = crops.inception_box(500, 500, rng, (0.1, 0.2), (2, 2))
  assert width == pytest.approx(2 * height, abs=1)


def test_inception_of_a_long_image_is_the_largest_box_in_its_centre():
  rng = np.random.default_rng(0)
  # 20 x 1000: no patch of 8 % fits with a side of at most 20.
  box = crops.inception_box(20, 1000, rng, (0.08, 1.0), (3 / 4, 4 / 3))
  assert box == (0, 486, 20, 27)
  box = crops.inception_box(1000, 20, rng, (0.08, 1.0), (3 / 4, 4 / 3))
  assert box == (486, 0, 27, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'options', 'ranges'),
  [
    ('random_crop', {}, {'top': (0, 32), 'left': (0, 32)}),
    ('scale_jitter', {'smallest': 256, 'largest': 480}, {'side': (256, 480)}),
    ('scale_jitter', {'smallest': 256, 'largest': 512}, {'side': (256, 512)}),
    ('scale_jitter', {'smallest': 384, 'largest': 384}, {'side': (384, 384)}),
  ],
)
def test_draws_fill_their_ranges(monkeypatch, name, options, ranges):
  """Ranges and means over many draws, without decoding."""
  seen = {'side': [], 'top': [], 'left': []}
  rows = np.arange(700, dtype=np.uint16)

  def resized(encoded, side, resize='bilinear'):
    del encoded
    seen['side'].append(side)
    # A picture whose pixels are their own coordinates.
    shape = (side, side + side // 3)
    grid = np.broadcast_to(rows[: shape[0], None], shape)
    return np.stack([grid, np.broadcast_to(rows[: shape[1]], shape)], -1)

  monkeypatch.setattr(crops, 'resized', resized)
  geometry = crops.create('data.geometry', 224, name, **options)
  rng = np.random.default_rng(1)
  inset = 42 if name == 'random_crop' else 0  # (341 - 256) // 2 columns
  for _ in range(DRAWS):
    top, left = geometry(b'', rng, 224)[0, 0]
    seen['top'].append(int(top))
    seen['left'].append(int(left) - inset)
  for key, (low, high) in ranges.items():
    values = np.array(seen[key])
    assert (values.min(), values.max()) == (low, high)
    spread = (high - low + 1) / 12**0.5
    assert abs(values.mean() - (low + high) / 2) <= 4 * spread / DRAWS**0.5


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same():
  image = pixels(4, 480, 640)
  encoded = encode(image, quality=95)
  assert decoding.decode(encoded, (240, 320)).shape == (240, 320, 3)
  assert decoding.decode(encoded, (241, 0)).shape == (480, 640, 3)
  assert decoding.decode(encoded, (2000, 2000)).shape == (480, 640, 3)
  got = crops.center(encoded, Script(), 100, shorter_side=120)
  exact = cv2.resize(full(encoded), (160, 120), interpolation=cv2.INTER_AREA)
  difference = np.abs(got.astype(int) - exact[10:110, 30:130])
  assert difference.mean() < 1.0
  assert difference.max() < 16
  # Half of it, square: its lower right corner.
  uniforms = [[(0.5 - 0.08) / 0.92, 0.5, 0.999, 0.999]]
  patch = crops.inception(
    encoded, Script(uniforms=uniforms), 64, interpolation='area'
  )
  corner = full(encoded)[88:480, 248:640]
  exact = cv2.resize(corner, (64, 64), interpolation=cv2.INTER_AREA)
  assert np.abs(patch.astype(int) - exact).mean() < 2.0


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'name': 'inceptoin'}, "data.geometry 'inceptoin' .*'inception'"),
    ({'name': 'center', 'shorter_sid': 9}, "Did you mean 'shorter_side'"),
    ({'name': 'center', 'shorter_side': 200}, 'is 200: at least .* 224'),
    ({'name': 'scale_jitter', 'smallest': 300, 'largest': 256}, 'lower end'),
    ({'name': 'inception', 'area': (0.5, 2.0)}, 'shares of the image'),
    ({'name': 'inception', 'interpolation': 'cubi'}, "Did you mean 'cubic'"),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(UserError, match=message):
    crops.create('data.geometry', 224, **options)


def test_smaller_sides_are_resized_as_if_alone():
  # 375x500: decoded at 1/2 for 150, once more at 3/8 for 100 and 1/8 for 40.
  photo = jpeg(0, 375, 500)
  sides = (150, 100, 40)
  for together, side in zip(crops.resized_to(photo, sides), sides):
    np.testing.assert_array_equal(together, crops.resized(photo, side))
