"""What a network says of many images."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np

from data import preprocess
from data.ahead import ahead
from data.sources import Source
from evaluation.scoring import Network
from runtime.progress import Progress

_BATCH = 500  # small images at once
_PIXELS = _BATCH * 32**2  # of larger ones


class Reader:
  """Compiles once, for batches of one size.

  Args:
    network: with its variables.
    batch_size: images at once.
  """

  def __init__(self, network: Network, batch_size: int = 500):
    self.network, self.batch_size = network, batch_size

    def forward(variables, images):
      images = network.prepare(images)
      return network.module.apply(variables, images, train=False)

    self._forward = jax.jit(forward)

  def logits(
    self, images: np.ndarray, progress: Progress | None = None
  ) -> np.ndarray:
    """Returns float32 [N, classes] of uint8 [N, H, W, C]."""
    found = []
    for start in range(0, len(images), self.batch_size):
      part = images[start : start + self.batch_size]
      missing = self.batch_size - len(part)
      filled = np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0)))
      rows = np.asarray(self._forward(self.network.variables, filled))
      found.append(rows[: len(part)])
      if progress:
        progress.add(len(part))
    return np.concatenate(found)


def probabilities(network: Network, scores: jax.Array) -> jax.Array:
  """Returns float32 [N, classes] of the state of the last layer; pure.

  Args:
    network: whose `scale` is that of the softmax.
    scores: [N, h, w, classes]; those of a map are averaged before, as in
      evaluation.
  """
  return jax.nn.softmax(network.scale * scores.mean((1, 2)))


def batch_size(image_size: int, count: int) -> int:
  """Returns how many images of that side go through a network at once."""
  return max(min(_BATCH, _PIXELS // image_size**2, count), 1)


def of_source(
  network: Network,
  source: Source,
  threads: int = 0,
  progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what a network says of all images of a split, without keeping them.

  Args:
    network: with its variables.
    source: a split; photographs as its geometry cuts them.
    threads: that read and decode ahead.
    progress: of as many images.

  Returns:
    float32 [N, classes] logits, int32 [N] labels.

  Raises:
    UserError: a photograph cannot be decoded; names it.
  """
  size = batch_size(network.image_size, len(source))
  reader = Reader(network, size)

  def fetch(start):
    return source.batch(np.arange(start, min(start + size, len(source))))

  logits, labels = [], []
  with contextlib.closing(
    ahead(fetch, range(0, len(source), size), threads)
  ) as batches:
    for batch in batches:
      logits.append(reader.logits(batch['image'], progress))
      labels.append(batch['label'])
  return np.concatenate(logits), np.concatenate(labels)


def whole(source: Source, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns all images of a split, with their border, and labels.

  Args:
    source: whose images are of one size.
    size: smaller images get a border of 0 to this side, as `data.preprocess`.

  Returns:
    uint8 [N, H, W, C], int32 [N].
  """
  batch = source.batch(np.arange(len(source)))
  return bordered(batch['image'], size), batch['label']


def bordered(images: np.ndarray, size: int) -> np.ndarray:
  """Centres [N, H, W, C] in [N, size, size, C]; leaves larger ones."""
  if max(images.shape[1:3]) >= size:
    return images
  return np.asarray(preprocess.pad_to(jnp.asarray(images), size))
