"""Encoded photographs -> uint8 crops, on the host.

A geometry is a function

    (encoded, rng, size, **options) -> uint8 [size, size, 3], RGB

of the bytes of a file, a NumPy generator and the side of the crop. Flips, and
all that changes colours, run on the device: `recipe.augment`.

The papers do not say how they resize; their tools do, and `resize` has three
forms of it:

    bilinear  OpenCV's, the aspect kept
    area      area where it shrinks, cubic where it grows, the aspect kept:
              cuda-convnet2, make-data; there the result is stored as JPEG once
              more, which is left out here
    warp      both sides to the same length, bilinear: Caffe's convert_imageset
              as examples/imagenet calls it, without keeping the aspect

Bilinear looks at two pixels a side and so blurs too little where an image
shrinks to less than half. It never does: such an image is decoded at half its
size or less (1/2, 3/8, 1/4, 1/8), where libjpeg leaves out the high frequencies
of every block. Those pixels differ a little from the full image's, averaged.
Photographs of ImageNet's usual 500x375 are not touched by this.

A comment gives a paper's section where a number is from a paper.
"""

import inspect
import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from data.decoding import decode, image_size
from errors import UserError, closest, select

# Threads are Grain's: one a batch. OpenCV's own would take turns with them.
cv2.setNumThreads(0)

Geometry = Callable[[bytes, np.random.Generator, int], np.ndarray]
# GoogLeNet, Section 6: "bilinear, area, nearest neighbor and cubic, with equal
# probability".
_INTERPOLATIONS = {
  'linear': cv2.INTER_LINEAR,
  'area': cv2.INTER_AREA,
  'nearest': cv2.INTER_NEAREST,
  'cubic': cv2.INTER_CUBIC,
}
RESIZES = ('bilinear', 'area', 'warp')
_TRIES = 10  # for a crop of a drawn shape to fit into the image


def resized(
  encoded: bytes, shorter_side: int, resize: str = 'bilinear'
) -> np.ndarray:
  """Decodes, and resizes the shorter side, in one of the module's forms.

  Returns:
    uint8 [H, W, 3], min(H, W) == shorter_side; 'warp': H == W.

  Raises:
    UserError: unknown form.
  """
  return resized_to(encoded, (shorter_side,), resize)[0]


def resized_to(
  encoded: bytes,
  sides: Sequence[int],
  resize: str = 'bilinear',
  upright: bool = False,
) -> list[np.ndarray]:
  """Returns what `resized` does for each side, largest first, in one decoding.

  In more where a smaller side would have been decoded at a smaller size.
  `upright` is that of `decoding.decode`.
  """
  check_resize('resize', resize)
  size = image_size(encoded, upright)
  found: list[np.ndarray] = []
  image = None
  for side in sides:
    height = width = side
    if resize != 'warp':
      height, width = (max(round(n * (side / min(size))), side) for n in size)
    # libjpeg's sizes are 8, 4, 3, 2 and 1 eighths.
    step = 2 if image is not None and image.shape[:2] == tuple(size) else 4 / 3
    if image is None or (
      image.shape[0] >= step * height - 2 and image.shape[1] >= step * width - 2
    ):
      image = decode(encoded, (height, width), upright)
    method = cv2.INTER_LINEAR
    if resize == 'area':
      shrinks = image.shape[0] > height
      method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    found.append(_resize(image, (height, width), method))
  return found


def check_resize(field: str, resize: str) -> None:
  """Raises UserError for an unknown form; names the field."""
  if resize not in RESIZES:
    raise UserError(f"{field} '{resize}' is unknown.{closest(resize, RESIZES)}")


def _resize(image, target, interpolation=cv2.INTER_LINEAR):
  if image.shape[:2] == tuple(target):
    return image
  return cv2.resize(image, target[::-1], interpolation=interpolation)


def _square(encoded, side, resize):
  """The central square of the resized image: what AlexNet and ZFNet crop."""
  return _center(resized(encoded, side, resize), side)


def _center(image, size):
  top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
  return image[top : top + size, left : left + size]


def _anywhere(image, size, rng):
  top = rng.integers(image.shape[0] - size + 1)
  left = rng.integers(image.shape[1] - size + 1)
  return image[top : top + size, left : left + size]


def center(
  encoded: bytes,
  rng: np.random.Generator,
  size: int,
  shorter_side: int = 256,
  resize: str = 'bilinear',
) -> np.ndarray:
  """For evaluation: the centre of the resized image."""
  del rng
  return _center(resized(encoded, shorter_side, resize), size)


def random_crop(
  encoded: bytes,
  rng: np.random.Generator,
  size: int,
  shorter_side: int = 256,
  resize: str = 'bilinear',
) -> np.ndarray:
  """AlexNet, Sections 2 and 4.1; ZFNet, Section 3.

  The central square of the resized image, and anywhere in it a crop: each of
  33 x 33 positions for 224 of 256, as the original code has it (the paper's
  factor of 2048 counts 32 x 32 and flips).
  """
  return _anywhere(_square(encoded, shorter_side, resize), size, rng)


def five_crops(
  encoded: bytes,
  rng: np.random.Generator,
  size: int,
  shorter_side: int = 256,
  resize: str = 'bilinear',
) -> np.ndarray:
  """ZFNet, Section 3, to the letter; with `augment='flip'` its ten crops.

  "using 10 different sub-crops of size 224x224 (corners + center with(out)
  horizontal flips)": of the central square one of these five.
  """
  square = _square(encoded, shorter_side, resize)
  number = int(rng.integers(5))
  if number == 4:
    return _center(square, size)
  top, left = ((shorter_side - size) * n for n in divmod(number, 2))
  return square[top : top + size, left : left + size]


def scale_jitter(
  encoded: bytes,
  rng: np.random.Generator,
  size: int,
  smallest: int = 256,
  largest: int = 480,
) -> np.ndarray:
  """VGG, Section 3.1; ResNet, Section 3.4.

  The shorter side is drawn from the whole numbers of [smallest, largest]:
  [256, 480] for ResNet, [256, 512] for VGG, equal ends for VGG's fixed S.
  Anywhere in the resized image a crop.
  """
  side = int(rng.integers(smallest, largest + 1))
  return _anywhere(resized(encoded, side), size, rng)


def inception(
  encoded: bytes,
  rng: np.random.Generator,
  size: int,
  area: Sequence[float] = (0.08, 1.0),
  aspect: Sequence[float] = (3 / 4, 4 / 3),
  interpolation: str = 'random',
) -> np.ndarray:
  """GoogLeNet, Section 6: a patch of any size and shape, resized.

  Args:
    encoded: content of the file.
    rng: randomness of this crop.
    size: side of the result.
    area: range of the patch's share of the image, uniform.
    aspect: range of width / height. The paper gives the range only; here the
      logarithm is uniform, so that lying and standing patches are as frequent.
    interpolation: linear, area, nearest, cubic; or random, one of them.
  """
  height, width = image_size(encoded)
  top, left, h, w = inception_box(height, width, rng, area, aspect)
  if interpolation == 'random':
    method = tuple(_INTERPOLATIONS.values())[rng.integers(4)]
  else:
    method = _INTERPOLATIONS[interpolation]
  # A patch of twice the size or more can come from a smaller image. What is
  # below it is not looked at.
  at_least = -(-height * size // h), -(-width * size // w)
  image = decode(encoded, at_least, rows=top + h)
  y, x = image.shape[0] / height, image.shape[1] / width
  rows = slice(round(top * y), round((top + h) * y))
  columns = slice(round(left * x), round((left + w) * x))
  return _resize(image[rows, columns], (size, size), method)


def inception_box(
  height: int,
  width: int,
  rng: np.random.Generator,
  area: Sequence[float],
  aspect: Sequence[float],
) -> tuple[int, int, int, int]:
  """Draws (top, left, height, width) of a patch that fits into the image.

  Shapes that do not fit are drawn again. Where none of ten fits, as in a very
  long image, it is the largest one in the centre.
  """
  low, high = (math.log(a) for a in aspect)
  for a, b, c, d in rng.random((_TRIES, 4)).tolist():
    pixels = (area[0] + a * (area[1] - area[0])) * height * width
    ratio = math.exp(low + b * (high - low))
    w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
    if 0 < w <= width and 0 < h <= height:
      return int(c * (height - h + 1)), int(d * (width - w + 1)), h, w
  w = min(width, max(round(height * aspect[1]), 1))
  h = min(height, max(round(width / aspect[0]), 1))
  return (height - h) // 2, (width - w) // 2, h, w


GEOMETRIES: dict[str, Callable[..., np.ndarray]] = {
  'random_crop': random_crop,
  'five_crops': five_crops,
  'scale_jitter': scale_jitter,
  'inception': inception,
  'center': center,
}


def names() -> list[str]:
  """Returns the geometries."""
  return list(GEOMETRIES)


def create(field: str, size: int, name: str, **options) -> Geometry:
  """Returns the geometry `name` with its options.

  Args:
    field: of the config, for messages.
    size: side of the crops, `data.image_size`.
    name: one of `names()`.
    **options: its further arguments.

  Raises:
    UserError: unknown name or option, or a crop larger than the image.
  """
  function = select(field, name, GEOMETRIES, options, skip=3)
  parameters = list(inspect.signature(function).parameters.values())[3:]
  _check_options(
    field, size, {p.name: options.get(p.name, p.default) for p in parameters}
  )
  return lambda encoded, rng, size: function(encoded, rng, size, **options)


def _check_options(field, size, options):
  for option in ('shorter_side', 'smallest'):
    if options.get(option, size) < size:
      raise UserError(
        f'{field}.{option} is {options[option]}: at least data.image_size, '
        f'{size}'
      )
  ends = {k: tuple(options[k]) for k in ('area', 'aspect') if k in options}
  if 'smallest' in options:
    ends['smallest and largest'] = options['smallest'], options['largest']
  for option, pair in ends.items():
    if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
      raise UserError(f'{field}.{option} is {pair}: (lower end, upper end)')
  if ends.get('area', (0, 1))[1] > 1:
    raise UserError(f'{field}.area is {ends["area"]}: shares of the image')
  check_resize(f'{field}.resize', options.get('resize', 'bilinear'))
  known = ('random', *_INTERPOLATIONS)
  if (name := options.get('interpolation', 'random')) not in known:
    raise UserError(
      f"{field}.interpolation '{name}' is unknown.{closest(name, known)}"
    )
