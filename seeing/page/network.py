"""What a trained network says, for its page: counts, kernels, states."""

from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import zoo
from data import photos
from data.sources import Source
from evaluation import exact, protocols, scoring
from evaluation.predictions import Counts
from evaluation.scoring import Network
from seeing import answers, maps

MISTAKES = 24
LAYERS = 10  # of which the states are shown
_SIDE = 480  # pixels of a layer's maps together


class Counted(NamedTuple):
  """What a network says of a whole split."""

  result: dict[str, Any]  # as `exact.evaluate`, without loss; 'split'
  counts: Counts
  keys: list[str]  # of the mistakes: names of files, or numbers
  pixels: np.ndarray  # uint8 [mistakes, H, W, C]


class Sample(NamedTuple):
  """One image, and how it goes through the network."""

  number: int
  pixels: np.ndarray  # uint8 [H, W, C]
  truth: int
  answer: int
  probability: float  # of the answer
  layers: dict[str, tuple[tuple[int, ...], np.ndarray]]  # shape, float mosaic
  left_out: int  # layers that are not among them


def count(network: Network, config: ConfigDict, source: Source) -> Counted:
  """Evaluates a split by its natural protocol; all processes together.

  Args:
    network: with its variables on this process's devices.
    config: of the run.
    source: the split.

  Raises:
    UserError: a photograph cannot be decoded; names it.
  """
  counts = Counts(source.num_classes, MISTAKES)
  result = scoring.evaluate(
    [network],
    protocols.create(config, protocols.natural(config)),
    source,
    batch_size=config.eval.batch_size,
    threads=config.data.threads,
    take=counts.add,
  )
  del result['loss']  # of the mean probabilities, which is not the run's
  result['split'] = exact.split_name(config)
  numbers = np.array([m.number for m in counts.mistakes], int)
  if not len(numbers):
    return Counted(result, counts, [], np.zeros((0, 1, 1, 1), np.uint8))
  pixels = source.batch(numbers)['image']
  return Counted(result, counts, photos.keys(source, numbers), pixels)


def _shapes(network, channels):
  shape = (network.image_size, network.image_size, channels)
  return zoo.layer_shapes(network.module, shape)


def kernel_pictures(kernels: np.ndarray) -> np.ndarray:
  """Returns uint8 of the same shape: 0 is mid-grey.

  Args:
    kernels: float [K, h, w, C]; each is scaled by its own largest weight.
  """
  largest = np.abs(kernels).max((1, 2, 3), keepdims=True)
  scaled = 127.5 + 127.5 * kernels / np.where(largest > 0, largest, 1)
  return scaled.round().astype(np.uint8)


def sample(network: Network, source: Source, number: int) -> Sample:
  """Returns an image of a split with the states of layers.

  Of many layers some, from the first to the last, as far apart as they go; of a
  layer so many maps as fit in 480 pixels.
  """
  batch = source.batch(np.array([number]))
  pixels = answers.bordered(batch['image'], network.image_size)
  logits = answers.Reader(network, 1).logits(pixels)[0]
  probabilities = np.asarray(jax.nn.softmax(network.scale * logits))
  shapes = _shapes(network, pixels.shape[-1])
  names = tuple(shapes)
  if len(names) > LAYERS:
    places = np.linspace(0, len(names) - 1, LAYERS).round().astype(int)
    names = tuple(names[i] for i in places)
  seen = maps.states(network, pixels, names)
  layers = {
    name: (shapes[name], maps.mosaic(state[0], _most(shapes[name])))
    for name, state in seen.items()
  }
  answer = int(logits.argmax())
  return Sample(
    number, pixels[0], int(batch['label'][0]), answer,
    float(probabilities[answer]), layers, len(shapes) - len(names),
  )  # fmt: skip


def _most(shape):
  """Returns how many maps of a layer are shown."""
  across = max(_SIDE // (shape[0] + 1), 1)
  return min(across**2, maps.MOST)
