"""Where in an image a network sees a class: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", ICCV 2017, Section 3: a map is the ReLU of the sum
of the layer's maps, each by the mean of the gradient of the class's score.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

import zoo
from errors import UserError, closest
from evaluation.scoring import Network
from zoo import intermediates

_NO_CONVOLUTIONS = 'pool', 'norm', 'avgpool', 'S'


class Seen(NamedTuple):
  """What is found for images."""

  classes: np.ndarray  # int [N], whose maps they are
  probabilities: np.ndarray  # float32 [N], of these
  maps: dict[str, np.ndarray]  # float32 [N, h, w] by layer, at least 0


def check_layers(
  network: Network, channels: int, layers: Sequence[str]
) -> tuple[str, ...]:
  """Returns the layers to show: the last map of a convolution, where none.

  Args:
    network: with its variables.
    channels: of its images.
    layers: names; may be empty.

  Raises:
    UserError: no such layer, names the close ones; or one of single units.
  """
  size = network.image_size
  shapes = zoo.layer_shapes(network.module, (size, size, channels))
  spatial = [name for name, shape in shapes.items() if shape[:2] != (1, 1)]
  try:
    intermediates.check_layers(layers, shapes)
  except ValueError as error:
    raise UserError(f'--layer: {error}') from None
  for name in layers:
    if name not in spatial:
      raise UserError(
        f'--layer={name}: its units see the whole image; the last one with '
        f'places in it is {spatial[-1]}'
      )
  own = [name for name in spatial if not name.startswith(_NO_CONVOLUTIONS)]
  return tuple(layers) or ((own or spatial)[-1],)


def class_number(word: str, names: Sequence[str]) -> int:
  """Returns the class of a name, one of its synonyms, or a number.

  Raises:
    UserError: there is none; names the closest.
  """
  synonyms: dict[str, int] = {}
  for number, name in enumerate(names):
    for part in (name, *name.split(', ')):
      synonyms.setdefault(part, number)
  if word in synonyms:
    return synonyms[word]
  if word.isdecimal():
    if int(word) < len(names):
      return int(word)
    raise UserError(f'--class={word}: numbers from 0 to {len(names) - 1}')
  few = len(names) <= 20 or closest(word, synonyms).startswith(' Did')
  raise UserError(
    f"--class='{word}' is none of the {len(names)} classes."
    + closest(word, synonyms) * few
  )


def maps(
  network: Network,
  images: np.ndarray,
  layers: Sequence[str],
  classes: np.ndarray | None = None,
) -> Seen:
  """Returns where the classes are seen.

  Args:
    network: with its variables.
    images: uint8 [N, H, W, C].
    layers: names, from `check_layers`.
    classes: int [N]; by default those with the highest score.
  """

  def forward(variables, images, classes, layer):
    def score(logits):
      logits = _single(logits)
      chosen = logits.argmax(-1) if classes is None else classes
      return jnp.take_along_axis(logits, chosen[:, None], 1).sum()

    prepared = network.prepare(images)
    logits, seen, gradient = intermediates.gradients(
      network.module, variables, prepared, layer, score
    )
    weights = gradient.astype('float32').mean((1, 2), keepdims=True)
    cam = jax.nn.relu((weights * seen.astype('float32')).sum(-1))
    return _single(logits), cam

  step = jax.jit(forward, static_argnums=3)
  found = {}
  for layer in layers:
    logits, cam = step(network.variables, images, classes, layer)
    found[layer] = np.asarray(cam)
  scores = np.asarray(logits, np.float32)
  chosen = scores.argmax(-1) if classes is None else np.asarray(classes)
  shares = np.asarray(jax.nn.softmax(network.scale * scores))
  return Seen(chosen, shares[np.arange(len(images)), chosen], found)


def _single(logits):
  """Those of larger images are a map, whose mean counts."""
  return logits.reshape(len(logits), -1, logits.shape[-1]).mean(1)


def enlarged(cam: np.ndarray, shape: Sequence[int]) -> np.ndarray:
  """Returns a map [h, w] as float32 [H, W] from 0 to 1, bilinear.

  One that is 0 everywhere stays so: nothing there speaks for the class.
  """
  height, width = shape[:2]
  large = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
  return large / large.max() if large.max() > 0 else large
