"""A grey square moved over an image: ZFNet's Figure 7, Section 4.2.

Where it hides what a map looks for, the map's total activity falls; where it
hides the object, the probability of the right class.

The paper gives neither the side of the square nor its steps nor its grey:
`Square.of` is our choice, the grey is that of `masking`.
"""

from typing import NamedTuple

import jax
import numpy as np

import zoo
from evaluation.scoring import Network
from runtime.progress import Progress
from seeing import answers, masking

_BATCH = 8  # images at once: 224x224 in VGG's first layers fill 0.5 GB


class Square(NamedTuple):
  """The square and how it moves, in pixels."""

  side: int
  stride: int  # at most, between neighbours

  @classmethod
  def of(cls, height: int, width: int) -> 'Square':
    """Returns a fifth of an image's side, moved by a fourteenth: 44 of 224."""
    size = min(height, width)
    return cls(max(size // 5, 1), max(size // 14, 1))

  def places(self, length: int) -> np.ndarray:
    """Returns where the square begins along an axis, int32 ascending.

    From one border to the other, evenly, but for rounding to pixels.
    """
    room = length - self.side
    steps = -(-room // self.stride)
    return np.linspace(0, room, steps + 1).round().astype(np.int32)


class Occluded(NamedTuple):
  """What a network says of an image under a square at R x C places.

  Args:
    square: that was moved.
    tops: int32 [R], its upper row.
    lefts: int32 [C], its left column.
    activity: float32 [R, C, maps], the sum of each map over its positions.
    probabilities: float32 [R, C, classes].
    plain_activity: float32 [maps], without the square.
    plain_probabilities: float32 [classes], without the square.
  """

  square: Square
  tops: np.ndarray
  lefts: np.ndarray
  activity: np.ndarray
  probabilities: np.ndarray
  plain_activity: np.ndarray
  plain_probabilities: np.ndarray

  @property
  def strongest(self) -> int:
    """The map with the most activity without the square."""
    return int(self.plain_activity.argmax())

  @property
  def answers(self) -> np.ndarray:
    """The most probable class at each place, int [R, C]."""
    return self.probabilities.argmax(-1)


class Occluder:
  """Compiles once, for images of one size.

  Args:
    network: with its variables.
    layer: whose maps are watched.
    image_shape: (H, W, C) of the images.
    square: None: `Square.of` the image.

  Raises:
    ValueError: no such layer, names the closest; or the square is larger than
      the image.
  """

  def __init__(
    self,
    network: Network,
    layer: str,
    image_shape: tuple[int, ...],
    square: Square | None = None,
  ):
    height, width = image_shape[:2]
    self.square = square or Square.of(height, width)
    if self.square.side > min(height, width):
      raise ValueError(
        f'a square of {self.square.side} pixels does not fit into an image of '
        f'{height}x{width}'
      )
    self._network, self._shape = network, tuple(image_shape)
    size = network.image_size
    shapes = zoo.layer_shapes(network.module, (size, size, image_shape[-1]))
    output = list(shapes)[-1]
    states = masking.states(network, (layer, output))

    @jax.jit
    def forward(variables, image, boxes):
      seen = states(variables, image[None], boxes)
      found = answers.probabilities(network, seen[output])
      return seen[layer].sum((1, 2)), found

    self._forward = forward

  @property
  def passes(self) -> int:
    """Forward passes an image."""
    height, width, _ = self._shape
    places = self.square.places
    return 1 + len(places(height)) * len(places(width))

  def __call__(
    self, image: np.ndarray, progress: Progress | None = None
  ) -> Occluded:
    """Returns the maps of uint8 [H, W, C]; counts `passes` in `progress`."""
    height, width, _ = self._shape
    side = self.square.side
    tops, lefts = self.square.places(height), self.square.places(width)
    boxes = [(0, 0, 0, 0)]  # none, then row by row
    boxes += [(top, left, side, side) for top in tops for left in lefts]
    seen: list[np.ndarray] = []
    said: list[np.ndarray] = []
    for start in range(0, len(boxes), _BATCH):
      part = boxes[start : start + _BATCH]
      filled = part + boxes[:1] * (_BATCH - len(part))
      found = self._forward(
        self._network.variables, image, np.array(filled, np.int32)
      )
      for rows, kept in zip(found, (seen, said)):
        kept.append(np.asarray(rows)[: len(part)])
      if progress:
        progress.add(len(part))
    activity, probabilities = np.concatenate(seen), np.concatenate(said)
    grid = len(tops), len(lefts), -1
    return Occluded(
      self.square, tops, lefts,
      activity[1:].reshape(grid), probabilities[1:].reshape(grid),
      activity[0], probabilities[0],
    )  # fmt: skip
