"""How far features move with the image: ZFNet, Figure 5.

Images are shifted down, enlarged and turned; of each amount, the distance of
the features from those of the image as it was, relative to their norm, in two
layers (--layer=A,B; by default the first and the one before the classifier),
and the probability of its class. A shift of 60 pixels of 224, the paper's, is
as much of other sizes. What comes in at a border is the border's pixel.

Of test images (--examples; by default one of each of five classes), or of
PHOTOS, whose class is taken to be the network's answer.
"""

import numpy as np
from ml_collections import ConfigDict

import experiment
from errors import UserError
from runtime.progress import Progress
from seeing import invariance, usual_layers
from seeing.drawn import invariance as drawing_invariance
from tools import check_data, features
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_CLASSES = 5  # as in the paper
_SAMPLE = 1000  # images among which one of each class is looked for
_MOST = drawing_invariance.MOST
# Amounts that are printed, as shares of the way from the first to the last.
_PRINTED = (0, 0.25, 0.5, 0.75, 1)


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns three rows of panels, and values of their curves."""
  layers = _layers(config)
  model = inputs.network(config)
  examples = options.EXAMPLES.value or []
  if not files and not examples:
    examples = _of_each_class(config)
  images = inputs.images(config, model, files, examples)
  if len(images) > _MOST:
    raise UserError(
      f'{len(images)} images: lines of at most {_MOST} can be told apart'
    )
  pixels = np.stack([image.pixels for image in images])
  sweeps = invariance.sweeps(min(pixels.shape[1:3]))
  meter = invariance.Meter(
    model.networks[0], layers, pixels, [image.label for image in images]
  )
  total = sum(map(len, sweeps.values())) * len(images)
  with Progress(total) as progress:
    curves = {
      name: meter(invariance.moved(name), values, progress)
      for name, values in sweeps.items()
    }
  names = [model.class_names[label] for label in meter.labels]
  figure = drawing_invariance.draw(pixels, names, curves)
  titles = [f'{image.title} ({name})' for image, name in zip(images, names)]
  return Drawn(figure, _said(titles, curves))


def _layers(config) -> list[str]:
  """Returns --layer, or the first hidden layer and the last.

  Raises:
    UserError: not two, or not there.
  """
  asked = list(filter(None, options.LAYER.value))
  if asked and len(set(asked)) != 2:
    raise UserError(f'--layer={",".join(asked)}: two layers, as conv1,fc7')
  try:
    asked = asked or [*usual_layers.first_and_last(features.shapes(config))]
  except ValueError as error:
    raise UserError(f'{config.model.name}: {error}') from None
  return list(features.shapes(config, asked))


def _of_each_class(config) -> list[str]:
  """Returns the numbers of a test image of each of the first classes."""
  source = experiment.create_source(config, 'test')
  sample = check_data.spread(source, _SAMPLE)
  labels = source.batch(sample)['label']
  first = np.unique(labels, return_index=True)[1][:_CLASSES]
  return [str(number) for number in sample[first]]


def _said(titles, curves) -> list[str]:
  """Returns a line a change, image and quantity."""
  said = []
  for change, found in curves.items():
    at = [round(share * (len(found.values) - 1)) for share in _PRINTED]
    amounts = ', '.join(f'{v:g}' for v in found.values[at])
    said.append(f'{change} {amounts}')
    rows = {**found.distances, 'probability': found.probabilities}
    for i, title in enumerate(titles):
      parts = [
        f'{name} ' + ' '.join(f'{v:.2f}' for v in values[i, at])
        for name, values in rows.items()
      ]
      said.append(f'  {title}: {"; ".join(parts)}')
  return said


KIND = Kind(
  draw, (*options.NETWORK, options.EXAMPLES, options.LAYER), takes='PHOTOS'
)
