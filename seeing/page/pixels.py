"""Pictures inside a page, as data; small ones are enlarged by the browser."""

import base64
import io
from typing import Any

import cv2
import numpy as np

from seeing import drawing
from seeing.page.fragments import Markup, element, scrolled

_SHARP = 128  # pixels: up to here a picture is stored to the bit
_QUALITY = 82  # of JPEG, above
_WIDEST = 1150  # CSS pixels that the page has


def image(
  pixels: np.ndarray, text: str, width: int = 0, kind: str = ''
) -> Markup:
  """Returns an <img> of uint8 [H, W], [H, W, 1] or [H, W, 3].

  Args:
    pixels: of the picture.
    text: what it shows, for who does not see it.
    width: in the page, CSS pixels; 0: as many as it has.
    kind: more classes of CSS.
  """
  if pixels.ndim == 3 and pixels.shape[-1] == 3:
    pixels = pixels[..., ::-1]  # OpenCV has them in this order
  small = max(pixels.shape[:2]) <= _SHARP
  ending, options = '.png', [cv2.IMWRITE_PNG_COMPRESSION, 9]
  if not small:
    ending, options = '.jpg', [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
  _, encoded = cv2.imencode(ending, np.ascontiguousarray(pixels), options)
  height, own = pixels.shape[:2]
  width = width or own
  return element(
    'img',
    src=_address('png' if small else 'jpeg', encoded.tobytes()),
    alt=text,
    width=width,
    height=round(height * width / own),
    class_=f'{kind} sharp'.strip() if small else kind or None,
  )


def figure(drawn: Any, text: str, dpi: int) -> Markup:
  """Returns a figure of matplotlib on a white card that scrolls.

  Args:
    drawn: from `seeing.drawing`.
    text: what it shows.
    dpi: dots an inch.
  """
  buffer = io.BytesIO()
  drawing.save(drawn, buffer, dpi)
  inches = drawn.get_figwidth()
  scale = 100 if 100 * inches <= _WIDEST else 80
  picture = element(
    'img',
    src=_address('png', buffer.getvalue()),
    alt=text,
    class_='card',
    width=round(scale * inches),
    height=round(scale * drawn.get_figheight()),
  )
  return scrolled(picture, text)


def grey(values: np.ndarray) -> np.ndarray:
  """Returns float [H, W] as uint8: the least white, the most black, NaN white.

  As the papers print their ink, and `seeing.drawing`.
  """
  finite = np.isfinite(values)
  if not finite.any():
    return np.full(values.shape, 255, np.uint8)
  low, high = values[finite].min(), values[finite].max()
  scaled = (values - low) / max(high - low, np.finfo(np.float32).tiny)
  return np.where(finite, 255 * (1 - scaled), 255).round().astype(np.uint8)


def _address(kind, content):
  return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
