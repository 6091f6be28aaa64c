"""Encoded photographs -> their pixels, on the host.

A JPEG is whole if libjpeg-turbo has nothing to say against it, or only what
leaves every pixel in its place, as the files of some phones and cameras have
it: a header with extra bytes, with the parameters of a scan that a sequential
JPEG has none of, or with an unknown version; extra bytes before the end. A
premature end or a code that is none is an error. Other formats are OpenCV's.

Memory has a bound that the header tells: more than `MOST_PIXELS`, or a side
more than `LONGEST` times the other, is refused before it is decoded. Where a
shorter side is resized to S, an image has at most `LONGEST` S^2 pixels.

The pixels are those that are stored, as in the papers' tools; a position in
EXIF counts only where it is asked for (`upright`).
"""

import re
import struct

import cv2
import numpy as np
import simplejpeg

# No camera's photograph has as many, and no WebP; decoded, it takes 0.8 GB.
MOST_PIXELS = 2**28
LONGEST = 100  # times the shorter side
# Where the header has width and height: start of the file, position, format.
# What is not here OpenCV decodes up to 2**30 pixels before it is refused.
_SIZES = (
  (re.compile(rb'\x89PNG'), 16, '>II'),
  (re.compile(rb'GIF8'), 6, '<HH'),
  (re.compile(rb'BM.{12}[^\x0c]', re.DOTALL), 18, '<ii'),  # 12: OS/2's, short
)
# As libjpeg finds the next marker: whatever is before it is left out.
_MARKER = re.compile(rb'\xff+([^\x00\xff])', re.DOTALL)
_END_OF_SCAN = re.compile(rb'\xff+[^\x00\xd0-\xd7\xff]', re.DOTALL)
_BARE = (0x01, *range(0xD0, 0xDA))  # markers without content
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_HUFFMAN = (0xC0, 0xC1)  # of these, with Huffman's codes
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_EOI, _SOS, _JFIF, _EXIF, _ICC, _ADOBE = 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
_ORIENTATION = 0x112  # a tag of EXIF
# What libjpeg says where more is in a scan than it read: before the end of the
# file, 0xd9, or a restart inside of the scan, 0xd0 to 0xd7.
_LEFT_OVER = re.compile(r'extraneous bytes before marker 0xd([0-79])')
_NEIGHBOURS = 2  # rows of which the colours below each row are made
_UNIT = 16  # rows that are decoded at once where colours have half of them


def is_jpeg(encoded: bytes) -> bool:
  """Whether it begins as a JPEG."""
  return encoded[:2] == b'\xff\xd8'


def jpeg_header(encoded: bytes) -> tuple[int, int, str]:
  """Returns height, width and colour space (YCbCr, RGB, Gray, CMYK, YCCK).

  Raises:
    ValueError: it is no JPEG, too large or too long.
  """
  try:
    found = simplejpeg.decode_jpeg_header(encoded, strict=False)
  except KeyError:  # looking up the sampling
    raise ValueError(
      'a JPEG whose header is cut off, or has an unusual sampling of colours'
    ) from None
  height, width, space, _ = found
  _check_size(height, width)
  return height, width, space


def image_size(encoded: bytes, upright: bool = False) -> tuple[int, int]:
  """Returns (height, width), by the header alone in the usual formats.

  Args:
    encoded: content of the file.
    upright: as in `decode`.

  Raises:
    ValueError: it is no image, too large or too long.
  """
  if is_jpeg(encoded):
    height, width, _ = jpeg_header(encoded)
    lies = upright and orientation(encoded) > 4
    return (width, height) if lies else (height, width)
  if not upright and (size := _size_in_header(encoded)):
    return size
  return decode(encoded, upright=upright).shape[:2]


def _size_in_header(encoded):
  """Returns (height, width) of a PNG, GIF or BMP, else None."""
  for start, position, form in _SIZES:
    if start.match(encoded) and len(encoded) >= position + 8:
      width, height = struct.unpack_from(form, encoded, position)
      height = abs(height)  # below zero in a BMP from top to bottom
      _check_size(height, width)
      return height, width
  return None


def _check_size(height, width):
  if height * width > MOST_PIXELS:
    raise ValueError(
      f'{width} x {height} pixels, more than {MOST_PIXELS:,} in all'
    )
  if max(height, width) > LONGEST * min(height, width):
    raise ValueError(
      f'{width} x {height} pixels, one side more than {LONGEST} times the other'
    )


def decode(
  encoded: bytes,
  at_least: tuple[int, int] = (0, 0),
  upright: bool = False,
  rows: int | None = None,
) -> np.ndarray:
  """Decodes a JPEG, or what else OpenCV reads, to RGB.

  Args:
    encoded: content of the file.
    at_least: (height, width): a JPEG of twice that or more in both directions
      may come out smaller, but not smaller than that; (0, 0): full size.
    upright: whether a position in EXIF is applied.
    rows: how many rows of the full size are needed, from the top, as they are
      stored; None: all. Those below may be black, where they need not be
      decoded, and damage there may pass.

  Returns:
    uint8 [H, W, 3]; grey, CMYK and palettes are converted.

  Raises:
    ValueError: truncated, damaged, not an image, too large or too long.
  """
  if not is_jpeg(encoded):
    return _decode_other(encoded, upright)
  if rows is not None and not upright:
    top = _decode_top(encoded, at_least, rows)
    if top is not None:
      return top
  turn = orientation(encoded) if upright else 1
  *_, space = jpeg_header(encoded)
  if space in ('CMYK', 'YCCK'):
    return turned(_from_cmyk(_decode_jpeg(encoded, 'CMYK', (0, 0))), turn)
  if turn > 4:
    at_least = at_least[::-1]
  return turned(_decode_jpeg(encoded, 'RGB', at_least), turn)


def _decode_jpeg(encoded, space, at_least):
  try:
    return _decode_whole(encoded, space, at_least)
  except ValueError:
    # Libjpeg tells the first complaint only, so that a harmless one would hide
    # others: without its cause the file has to pass.
    return _decode_whole(
      _mended(encoded, 2 if space == 'CMYK' else 1), space, at_least
    )


def _decode_whole(encoded, space, at_least):
  height, width = at_least
  arguments = {
    'colorspace': space,
    'min_height': height,
    'min_width': width,
    'min_factor': 2,
  }
  try:
    return simplejpeg.decode_jpeg(encoded, **arguments)
  except ValueError as error:
    # All pixels are there by then; libjpeg complains none the less.
    if 'extraneous bytes before marker 0xd9' not in str(error):
      raise
    return simplejpeg.decode_jpeg(encoded, **arguments, strict=False)


def _decode_top(encoded, at_least, rows):
  """Decodes the first rows alone, all others black.

  No binding offers libjpeg-turbo's own way (docs/performance.md, Input). But
  libjpeg reads as many rows as the header says, finds what is left of the scan
  and complains of it at the end of the file, when the rows are in the buffer.

  Returns:
    uint8 [H, W, 3]; None where that saves nothing, or where libjpeg has
    anything else to say: then the whole has to be decoded.
  """
  found = _huffman_frame(encoded)
  if not found:
    return None
  at, height, width = found
  _check_size(height, width)
  end = rows + _NEIGHBOURS
  # As simplejpeg decides whether half the size, rounded up, is enough.
  scaled = any(at_least) and all(
    min(n, m) <= -(-m // 2) for n, m in zip(at_least, (height, width))
  )
  if scaled or end + _UNIT > height:
    return None
  cut = bytearray(encoded)
  struct.pack_into('>H', cut, at, end)
  image = np.empty((height, width, 3), np.uint8)
  try:
    simplejpeg.decode_jpeg(cut, 'RGB', buffer=image)
  except ValueError as error:
    # Its first complaint, so there is none of these rows; nor of an early end,
    # which it would have found before the marker 0xd9, but not before another.
    left = _LEFT_OVER.search(str(error))
    if left and (left[1] == '9' or encoded.endswith(b'\xff\xd9')):
      image[end:] = 0
      return image
  return None


def _huffman_frame(encoded):
  """Returns (position of the height, height, width) of a usual JPEG, or None.

  That is one with Huffman codes and one scan: not progressive, and no CMYK.
  """
  for marker, content, at in _segments(encoded):
    if marker in _HUFFMAN and len(content) > 5 and content[5] in (1, 3):
      return at + 1, *struct.unpack_from('>HH', content, 1)
    if marker == _SOS or marker in _FRAMES:
      break
  return None


def _segments(encoded):
  """Yields (marker, content, its position) of a JPEG, as libjpeg finds them.

  After the header of a scan its data, for which the marker is None. Stops
  where the file does.
  """
  at = 2
  while found := _MARKER.search(encoded, at):
    marker, at = found[1][0], found.end()
    begin, content = at, b''
    if marker not in _BARE:
      length = int.from_bytes(encoded[at : at + 2], 'big')
      if length < 2 or at + length > len(encoded):
        return
      begin, at = at + 2, at + length
      content = encoded[begin:at]
    yield marker, content, begin
    if marker == _EOI:
      return
    if marker == _SOS:
      after = _END_OF_SCAN.search(encoded, at)
      end = after.start() if after else len(encoded)
      yield None, encoded[at:end], at
      at = end


def _mended(encoded, transform):
  """Returns a JPEG without what libjpeg says of its header to no effect.

  Args:
    encoded: content of the file.
    transform: Adobe's number of how libjpeg takes unknown colours.
  """
  parts, sequential = [b'\xff\xd8'], False
  for marker, read, _ in _segments(encoded):
    if marker is None:
      parts.append(read)
      continue
    if marker == _ICC:  # profiles are not applied
      continue
    sequential = sequential or marker in _SEQUENTIAL
    content = bytearray(read)
    if marker == _SOS and sequential:
      content[-3:] = 0, 63, 0
    elif marker == _JFIF and content[:5] == b'JFIF\0' and len(content) >= 14:
      content[5] = 1  # of its version, on which nothing depends
    elif marker == _ADOBE and content[:5] == b'Adobe' and len(content) >= 12:
      content[11] = content[11] and transform
    parts.append(bytes((0xFF, marker)))
    if marker not in _BARE:
      parts.append((len(content) + 2).to_bytes(2, 'big') + content)
  return b''.join(parts)


def _from_cmyk(image):
  # All of ImageNet's are Adobe's, which stores the inverse of each ink.
  ink, black = image[..., :3].astype(np.uint16), image[..., 3:]
  return ((ink * black + 127) // 255).astype(np.uint8)


def _decode_other(encoded, upright):
  _size_in_header(encoded)
  flags = cv2.IMREAD_COLOR
  if not upright:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
  image = None
  if encoded:
    try:
      image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:  # as of a size beyond its own limits
      raise ValueError(str(error)) from None
  if image is None:
    raise ValueError('not a whole image in a format that OpenCV reads')
  _check_size(*image.shape[:2])
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def orientation(encoded: bytes) -> int:
  """Returns the position of a JPEG's EXIF, 1 to 8; 1: as it is, or unknown."""
  for marker, content, _ in _segments(encoded):
    if marker == _SOS:
      break
    if marker == _EXIF and content[:6] == b'Exif\0\0':
      return _orientation_in(content[6:])
  return 1


def _orientation_in(tiff):
  order = '>' if tiff[:2] == b'MM' else '<'
  try:
    (at,) = struct.unpack_from(f'{order}I', tiff, 4)
    (count,) = struct.unpack_from(f'{order}H', tiff, at)
    for number in range(count):
      tag, _, _, value = struct.unpack_from(
        f'{order}HHIH', tiff, at + 2 + 12 * number
      )
      if tag == _ORIENTATION:
        return value if 1 <= value <= 8 else 1
  except struct.error:  # cut off
    pass
  return 1


def turned(image: np.ndarray, position: int) -> np.ndarray:
  """Returns [H, W, C], or [W, H, C], of an image in a position of EXIF."""
  if position > 4:
    image = image.transpose(1, 0, 2)
  if position in (2, 3, 6, 7):
    image = image[:, ::-1]
  if position in (3, 4, 7, 8):
    image = image[::-1]
  return np.ascontiguousarray(image)
