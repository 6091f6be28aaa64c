"""Whether hiding a part changes features alike: ZFNet, Figure 8 and Table 1.

At least two images of one kind of thing, parts of them covered by the mean
pixel: --parts=NAME=TOP,LEFT,HEIGHT,WIDTH for the same box in all of them, or
--parts=FILE.json, {image: {NAME: [TOP, LEFT, HEIGHT, WIDTH]}}, in pixels of the
image as the network sees it (the first column has an axis). Printed and drawn:
the mean over pairs of images of the share of features whose sign of change
differs, in two layers (--layer=A,B; by default the last convolution and the
one before the classifier), beside that of --number draws of random places.

The sign is -, 0 or +, and any two differ; features that stay as they are agree.
The paper's +- is not explained; here it is the deviation over pairs and draws.

Of test images (--examples), or of PHOTOS.
"""

import numpy as np
from ml_collections import ConfigDict

from errors import UserError
from runtime.progress import Progress
from seeing import correspondence, masking, usual_layers
from seeing.drawn import correspondence as drawing_correspondence
from tools import features
from tools.kinds import inputs, options, parts
from tools.kinds.kind import Drawn, Kind

_DRAWS = 20  # of random places
_MOST = 20  # images


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns the covered images beside bars, and the table."""
  found = parts.read(parts.PARTS.value)
  layers = _layers(config)
  draws = inputs.number(10**6, _DRAWS)
  examples = options.EXAMPLES.value or parts.examples(found)
  if not files and len(examples) < 2:
    raise UserError(
      'images are compared in pairs: --examples=3,18, or two PHOTOS, at least'
    )
  model = inputs.network(config)
  images = inputs.images(config, model, files, examples)
  if not 2 <= len(images) <= _MOST:
    raise UserError(f'{len(images)} image(s): from 2 to {_MOST} are compared')
  network = model.networks[0]
  pixels = np.stack([image.pixels for image in images])
  shape = pixels.shape[1:]
  boxes = parts.of_images(found, [image.title for image in images], shape)
  drawn = correspondence.random_boxes(boxes, shape, draws, options.SEED.value)
  columns = {name: [boxes_] for name, boxes_ in boxes.items()}
  columns[parts.RANDOM] = drawn
  with Progress(len(images) * (1 + len(boxes) + draws)) as progress:
    table = correspondence.measure(network, pixels, layers, columns, progress)
  grey = masking.mean_pixels(network, shape)
  shown = {
    name: np.stack(
      [masking.shown(i, box, grey) for i, box in zip(pixels, lists[0])]
    )
    for name, lists in columns.items()
  }
  figure = drawing_correspondence.draw(
    {'original': pixels, **shown}, [_title(i, model) for i in images], table
  )
  return Drawn(figure, _said(table, layers, len(images), draws))


def _layers(config) -> list[str]:
  """Returns --layer, or the last convolution and the last hidden layer.

  Raises:
    UserError: not there.
  """
  asked = list(dict.fromkeys(filter(None, options.LAYER.value)))
  try:
    if not asked:
      known = features.shapes(config)
      last = usual_layers.first_and_last(known)[1]
      asked = [usual_layers.last_convolution(known), last]
  except ValueError as error:
    raise UserError(f'{config.model.name}: {error}; give --layer') from None
  return list(features.shapes(config, asked))


def _title(image, model) -> str:
  name = image.title.rsplit('/', 1)[-1]
  return (
    name if image.label < 0 else f'{name}: {model.class_names[image.label]}'
  )


def _said(table, layers, count, draws) -> list[str]:
  """Returns the table as lines."""
  wide = max(len(name) for name in (*table, 'part'))
  cell = max(22, *(len(layer) + 2 for layer in layers))
  said = [
    f'share of features whose sign of change (-, 0, +) differs, its deviation, '
    f'(share of 0); {count} images, {count * (count - 1) // 2} pairs, {draws} '
    'draws of random places',
    f'{"part":{wide}}  ' + ''.join(f'{layer:{cell}}' for layer in layers),
  ]
  for name, row in table.items():
    cells = ''.join(
      f'{f"{d.mean:.3f} ± {d.spread:.3f} ({d.unchanged:.0%})":{cell}}'
      for d in row.values()
    )
    said.append(f'{name:{wide}}  {cells}'.rstrip())
  return said


KIND = Kind(
  draw,
  (
    *options.NETWORK, options.EXAMPLES, options.LAYER, parts.PARTS,
    options.NUMBER, options.SEED,
  ),
  takes='PHOTOS',
)  # fmt: skip
