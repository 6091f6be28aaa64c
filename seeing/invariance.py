"""How far features move when images do: ZFNet's Figure 5, Section 4.1.

Images are shifted down, enlarged and turned; of each amount, the Euclidean
distance of the features from those of the image as it was, in two layers, and
the probability of its class. Distances are relative to the norm of the image's
own features: the paper's axes have units that it does not explain.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

import zoo
from evaluation.scoring import Network
from runtime.progress import Progress
from seeing import answers, changes

_SIDE = 224  # of the paper's images, whose shifts end at 60 pixels
_MOST = 60


class Curves(NamedTuple):
  """What N images do at V amounts of a change.

  Args:
    values: float [V], the amounts.
    distances: float32 [N, V] by layer, |f(changed) - f(image)| / |f(image)|;
      NaN where all features of an image are zero.
    probabilities: float32 [N, V], of each image's class.
  """

  values: np.ndarray
  distances: dict[str, np.ndarray]
  probabilities: np.ndarray


def sweeps(size: int) -> dict[str, np.ndarray]:
  """Returns the amounts of the paper's axes, by name of `changes.CHANGES`.

  Args:
    size: of the images, in pixels: 60 pixels of 224 are as much of another,
      rounded to whole ones.
  """
  ends = _MOST / _SIDE * size
  return {
    'shift': np.unique(np.linspace(-ends, ends, 25).round()),
    'scale': np.linspace(1, 1.8, 17).round(2),
    'rotate': np.arange(0.0, 361, 10),
  }


class Meter:
  """Compiles once, for a set of images.

  Args:
    network: with its variables.
    layers: whose features are compared.
    images: uint8 [N, H, W, C].
    labels: int [N], whose probability is told; -1: the network's answer for
      the image as it is.

  Raises:
    ValueError: no such layer; names the closest.
  """

  def __init__(
    self,
    network: Network,
    layers: Sequence[str],
    images: np.ndarray,
    labels: Sequence[int],
  ):
    self._network, self._layers, self._images = network, layers, images
    size = network.image_size
    shapes = zoo.layer_shapes(network.module, (size, size, images.shape[-1]))
    output = list(shapes)[-1]

    @jax.jit
    def forward(variables, images):
      seen = zoo.activations(
        network.module, variables, network.prepare(images), (*layers, output)
      )
      rows = {name: _rows(seen[name]) for name in layers}
      return rows, answers.probabilities(network, seen[output])

    self._forward = forward
    self._plain, probabilities = self._read(images)
    known, said = np.asarray(labels), probabilities.argmax(1)
    self.labels = np.where(known < 0, said, known)

  def _read(self, images):
    return jax.device_get(self._forward(self._network.variables, images))

  def __call__(
    self,
    change: Callable[[np.ndarray, float], np.ndarray],
    values: np.ndarray,
    progress: Progress | None = None,
  ) -> Curves:
    """Returns what each amount does; counts N images each in `progress`.

    Args:
      change: (images, amount) -> images.
      values: float [V].
      progress: of it.
    """
    distances: Mapping[str, list] = {name: [] for name in self._layers}
    probabilities = []
    for value in values:
      rows, found = self._read(change(self._images, value))
      for name, kept in distances.items():
        kept.append(_relative(rows[name], self._plain[name]))
      probabilities.append(found[np.arange(len(found)), self.labels])
      if progress:
        progress.add(len(found))
    by_layer = {name: np.stack(d, 1) for name, d in distances.items()}
    return Curves(values, by_layer, np.stack(probabilities, 1))


def moved(name: str) -> Callable[[np.ndarray, float], np.ndarray]:
  """Returns a change that fills from the border: see `changes`."""
  return lambda images, value: changes.CHANGES[name](images, value, edge=True)


def _rows(state):
  return state.reshape(len(state), -1).astype('float32')


def _relative(rows, plain):
  norms = np.linalg.norm(plain, axis=1)
  distances = np.linalg.norm(rows - plain, axis=1)
  unknown = np.full_like(norms, np.nan)
  return np.divide(distances, norms, out=unknown, where=norms > 0)
