"""Small photographs that tests make: JPEG files, folders, ImageNet's tars."""

import io

import numpy as np
from PIL import Image


def pixels(number, height=60, width=80):
  """Returns a smooth picture, uint8 [H, W, 3]; another for each number."""
  rng = np.random.default_rng(number)
  grid = rng.integers(0, 256, (5, 6, 3), np.uint8)
  return np.asarray(Image.fromarray(grid).resize((width, height), 3))


def encode(image, kind='JPEG', mode='RGB', **options):
  """Returns uint8 [H, W, 3] as the content of a file."""
  out = io.BytesIO()
  Image.fromarray(image).convert(mode).save(out, kind, **options)
  return out.getvalue()


def jpeg(number, height=60, width=80):
  """Returns the JPEG of `pixels`."""
  return encode(pixels(number, height, width), quality=95)


def make_folder(root, classes=3, train=4, val=2, **size):
  """Writes train/CLASS/N.jpg and val/CLASS/N.jpg; names count from 0."""
  for part, count in (('train', train), ('val', val)):
    for c in range(classes):
      place = root / part / f'class{c}'
      place.mkdir(parents=True)
      for i in range(count):
        (place / f'{c}_{i}.jpg').write_bytes(jpeg(100 * c + i, **size))
  return root
