"""What hiding a part of an image does to its answer: ZFNet, Figure 7.

A square of the mean pixel, grey to the network, lies on the image in each of
many places (--square, --stride; pixels; the paper names neither). By place:
the total activity of the map of --layer that is strongest without the square
(by default the last convolution: conv5 of ZFNet), the probability of the right
class, and the most probable class. Red on a bar: without the square.

Of test images (--examples), or of PHOTOS, whose right class is taken to be the
network's answer.
"""

import collections

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from errors import UserError
from runtime.progress import Progress
from seeing import masking, occlusion, usual_layers
from seeing.drawn import occlusion as drawing_occlusion
from tools import features
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_SQUARE = flags.DEFINE_integer(
  'square', None, "side of the square; by default a fifth of the image's"
)
_STRIDE = flags.DEFINE_integer(
  'stride', None, "steps of the square; by default a fourteenth of the image's"
)
_EXAMPLES = ('0', '1', '2')  # as many as in the paper
_MOST = 12  # rows


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns four panels an image, and what is lowest in them."""
  layer = _layer(config)
  for flag in (_SQUARE, _STRIDE):
    if flag.value is not None and flag.value < 1:
      raise UserError(f'--{flag.name} is {flag.value}: at least 1 pixel')
  model = inputs.network(config)
  images = inputs.images(
    config, model, files, options.EXAMPLES.value or _EXAMPLES
  )
  if len(images) > _MOST:
    raise UserError(f'{len(images)} images: at most {_MOST} have room')
  network, shape = model.networks[0], images[0].pixels.shape
  usual = occlusion.Square.of(*shape[:2])
  square = occlusion.Square(
    _SQUARE.value or usual.side, _STRIDE.value or usual.stride
  )
  try:
    occluder = occlusion.Occluder(network, layer, shape, square)
  except ValueError as error:
    raise UserError(f'--square: {error}') from None
  with Progress(len(images) * occluder.passes) as progress:
    found = [occluder(image.pixels, progress) for image in images]
  grey = masking.mean_pixels(network, shape)
  rows = [_row(*each, grey) for each in zip(images, found)]
  one = found[0]
  said = [
    f'a square of {square.side}x{square.side} pixels of {shape[0]}x{shape[1]} '
    f'in {len(one.tops)}x{len(one.lefts)} places, {square.stride} apart or less'
  ]
  said += [_said(row, layer, model.class_names) for row in rows]
  return Drawn(drawing_occlusion.draw(rows, layer, model.class_names), said)


def _layer(config) -> str:
  """Returns --layer, or the last convolution.

  Raises:
    UserError: several, or not there.
  """
  asked = list(filter(None, options.LAYER.value))
  if len(asked) > 1:
    raise UserError(f'--layer={",".join(asked)}: occlusion looks at one layer')
  known = features.shapes(config)
  try:
    (layer,) = asked or [usual_layers.last_convolution(known)]
  except ValueError as error:
    raise UserError(f'{config.model.name}: {error}; give --layer') from None
  return next(iter(features.shapes(config, [layer])))


def _row(image, found, grey) -> drawing_occlusion.Row:
  """With the square where the right class is least probable."""
  answer = int(found.plain_probabilities.argmax())
  label = answer if image.label < 0 else image.label
  top, left = _least(found, found.probabilities[..., label])
  side = found.square.side
  example = masking.shown(image.pixels, (top, left, side, side), grey)
  title = image.title.rsplit('/', 1)[-1]
  return drawing_occlusion.Row(title, example, label, found)


def _least(found, values) -> tuple[int, int]:
  row, column = np.unravel_index(values.argmin(), values.shape)
  return int(found.tops[row]), int(found.lefts[column])


def _said(row, layer, names) -> str:
  found, map_ = row.found, row.found.strongest
  activity = found.activity[..., map_]
  right = found.probabilities[..., row.label]
  plain = found.plain_probabilities[row.label]
  answers = collections.Counter(found.answers.ravel().tolist()).most_common(5)
  places = ', '.join(f'{names[c]} {n}' for c, n in answers)
  return (
    f'{row.title}: {names[row.label]} {plain:.1%}, at least {right.min():.1%} '
    f'with the square at {_pair(found, right)}; map {map_} of {layer} '
    f'{found.plain_activity[map_]:.4g}, at least {activity.min():.4g} at '
    f'{_pair(found, activity)}; answers by place: {places}'
  )


def _pair(found, values) -> str:
  return '{},{}'.format(*_least(found, values))


KIND = Kind(
  draw,
  (*options.NETWORK, options.EXAMPLES, options.LAYER, _SQUARE, _STRIDE),
  takes='PHOTOS',
)
