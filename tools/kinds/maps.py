"""States of the layers: LeNet-5, Figures 2 and 13.

Of test images (--examples), or of PHOTOS; also of --changes of them. Where
--out ends in .gif the image moves, there and back: --changes=shift=-6..6 or
scale=0.6..1.4,rotate=-40..40, --number frames one way.
"""

import math
from collections.abc import Callable

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from errors import UserError, closest
from evaluation.inference import Model
from seeing import answers, changes, drawing, maps
from seeing.drawn import maps as drawing_maps
from tools import command
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

# Not `layer`: so it was called before other tools had one.
_LAYERS = flags.DEFINE_list('layers', '', 'names of layers: docs/layers.md')
_CHANGES = flags.DEFINE_list(
  'changes',
  'none',
  'none, scale=0.6, shift=4, rotate=30, noise=0.1; of a GIF shift=-6..6',
)
_FRAMES, _MOST_FRAMES = 13, 100  # one way
Change = tuple[str, Callable[[np.ndarray], np.ndarray]]


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns a mosaic a layer, and the answers with their scores."""
  moves = command.OUT.value.lower().endswith('.gif')
  wanted = (
    parse_sweeps() if moves else [parse_change(w) for w in _CHANGES.value]
  )
  model = inputs.network(config)
  shown = [
    (image.title + said, change(image.pixels[None])[0])
    for image in inputs.images(
      config, model, files, options.EXAMPLES.value or ['0']
    )
    for said, change in wanted
  ]
  titles, images = [title for title, _ in shown], [image for _, image in shown]
  layers = tuple(filter(None, _LAYERS.value))
  try:
    return (_moving if moves else _still)(
      model, titles, np.stack(images), layers
    )
  except ValueError as error:
    raise UserError(f'--layers: {error}') from None


def _still(model: Model, titles, images, layers) -> Drawn:
  network = model.networks[0]
  states = maps.states(network, images, layers)
  logits = answers.Reader(network, len(images)).logits(images)
  rows, said = [], []
  for i, (title, image) in enumerate(zip(titles, images)):
    first, second = (int(c) for c in (-logits[i]).argsort()[:2])
    name = model.class_names[first]
    mosaics = {layer: maps.mosaic(state[i]) for layer, state in states.items()}
    rows.append((f'{title}: {name}', image, mosaics))
    said.append(
      f'{title}: {name}, score {logits[i, first]:.1f}; then '
      f'{model.class_names[second]}, {logits[i, second]:.1f}'
    )
  return Drawn(drawing.states(rows), said)


def _moving(model: Model, titles, images, layers) -> Drawn:
  mosaics, found = maps.moving(model.networks[0], images, layers)
  names = model.class_names
  said = [
    f'{title}: {names[row.argmax()]} {row.max():.1%}'
    for title, row in zip(titles, found)
  ]
  return Drawn(drawing_maps.frames(images, titles, mosaics, found, names), said)


def parse_change(word: str) -> Change:
  """Returns (what to say of it, the function) of a word of --changes.

  Raises:
    UserError: unknown, or without a number; or a range.
  """
  if word == 'none':
    return '', lambda images: images
  name, value = _named(word)
  if '..' in value:
    raise UserError(f"--changes '{word}' moves the image: --out=FILE.gif")
  try:
    amount = float(value)
  except ValueError:
    raise UserError(f"--changes '{word}' needs a number: {name}=1.2") from None
  return _change(name, amount)


def parse_sweeps() -> list[Change]:
  """Returns the frames that --changes and --number ask for, there and back.

  Raises:
    UserError: a word that is no range of a change; too few frames.
  """
  count = inputs.number(_MOST_FRAMES, _FRAMES)
  if count < 2:
    raise UserError(f'--number is {count}: at least 2 frames of a GIF')
  found = []
  for word in _CHANGES.value:
    if word == 'none':
      raise UserError(
        '--out=FILE.gif is of an image that moves: --changes=shift=-6..6'
      )
    name, value = _named(word)
    try:
      low, high = map(float, value.split('..'))
    except ValueError:
      raise UserError(
        f"--changes '{word}' needs a range for a GIF: {name}=0.5..1.5"
      ) from None
    way = np.linspace(low, high, count).tolist()
    found += [_change(name, amount) for amount in [*way, *way[-2:0:-1]]]
  return found


def _named(word) -> tuple[str, str]:
  name, _, value = word.partition('=')
  if name not in changes.CHANGES:
    raise UserError(f"--changes '{word}':{closest(name, changes.CHANGES)}")
  return name, value


def _change(name, amount) -> Change:
  if not math.isfinite(amount) or (name == 'scale' and amount <= 0):
    known = 'a factor above 0' if name == 'scale' else 'a finite number'
    raise UserError(f"--changes '{name}={amount:g}': {known}")

  def change(images):
    return changes.CHANGES[name](images, amount)

  return f', {name}={amount:.3g}', change


KIND = Kind(
  draw,
  (*options.NETWORK, options.EXAMPLES, options.NUMBER, _CHANGES, _LAYERS),
  takes='PHOTOS',
  endings=('.png', '.svg', '.pdf', '.gif'),
)
