"""Where a class is seen: Grad-CAM, Selvaraju et al. 2017; beyond the papers.

    python -m tools.visualize gradcam --workdir=RUN --out=heat.png PHOTOS
    python -m tools.visualize gradcam --workdir=RUN --out=heat.png \
        --layer=conv3_4,conv5_3 --class='tabby, tabby cat' PHOTOS

Of PHOTOS, or of test images (--examples). Without --layer that of the last map
of a convolution, without --class the class with the highest score. A map has no
unit: colours are shares of its largest value.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from runtime.progress import Progress
from seeing import drawing, gradcam
from seeing.drawn import gradcam as drawing_gradcam
from seeing.drawn.gradcam import Row
from tools.kinds import inputs, options
from tools.kinds.inputs import Image
from tools.kinds.kind import Drawn, Kind

_CLASS = flags.DEFINE_string(
  'class', '', 'name or number; else that with the highest score'
)
_IMAGES = 12
_BATCH = 8
_LETTERS = 30  # of a title


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns images and heat, and the classes with their probabilities."""
  model = inputs.network(config)
  network, names = model.networks[0], model.class_names
  given = tuple(filter(None, options.LAYER.value))
  layers = gradcam.check_layers(network, model.image_shape[-1], given)
  chosen = gradcam.class_number(_CLASS.value, names) if _CLASS.value else None
  images = inputs.images(config, model, files, options.EXAMPLES.value or ['0'])
  shown = images[: inputs.number(len(images), _IMAGES)]
  rows: list[Row] = []
  said = []
  if len(shown) < len(images):
    said.append(f'{len(shown)} of {len(images)} images: --number for more')
  with Progress(len(shown)) as progress:
    for start in range(0, len(shown), _BATCH):
      part = shown[start : start + _BATCH]
      rows += _rows(network, names, part, layers, chosen)
      progress.add(len(part))
  said += [
    f'{image.title}: {row.answer}' + _nothing(row)
    for image, row in zip(shown, rows)
  ]
  said.append(f'layers: {", ".join(layers)}')
  return Drawn(drawing_gradcam.heat(_shortened(rows)), said)


def _rows(
  network, names, images: Sequence[Image], layers, chosen: int | None
) -> list[Row]:
  pixels = np.stack([image.pixels for image in images])
  classes = None if chosen is None else np.full(len(images), chosen)
  seen = gradcam.maps(network, pixels, layers, classes)
  return [
    Row(
      _title(image, names),
      f'{names[seen.classes[i]]} {seen.probabilities[i]:.1%}',
      image.pixels,
      {layer: cam[i] for layer, cam in seen.maps.items()},
    )
    for i, image in enumerate(images)
  ]


def _title(image, names) -> str:
  if image.label < 0:
    return pathlib.PurePath(image.title).name
  return f'{image.title}: {names[image.label]}'


def _nothing(row) -> str:
  empty = [layer for layer, cam in row.maps.items() if not cam.any()]
  return f' (nothing in {", ".join(empty)} speaks for it)' if empty else ''


def _shortened(rows) -> list[Row]:
  """Answers keep their probability."""
  found = []
  for row in rows:
    name, _, share = row.answer.rpartition(' ')
    answer = f'{drawing.shortened(name, _LETTERS - 12)} {share}'
    title = drawing.shortened(row.title, _LETTERS)
    found.append(row._replace(title=title, answer=answer))
  return found


KIND = Kind(
  draw,
  (*options.NETWORK, options.LAYER, _CLASS, options.EXAMPLES, options.NUMBER),
  takes='PHOTOS',
)
