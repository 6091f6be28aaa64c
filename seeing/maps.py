"""The states of layers as grey pictures: LeNet-5's Figures 2 and 13."""

import jax
import numpy as np

import zoo
from evaluation.scoring import Network

MOST = 64  # maps of a layer that are shown


def states(
  network: Network, images: np.ndarray, layers: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
  """Returns activations [N, h, w, channels] by layer, from the input on.

  Args:
    network: with its variables.
    images: uint8 [N, H, W, C].
    layers: by default all.

  Raises:
    ValueError: no such layer; names the closest.
  """

  def forward(variables, images):
    images = network.prepare(images)
    return zoo.activations(network.module, variables, images, layers)

  seen = jax.device_get(jax.jit(forward)(network.variables, images))
  size, channels = network.image_size, images.shape[-1]
  shape = (size, size, channels)
  order = layers or zoo.layer_shapes(network.module, shape)
  return {name: np.asarray(seen[name], np.float32) for name in order}


def moving(
  network: Network, images: np.ndarray, layers: tuple[str, ...] = ()
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Returns mosaics by layer, and the probabilities; one image at a time.

  What is kept of a layer is its mosaic, so that many frames of a large network
  have room.

  Args:
    network: with its variables.
    images: uint8 [N, H, W, C].
    layers: by default all but the last, whose answer the probabilities are.

  Returns:
    float32 [N, height, width] by layer, as `mosaic`; float32 [N, classes].

  Raises:
    ValueError: no such layer; names the closest.
  """
  shape = (network.image_size, network.image_size, images.shape[-1])
  *hidden, last = zoo.layer_shapes(network.module, shape)
  layers = layers or tuple(hidden)

  @jax.jit
  def forward(variables, image):
    seen = zoo.activations(
      network.module, variables, network.prepare(image), (*layers, last)
    )
    scores = seen[last].mean((1, 2))
    return seen, jax.nn.softmax(network.scale * scores)[0]

  found: dict[str, list] = {name: [] for name in layers}
  probabilities = []
  for image in images:
    seen, row = jax.device_get(forward(network.variables, image[None]))
    probabilities.append(row)
    for name, kept in found.items():
      kept.append(mosaic(np.asarray(seen[name][0], np.float32)))
  return {n: np.stack(kept) for n, kept in found.items()}, np.stack(
    probabilities
  )


def mosaic(state: np.ndarray, most: int = MOST) -> np.ndarray:
  """Returns a layer's state [h, w, channels] as one picture, float [H, W].

  Maps lie row by row, as near to a square as they go, with gaps of NaN. A layer
  of single units is a picture of one pixel a unit: of F6, 7 wide and 12 high,
  the form of the codes of Figure 3.
  """
  height, width, count = state.shape
  if height == width == 1:
    columns = next(c for c in range(int(count**0.5), 0, -1) if count % c == 0)
    return state.reshape(count // columns, columns)
  count = min(count, most)
  columns = int(np.ceil(count**0.5))
  rows = -(-count // columns)
  out = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
  for i in range(count):
    top, left = i // columns * (height + 1), i % columns * (width + 1)
    out[top : top + height, left : left + width] = state[..., i]
  return out
