"""Whether covering a part changes features alike: ZFNet's Figure 8, Table 1.

Section 4.3 covers the same part of the faces of N dogs. Of image i,
eps_i = x_i - x~_i are the features of a layer before minus after, and

    Delta = sum over i != j of H(sign(eps_i), sign(eps_j)), H: Hamming distance

The paper prints values from 0.067 to 0.107, and its early text calls them a
mean sign change, so that here, too, Delta is the mean over pairs of the share
of features whose signs differ. A small one: the part is the same thing to the
layer, wherever it lies.

A sign is one of three, -, 0 and +, and any two of them differ. Most features of
a ReLU are 0 before and after, or do not see the part: these agree.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from evaluation.scoring import Network
from runtime.progress import Progress
from seeing import masking

Box = tuple[int, int, int, int]  # top, left, height, width, in pixels

# Of a layer's largest feature: what changes less has not changed but in the
# last bits, in which two programs may differ.
_ROUNDING = 1e-6


class Delta(NamedTuple):
  """A cell of Table 1.

  Args:
    mean: of the shares of differing signs.
    spread: their standard deviation. The paper's +- is over what it does not
      say; here it is over all pairs, and over all draws of random places.
    unchanged: the share of features that stay as they are.
  """

  mean: float
  spread: float
  unchanged: float


def signs(plain: np.ndarray, covered: np.ndarray) -> np.ndarray:
  """Returns the signs of `plain` - `covered`, int8 [N, features].

  Args:
    plain: float [N, ...], features of images.
    covered: of the same images with a part covered.
  """
  change = (plain - covered).reshape(len(plain), -1)
  least = _ROUNDING * np.abs(plain).max()
  return np.where(np.abs(change) <= least, 0, np.sign(change)).astype(np.int8)


def differing(found: np.ndarray) -> np.ndarray:
  """Returns the share of differing signs of each pair i < j, float [pairs].

  Args:
    found: [N, features], from `signs`.
  """
  pairs = itertools.combinations(range(len(found)), 2)
  return np.array([(found[i] != found[j]).mean() for i, j in pairs])


def random_boxes(
  parts: Mapping[str, Sequence[Box]],
  shape: Sequence[int],
  draws: int,
  seed: int,
) -> list[list[Box]]:
  """Returns `draws` lists of a box an image, of the parts' sizes in turn.

  Anywhere in the image, over the parts too: the paper's 'random' is no more.

  Args:
    parts: a box an image, by name.
    shape: (height, width, ...) of the images.
    draws: how many lists.
    seed: of the places.
  """
  rng = np.random.default_rng(seed)
  sizes = itertools.cycle(parts.values())
  return [
    [
      (
        int(rng.integers(shape[0] - height + 1)),
        int(rng.integers(shape[1] - width + 1)),
        height,
        width,
      )
      for *_, height, width in boxes
    ]
    for boxes in itertools.islice(sizes, draws)
  ]


def measure(
  network: Network,
  images: np.ndarray,
  layers: Sequence[str],
  columns: Mapping[str, Sequence[Sequence[Box]]],
  progress: Progress | None = None,
) -> dict[str, dict[str, Delta]]:
  """Returns Delta by column and layer: Table 1 turned on its side.

  Args:
    network: with its variables.
    images: uint8 [N, H, W, C], N at least 2.
    layers: whose features are compared.
    columns: by name, lists of a box an image: one for a part, several for
      random places.
    progress: counts N images for each list, and N for the images themselves.

  Raises:
    ValueError: no such layer; names the closest.
  """
  forward = masking.states(network, layers)

  def read(boxes):
    boxes = np.array(boxes, np.int32)
    found = jax.device_get(forward(network.variables, images, boxes))
    if progress:
      progress.add(len(images))
    return found

  plain = read([(0, 0, 0, 0)] * len(images))
  table = {}
  for name, lists in columns.items():
    found: dict[str, list] = {layer: [] for layer in layers}
    for boxes in lists:
      covered = read(boxes)
      for layer in layers:
        found[layer].append(signs(plain[layer], covered[layer]))
    table[name] = {layer: _delta(s) for layer, s in found.items()}
  return table


def _delta(found) -> Delta:
  shares = np.concatenate([differing(s) for s in found])
  unchanged = np.mean([(s == 0).mean() for s in found])
  return Delta(float(shares.mean()), float(shares.std()), float(unchanged))
