"""Images of the test split, drawn at random: LeNet-5, Figure 4."""

import numpy as np
from ml_collections import ConfigDict

import experiment
from evaluation import exact
from seeing import drawing
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_NUMBER = 160
_COLUMNS = 20


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns a sheet of test images, and which they are."""
  source = experiment.create_source(config, 'test')
  count = inputs.number(len(source), _NUMBER)
  rng = np.random.default_rng(options.SEED.value)
  chosen = rng.choice(len(source), count, replace=False)
  images = source.batch(chosen)['image']
  return Drawn(
    drawing.sheet(images, min(_COLUMNS, count)),
    [
      f'{count} of {len(source):,} {exact.split_name(config)} images: '
      f'{", ".join(map(str, chosen[:_COLUMNS]))}' + ', ...' * (count > _COLUMNS)
    ],
  )


KIND = Kind(draw, (options.NUMBER, options.SEED))
