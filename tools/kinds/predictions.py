"""Images with the five most probable classes as bars: AlexNet, Figure 4, left.

Of PHOTOS, of test images by number (--examples), or of --number drawn at random
(--seed). Red is the bar of the label; of PHOTOS, which have none, all are blue.
"""

import numpy as np
from ml_collections import ConfigDict

from seeing import predictions
from seeing.drawn import predictions as drawing_predictions
from seeing.drawn.predictions import Shown
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_NUMBER = 8
_COLUMNS = 4  # as in the paper
_NAME = 40  # letters of a file's name, its end


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns a sheet of images with bars, and the bars in words."""
  inputs.number(1, 1)  # refuses before anything is read
  model = inputs.network(config)
  if files:
    network, names = model.networks[0], model.class_names
    images = inputs.images(config, model, files, [])
  else:
    tested = inputs.tested(config, model)
    network, names = tested.network, tested.names
    images = inputs.split(tested.source, _chosen(tested.source), config)
  labels = np.array([image.label for image in images], np.int32)
  pixels = np.stack([image.pixels for image in images])
  rows = predictions.of_images(network, pixels, labels)
  shown, said = [], []
  for image, best, probabilities in zip(images, rows.best, rows.probability):
    right = [*best, image.label].index(image.label)
    top = [names[c] for c in best]
    label = names[image.label] if image.label >= 0 else ''
    title = label or image.title[-_NAME:]
    right = -1 if right == len(best) else right
    shown.append(Shown(image.pixels, title, top, probabilities, right))
    bars = ', '.join(f'{n} {p:.1%}' for n, p in zip(top, probabilities))
    said.append(f'{image.title}{f" ({label})" * bool(label)}: {bars}')
  if not files:
    said.append(_total(labels, rows))
  return Drawn(drawing_predictions.bars(shown, min(_COLUMNS, len(shown))), said)


def _chosen(source) -> list[int]:
  if words := options.EXAMPLES.value:
    return inputs.numbers('examples', words, len(source))
  return inputs.drawn(len(source), _NUMBER)


def _total(labels, rows) -> str:
  first = (rows.best[:, 0] == labels).sum()
  among = (rows.best == labels[:, None]).any(1).sum()
  return (
    f'the label is the answer in {first} of {len(labels)}, among the '
    f'{rows.best.shape[1]} most probable in {among}'
  )


KIND = Kind(
  draw,
  (*options.NETWORK, options.EXAMPLES, options.NUMBER, options.SEED),
  takes='PHOTOS',
)
