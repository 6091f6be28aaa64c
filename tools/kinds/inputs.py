"""Networks and images that kinds of pictures ask for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

import experiment
from data.sources import Source
from errors import UserError
from evaluation import inference, protocols
from evaluation.inference import Model
from runtime.progress import Progress
from seeing import answers
from tools import predict
from tools.kinds import options


class Image(NamedTuple):
  """An image as a network sees it, before `Network.prepare`."""

  title: str  # the name of its file, or its number in the split
  pixels: np.ndarray  # uint8 [H, W, C]
  label: int = -1  # class; -1: not known


def network(config: ConfigDict) -> Model:
  """Returns the network that --workdir or `init_from` names.

  Raises:
    UserError: as `inference.load`.
  """
  return inference.load(config, options.WORKDIR.value, options.CLASSES.value)


def answered(
  config: ConfigDict,
) -> tuple[Model, np.ndarray, np.ndarray, np.ndarray]:
  """Returns the model, the test split, and what the network says of it.

  Returns:
    The model; uint8 [N, H, W, C] with their border; int32 [N] labels; float32
    [N, classes] logits.
  """
  model = network(config)
  source = experiment.create_source(config, 'test')
  images, labels = answers.whole(source, config.data.image_size)
  with Progress(len(images)) as progress:
    logits = answers.Reader(model.networks[0]).logits(images, progress)
  return model, images, labels, logits


def images(
  config: ConfigDict,
  model: Model,
  files: Sequence[str],
  examples: Sequence[str],
) -> list[Image]:
  """Returns PHOTOS, or images of the config's test split.

  Args:
    config: of the network and the data.
    model: of it.
    files: and folders, as tools.predict takes them; may be empty.
    examples: numbers of test images as they are typed, where `files` is empty.

  Raises:
    UserError: a file cannot be read, no such number.
  """
  if files:
    return [_photo(config, model, *named) for named in predict.find(files)]
  source = experiment.create_source(config, 'test')
  return split(source, numbers('examples', examples, len(source)), config)


def split(
  source: Source, chosen: Sequence[int], config: ConfigDict
) -> list[Image]:
  """Returns images of a split by their numbers, with the network's border."""
  batch = source.batch(np.array(chosen))
  pixels = answers.bordered(batch['image'], config.data.image_size)
  return [
    Image(str(number), image, int(label))
    for number, image, label in zip(chosen, pixels, batch['label'])
  ]


def _photo(config, model, name, read) -> Image:
  protocol = protocols.create(config, protocols.natural(config))
  try:
    views = inference.views(
      read(), protocol, model.networks[0], model.image_shape
    )
  except Exception as error:  # libraries raise many kinds
    raise UserError(predict.why(name, error)) from error
  return Image(name, answers.bordered(views[0], config.data.image_size)[0])


def numbers(flag: str, words: Sequence[str], count: int) -> list[int]:
  """Returns numbers below `count` as they were typed.

  Raises:
    UserError: names the flag and the first that is none.
  """
  if bad := [w for w in words if not w.isdecimal() or int(w) >= count]:
    raise UserError(f"--{flag} '{bad[0]}': numbers from 0 to {count - 1}")
  return [int(w) for w in words]


def number(most: int, default: int) -> int:
  """Returns --number, or the default, but `most` where there are no more.

  Raises:
    UserError: below 1.
  """
  asked = options.NUMBER.value
  if asked is not None and asked < 1:
    raise UserError(f'--number is {asked}: at least 1')
  return min(default if asked is None else asked, most)
