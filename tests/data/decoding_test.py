"""Photographs decoded: as other libraries do it, whole, bounded, upright."""

import io
import re
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from conftest import ROOT
from photographs import encode, jpeg, pixels
from PIL import Image

from data import decoding


def pillow(encoded):
  """Decoded by another library's code: Pillow's libjpeg. Or None."""
  try:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))
  except Exception:  # noqa: BLE001  of many kinds
    return None


@pytest.mark.parametrize(
  ('kind', 'mode', 'tolerance'),
  [('PNG', 'RGB', 0), ('PNG', 'P', 0), ('JPEG', 'CMYK', 1), ('JPEG', 'L', 0)],
)
def test_what_is_not_a_plain_jpeg_becomes_rgb(kind, mode, tolerance):
  encoded = encode(pixels(5), kind, mode)
  got = decoding.decode(encoded)
  assert got.shape == (60, 80, 3)
  assert np.abs(got.astype(int) - pillow(encoded)).max() <= tolerance
  assert decoding.image_size(encoded) == (60, 80)


def test_damage_is_an_error_and_harmless_bytes_are_not():
  good = jpeg(6)
  extra = good[:-2] + b'\0\0\0' + good[-2:]
  np.testing.assert_array_equal(decoding.decode(extra), pillow(good))
  for bad in (
    good[: len(good) // 2],
    extra[: len(good) // 2],
    good[:-2],
    encode(pixels(6), 'PNG')[:-200],
    b'',
    b'\xff\xd8',
    b'GIF89a nothing',
  ):
    with pytest.raises(ValueError, match=r'.'):
      decoding.decode(bad)


def after(encoded, marker):
  """Returns where the content of the first segment of a kind begins."""
  return encoded.index(bytes((0xFF, marker))) + 4


def with_byte(encoded, at, value):
  return encoded[:at] + bytes([value]) + encoded[at + 1 :]


def scan_without_parameters(encoded):
  """Se is 0 where a sequential JPEG has 63, as some phones write it."""
  return with_byte(encoded, after(encoded, 0xDA) + 8, 0)


def unknown_version(encoded):
  return with_byte(encoded, after(encoded, 0xE0) + 5, 9)


def bytes_in_the_header(encoded):
  at = after(encoded, 0xDB) - 4
  return encoded[:at] + b'\1\2\3\0' + encoded[at:]


def unknown_colours(encoded):
  """Adobe's number of a transform that nobody has."""
  segment = b'\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09'
  return encoded[:2] + segment + encoded[20:]  # in place of JFIF's


HARMLESS = (
  scan_without_parameters, unknown_version, bytes_in_the_header,
  unknown_colours,
)  # fmt: skip


@pytest.mark.parametrize('harm', HARMLESS)
def test_what_libjpeg_only_warns_of_is_decoded_and_hides_no_damage(harm):
  good = jpeg(6)
  odd = harm(good)
  assert odd != good
  np.testing.assert_array_equal(decoding.decode(odd), pillow(good))
  assert decoding.decode(odd, (30, 40)).shape == (30, 40, 3)
  assert decoding.image_size(odd) == (60, 80)
  both = harm(good[:-2] + b'\0\0\0' + good[-2:])
  np.testing.assert_array_equal(decoding.decode(both), pillow(good))
  scan = after(odd, 0xDA) + 10
  for end in (*range(scan, len(odd) - 2, 97), len(odd) - 2):
    with pytest.raises(ValueError, match=r'[Pp]remature'):
      decoding.decode(odd[:end])
  wrong = 0
  for at in range(scan, len(good) - 2, 7):
    bad = with_byte(good, at, good[at] ^ 0x55)
    try:
      decoding.decode(bad)
    except ValueError as error:
      wrong += 1
      with pytest.raises(ValueError, match=re.escape(str(error))):
        decoding.decode(harm(bad))
  assert wrong > 3


@pytest.mark.parametrize(
  ('mode', 'options'),
  [('RGB', {}), ('RGB', {'progressive': True}), ('L', {}), ('CMYK', {})],
)
def test_damaged_headers_give_pillows_pixels_or_an_error(mode, options):
  good = encode(pixels(7, 24, 32), 'JPEG', mode, **options)
  whole = pillow(good)
  rng = np.random.default_rng(0)
  taken, refused = 0, []
  for at in range(2, after(good, 0xDA) + 10):
    for value in (int(rng.integers(256)), good[at] ^ 1):
      bad = with_byte(good, at, value)
      if (theirs := pillow(bad)) is None:
        continue
      try:
        ours = decoding.decode(bad)
      except ValueError as error:
        if np.array_equal(theirs, whole) and 'sampling' not in str(error):
          refused.append((at, value, error))
        continue
      taken += 1
      assert ours.shape == theirs.shape
      assert np.abs(ours.astype(int) - theirs).max() <= 1, (at, value)
  assert not refused
  assert taken > 300


@pytest.mark.parametrize('sampling', ['4:4:4', '4:2:2', '4:2:0', 'grey'])
@pytest.mark.parametrize('restarts', [0, 2])
def test_the_first_rows_alone_are_those_of_the_whole(
  monkeypatch, sampling, restarts
):
  options = {} if sampling == 'grey' else {'subsampling': sampling}
  mode = 'L' if sampling == 'grey' else 'RGB'
  encoded = encode(
    pixels(3, 75, 50), 'JPEG', mode, restart_marker_rows=restarts, **options
  )
  whole = pillow(encoded)
  heights = notes_heights(monkeypatch)
  for rows in range(1, 76):
    heights.clear()
    got = decoding.decode(encoded, rows=rows)
    assert heights == [min(rows + 2, 75) if rows + 2 <= 75 - 16 else 75]
    assert got.shape == whole.shape
    np.testing.assert_array_equal(got[:rows], whole[:rows])
    if heights[0] < 75:
      assert not got[heights[0] :].any()


@pytest.mark.parametrize('sampling', ['440', '411'])
def test_the_first_rows_are_exact_in_rare_samplings(sampling):
  encoded = simplejpeg.encode_jpeg(pixels(3, 75, 50), colorsubsampling=sampling)
  whole = pillow(encoded)
  for rows in range(1, 76):
    np.testing.assert_array_equal(
      decoding.decode(encoded, rows=rows)[:rows], whole[:rows]
    )


def notes_heights(monkeypatch):
  """Returns a list that gets the height of every JPEG that is decoded."""
  heights, decode = [], simplejpeg.decode_jpeg

  def noting(encoded, *args, **kwargs):
    heights.append(simplejpeg.decode_jpeg_header(encoded, strict=False)[0])
    return decode(encoded, *args, **kwargs)

  monkeypatch.setattr(simplejpeg, 'decode_jpeg', noting)
  return heights


@pytest.mark.parametrize(
  ('mode', 'options'), [('RGB', {'progressive': True}), ('CMYK', {})]
)
def test_what_has_no_first_rows_of_its_own_is_decoded_as_ever(mode, options):
  encoded = encode(pixels(3, 75, 50), 'JPEG', mode, **options)
  np.testing.assert_array_equal(
    decoding.decode(encoded, rows=20), decoding.decode(encoded)
  )


@pytest.mark.parametrize(
  'at_least', [(37, 25), (38, 25), (38, 26), (39, 25), (38, 0), (0, 26), (9, 9)]
)
def test_the_first_rows_come_in_the_size_of_the_whole(at_least):
  encoded = encode(pixels(3, 75, 50))
  whole = decoding.decode(encoded, at_least)
  got = decoding.decode(encoded, at_least, rows=20)
  assert got.shape == whole.shape
  rows = 20 if len(whole) == 75 else len(whole)
  np.testing.assert_array_equal(got[:rows], whole[:rows])


@pytest.mark.parametrize('restarts', [0, 1])
def test_of_the_first_rows_alone_an_early_end_is_an_error_damage_below_is_not(
  restarts,
):
  good = encode(pixels(6, 75, 50), restart_marker_rows=restarts)
  whole, rows = decoding.decode(good), 20
  scan = after(good, 0xDA) + 10
  for end in (*range(scan, len(good) - 2, 29), len(good) - 2):
    with pytest.raises(ValueError, match=r'[Pp]remature'):
      decoding.decode(good[:end], rows=rows)
  noticed = passed = 0
  for at in range(scan, len(good) - 2):
    bad = with_byte(good, at, good[at] ^ 0x55)
    expected, got = outcome(bad), outcome(bad, rows=rows)
    if isinstance(got, str):
      assert got == expected
      noticed += 1
    elif at > scan + 3 * (len(good) - scan) // 4:
      passed += isinstance(expected, str)
      np.testing.assert_array_equal(got[:rows], whole[:rows])
    elif not isinstance(expected, str):
      np.testing.assert_array_equal(got[:rows], expected[:rows])
  assert noticed
  assert passed


def outcome(encoded, **options):
  """Returns the image, or what the error says."""
  try:
    return decoding.decode(encoded, **options)
  except ValueError as error:
    return str(error)


@pytest.mark.parametrize('harm', HARMLESS)
def test_odd_headers_have_their_first_rows_too(harm):
  odd = harm(jpeg(6))
  np.testing.assert_array_equal(
    decoding.decode(odd, rows=20)[:20], pillow(jpeg(6))[:20]
  )


def header_of(kind, height, width):
  """Returns the begin of a file that says to have these sides."""
  if kind == 'PNG':
    data = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    body = b'IHDR' + data
    return (
      b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + body
      + struct.pack('>I', zlib.crc32(body)) + bytes(64)
    )  # fmt: skip
  encoded = bytearray(encode(pixels(0), kind))
  at, form = {
    'GIF': (6, '<HH'), 'BMP': (18, '<ii'),
    'JPEG': (encoded.find(b'\xff\xc0') + 5, '>HH'),
  }[kind]  # fmt: skip
  sides = (height, width) if kind == 'JPEG' else (width, height)
  struct.pack_into(form, encoded, at, *sides)
  return bytes(encoded)


@pytest.mark.parametrize('kind', ['PNG', 'GIF', 'BMP', 'JPEG'])
@pytest.mark.parametrize(
  ('height', 'width', 'words'),
  [
    (40_000, 40_000, '40000 x 40000 pixels, more than 268,435,456 in all'),
    (1, 60_000, '60000 x 1 pixels, one side more than 100 times the other'),
    (60_000, 599, '599 x 60000 pixels, one side more than 100 times'),
  ],
)
def test_the_header_is_enough_to_refuse(
  monkeypatch, kind, height, width, words
):
  monkeypatch.setattr(cv2, 'imdecode', None)
  encoded = header_of(kind, height, width)
  with pytest.raises(ValueError, match=words):
    decoding.image_size(encoded)
  with pytest.raises(ValueError, match=words):
    decoding.decode(encoded)


@pytest.mark.parametrize('kind', ['PNG', 'GIF', 'BMP', 'JPEG', 'WEBP', 'TIFF'])
def test_sides_and_pixels_in_other_formats(kind):
  encoded = encode(pixels(8, 40, 30), kind)
  assert decoding.image_size(encoded) == (40, 30)
  if kind == 'GIF' and not cv2.haveImageWriter('a.gif'):
    pytest.skip('needs pip install opencv-python-headless>=4.11')
  got = decoding.decode(encoded)
  tolerance = 1 if kind in ('JPEG', 'WEBP') else 0
  assert np.abs(got.astype(int) - pillow(encoded)).max() <= tolerance
  with pytest.raises(ValueError, match=r'not a whole|cut off'):
    decoding.decode(encoded[: len(encoded) // 2])


def test_a_bitmap_with_the_short_header_of_os2_has_its_sides():
  usual = encode(pixels(8, 40, 30), 'BMP')
  header = struct.pack('<IHHHH', 12, 30, 40, 1, 24)
  start = usual[:10] + struct.pack('<I', 14 + len(header))
  encoded = start + header + usual[54:]
  assert decoding.image_size(encoded) == (40, 30)
  np.testing.assert_array_equal(decoding.decode(encoded), pillow(usual))


def test_what_opencv_refuses_by_itself_is_an_error_of_the_file():
  encoded = bytearray(encode(pixels(8, 40, 30), 'TIFF'))
  at = encoded.index(struct.pack('<HHI', 256, 4, 1)) + 8
  struct.pack_into('<I', encoded, at, 2**31 - 1)
  with pytest.raises(ValueError, match=r'.'):
    decoding.decode(bytes(encoded))


# In a process of its own, since the limit is one of a process. 256 MB are left.
VIEWS = """
import resource, sys
import numpy as np
from configs import vgg
from data import crops
from evaluation import protocols
encoded = open(sys.argv[1], 'rb').read()
def cuts():
  rng = np.random.default_rng(0)
  for name in crops.names():
    yield lambda: crops.create('data.geometry', 224, name)(encoded, rng, 224)
  config = vgg.get_config('data=folder')
  for name in protocols.NAMES[1:]:
    p = protocols.create(config, name)
    yield lambda: protocols.views(
      p, dict(zip(p.sides, crops.resized_to(encoded, p.sides))), 224
    )
now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (256 << 20),) * 2)
for cut in cuts():
  try:
    cut()
    print('done')
  except ValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize('shape', [(1, 60_000), (60_000, 1), (1, 5), (30, 400)])
def test_every_view_of_any_shape_takes_little_memory(tmp_path, shape):
  file = tmp_path / 'long.png'
  file.write_bytes(encode(np.zeros((*shape, 3), np.uint8), 'PNG'))
  done = subprocess.run(
    [sys.executable, '-c', VIEWS, str(file)],
    capture_output=True, text=True, check=False, cwd=ROOT,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  said = done.stdout.splitlines()
  assert len(said) == 12
  height, width = shape
  if max(shape) < 60_000:
    assert set(said) == {'done'}
  else:
    assert {s.partition(',')[0] for s in said} == {f'{width} x {height} pixels'}


def exif(position, order):
  """Returns a segment with a position, in one of the two orders of bytes."""
  mark, form = {'II': (b'II', '<'), 'MM': (b'MM', '>')}[order]
  tags = [(0x10F, 2, 3, 0), (0x112, 3, 1, position)]
  tiff = mark + struct.pack(f'{form}HIH', 42, 8, len(tags))
  for tag, kind, count, value in tags:
    tiff += struct.pack(f'{form}HHIHH', tag, kind, count, value, 0)
  content = b'Exif\0\0' + tiff + bytes(4)
  return b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content


@pytest.mark.parametrize('order', ['II', 'MM'])
@pytest.mark.parametrize('position', range(1, 9))
def test_a_position_is_applied_as_opencv_does_and_only_if_asked_for(
  position, order
):
  plain = jpeg(9)
  segment = exif(position, order)
  encoded = plain[:20] + segment + plain[20:]
  assert decoding.orientation(encoded) == position
  np.testing.assert_array_equal(decoding.decode(encoded), pillow(plain))
  assert decoding.image_size(encoded) == (60, 80)
  got = decoding.decode(encoded, upright=True)
  theirs = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  assert np.abs(got.astype(int) - theirs[..., ::-1]).max() <= 1
  size = (80, 60) if position > 4 else (60, 80)
  assert decoding.image_size(encoded, upright=True) == got.shape[:2] == size
  half = tuple(n // 2 for n in size)
  assert decoding.decode(encoded, half, upright=True).shape[:2] == half
  for end in range(len(segment)):  # cut off anywhere: as stored, no traceback
    cut = segment[4:end]
    cut = b'\xff\xe1' + struct.pack('>H', len(cut) + 2) + cut
    assert decoding.orientation(plain[:20] + cut + plain[20:]) in (1, position)


def test_no_position_is_upright():
  assert decoding.orientation(jpeg(0)) == 1
  assert decoding.orientation(jpeg(0)[:30]) == 1
  encoded = jpeg(0)[:20] + exif(9, 'II') + jpeg(0)[20:]
  assert decoding.orientation(encoded) == 1
