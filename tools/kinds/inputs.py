"""Networks and images that kinds of pictures ask for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

import experiment
from data.sources import Source
from errors import UserError
from evaluation import inference, networks, protocols, test_sets
from evaluation.inference import Model
from evaluation.protocols import Protocol
from evaluation.scoring import Network
from runtime import console
from runtime.progress import Progress
from seeing import answers
from tools import predict
from tools.kinds import options


class Image(NamedTuple):
  """An image as a network sees it, before `Network.prepare`."""

  title: str  # the name of its file, or its number in the split
  pixels: np.ndarray  # uint8 [H, W, C]
  label: int = -1  # class; -1: not known


class Tested(NamedTuple):
  """The test split as a network is evaluated on it."""

  network: Network  # with the outputs that count
  source: Source  # labels count in `names`
  names: tuple[str, ...]  # of the classes, ImageNet's as words


class Answered(NamedTuple):
  """What a network says of the test split."""

  tested: Tested
  labels: np.ndarray  # int32 [N]
  logits: np.ndarray  # float32 [N, classes]


def network(config: ConfigDict) -> Model:
  """Returns the network that --workdir or `init_from` names.

  Raises:
    UserError: as `inference.load`; or `eval.members` asks for an ensemble.
  """
  if config.eval.members:
    raise UserError('eval.members: a picture is of one network, without them')
  return inference.load(config, options.WORKDIR.value, options.CLASSES.value)


def tested(config: ConfigDict, model: Model) -> Tested:
  """Returns the test split, its classes among those of the network.

  As --mode=eval has it: see `evaluation.test_sets`.

  Raises:
    UserError: as `test_sets.open_for`.
  """
  path = model.networks[0].path
  found = test_sets.open_for(
    networks.as_trained(config, path), path, console.say
  )
  if found.line:
    console.say(found.line)
  outputs = found.outputs or range(len(model.class_names))
  return Tested(
    test_sets.restricted(model.networks[0], found.outputs),
    found.test,
    tuple(model.class_names[i] for i in outputs),
  )


def answered(config: ConfigDict) -> Answered:
  """Returns what the network says of every image of the test split.

  By the natural protocol; photographs are read, and not kept.

  Raises:
    UserError: as `network` and `tested`; a photograph cannot be decoded.
  """
  found = tested(config, network(config))
  with Progress(len(found.source)) as progress:
    logits, labels = answers.of_source(
      found.network, found.source, config.data.threads, progress
    )
  return Answered(found, labels, logits)


def natural(config: ConfigDict) -> Protocol:
  """Returns the protocol of one view an image, whatever a run evaluates by."""
  config = config.copy_and_resolve_references()
  config.eval.scales = ()
  return protocols.create(config, protocols.natural(config))


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


def views(source: Source, chosen: Sequence[int], size: int = 0) -> np.ndarray:
  """Returns images of a split by their numbers, uint8 [N, H, W, C].

  With a border of 0 to the side `size`, where they are smaller.
  """
  return answers.bordered(source.batch(np.array(chosen))['image'], size)


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
  try:
    views = inference.views(
      read(), natural(config), model.networks[0], model.image_shape
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


def drawn(count: int, default: int) -> list[int]:
  """Returns --number of the numbers below `count`, at random by --seed."""
  rng = np.random.default_rng(options.SEED.value)
  return rng.choice(count, number(count, default), replace=False).tolist()
