"""An image of each class, then as training sees it: LeNet-5, Figure 7."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import experiment
from errors import UserError
from recipe import augment
from seeing import answers, drawing
from tools import check_data
from tools.kinds import options
from tools.kinds.kind import Drawn, Kind

_CLASSES = 10
_COPIES = 9  # of each image


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns a sheet: an image of each class, and drawn changes of it."""
  name = config.train.augment
  if name == 'none':
    raise UserError(
      "train.augment is 'none', which changes nothing. LeNet-5's distortions "
      'are --config=configs/lenet5.py:augment=distort'
    )
  change = augment.create(name, **config.train.augment_options)
  source = experiment.create_source(config, 'train')
  sample = check_data.spread(source, 1000)
  batch = source.batch(sample)
  first = np.unique(batch['label'], return_index=True)[1][:_CLASSES]
  images = answers.bordered(batch['image'][first], config.data.image_size)
  keys = jax.random.split(jax.random.key(options.SEED.value), _COPIES)
  drawn = [np.asarray(change(key, jnp.asarray(images))) for key in keys]
  rows = np.stack([images, *drawn], 1)
  shown = rows.reshape(-1, *rows.shape[2:]).clip(0, 255).astype(np.uint8)
  return Drawn(
    drawing.sheet(shown, 1 + _COPIES),
    [
      f'{name} {dict(config.train.augment_options)}; left the training images '
      f'{", ".join(map(str, sample[first]))}'
    ],
  )


KIND = Kind(draw, (options.SEED,))
