"""States of the layers: LeNet-5, Figures 2 and 13.

Of test images (--examples), or of PHOTOS; also of --changes of them.
"""

from collections.abc import Callable

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from errors import UserError, closest
from seeing import answers, changes, drawing, maps
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

# Not `layer`: so it was called before other tools had one.
_LAYERS = flags.DEFINE_list('layers', '', 'names of layers: docs/layers.md')
_CHANGES = flags.DEFINE_list(
  'changes', 'none', 'none, scale=0.6, shift=4, rotate=30, noise=0.1'
)


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns a mosaic a layer, and the answers with their scores."""
  wanted = [parse_change(word) for word in _CHANGES.value]
  model = inputs.network(config)
  network = model.networks[0]
  shown = [
    (image.title + said, change(image.pixels[None])[0])
    for image in inputs.images(
      config, model, files, options.EXAMPLES.value or ['0']
    )
    for said, change in wanted
  ]
  images = np.stack([image for _, image in shown])
  try:
    layers = tuple(filter(None, _LAYERS.value))
    states = maps.states(network, images, layers)
  except ValueError as error:
    raise UserError(f'--layers: {error}') from None
  logits = answers.Reader(network, len(images)).logits(images)
  rows, said = [], []
  for i, (title, image) in enumerate(shown):
    first, second = (int(c) for c in (-logits[i]).argsort()[:2])
    name = model.class_names[first]
    mosaics = {layer: maps.mosaic(state[i]) for layer, state in states.items()}
    rows.append((f'{title}: {name}', image, mosaics))
    said.append(
      f'{title}: {name}, score {logits[i, first]:.1f}; then '
      f'{model.class_names[second]}, {logits[i, second]:.1f}'
    )
  return Drawn(drawing.states(rows), said)


def parse_change(word: str) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
  """Returns (what to say of it, the function) of a word of --changes.

  Raises:
    UserError: unknown, or without a number.
  """
  if word == 'none':
    return '', lambda images: images
  name, _, value = word.partition('=')
  if name not in changes.CHANGES:
    raise UserError(f"--changes '{word}':{closest(name, changes.CHANGES)}")
  try:
    amount = float(value)
  except ValueError:
    raise UserError(f"--changes '{word}' needs a number: {name}=1.2") from None
  return f', {word}', lambda images: changes.CHANGES[name](images, amount)


KIND = Kind(
  draw,
  (*options.NETWORK, options.EXAMPLES, _CHANGES, _LAYERS),
  takes='PHOTOS',
)
