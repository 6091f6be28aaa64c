"""Images changed by a measured amount: LeNet-5's Figure 13 and its claims.

What comes in from beyond the border is black, MNIST's paper. With `edge` it is
the pixel at the border: the same on digits, and no new edge in a photograph.
"""

from collections.abc import Callable

import cv2
import numpy as np

Change = Callable[..., np.ndarray]  # images, amount
_SEED = 0  # of the noise


def scale(images: np.ndarray, factor: float, edge: bool = False) -> np.ndarray:
  """Enlarges [N, H, W, C] about their centre."""
  matrix = np.array([[1 / factor, 0], [0, 1 / factor]])
  return _warp(images, matrix, (0, 0), edge)


def shift(images: np.ndarray, pixels: float, edge: bool = False) -> np.ndarray:
  """Moves [N, H, W, C] down."""
  return _warp(images, np.eye(2), (0, -pixels), edge)


def rotate(
  images: np.ndarray, degrees: float, edge: bool = False
) -> np.ndarray:
  """Turns [N, H, W, C] about their centre, counterclockwise."""
  c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
  return _warp(images, np.array([[c, -s], [s, c]]), (0, 0), edge)


def noise(images: np.ndarray, probability: float) -> np.ndarray:
  """Inverts each pixel with a probability: v to 255 - v."""
  inverted = np.random.default_rng(_SEED).random(images.shape) < probability
  return np.where(inverted, 255 - images, images)


CHANGES: dict[str, Change] = {
  'scale': scale,
  'shift': shift,
  'rotate': rotate,
  'noise': noise,
}
# The values at which `tools.visualize robustness` measures the error.
SWEEPS: dict[str, tuple[float, ...]] = {
  'scale': (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.6, 2),
  'shift': (-12, -10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10, 12),
  'rotate': (-60, -50, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50, 60),
  'noise': (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
}
UNITS = {
  'scale': 'factor',
  'shift': 'pixels down',
  'rotate': 'degrees',
  'noise': 'share of pixels inverted',
}


def _warp(images, matrix, offset, edge):
  """Output pixel p reads at matrix (p - centre) + centre + offset, bilinear."""
  height, width = images.shape[1:3]
  centre = np.array([(width - 1) / 2, (height - 1) / 2])
  moved = centre - matrix @ centre + np.array(offset)
  whole = np.concatenate([matrix, moved[:, None]], 1)
  out = [
    cv2.warpAffine(
      image,
      whole,
      (width, height),
      flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
      borderMode=cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT,
    )
    for image in images
  ]
  return np.stack(out).reshape(images.shape)
