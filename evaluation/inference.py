"""A trained network for one's own images, without the data that trained it."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from ml_collections import ConfigDict

import config_lib
import experiment as experiment_lib
import zoo
from data import decoding
from data.imagenet_words import imagenet_words
from errors import UserError
from evaluation import networks, protocols, scoring
from evaluation.protocols import Protocol
from evaluation.scoring import Network
from runtime import storage
from runtime import workdir as workdir_lib
from zoo import weights

_CHUNK = 64  # images whose answers wait for each other


class Model(NamedTuple):
  """One network, or an ensemble, and what its scores and images mean."""

  networks: list[Network]
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]  # of the data set, where all are equal


def load(
  config: ConfigDict,
  workdir: str,
  classes: str = '',
  other_data: bool = False,
) -> Model:
  """Returns the network of a workdir, or of `init_from`, and `eval.members`.

  Args:
    config: of the network.
    workdir: with checkpoints, or '' with `init_from`.
    classes: file with a name a line; '': those recorded in the workdir,
      ImageNet's for other people's weights, else those of the data set.
    other_data: whether the config's data set may be another than that of the
      run, as where its labels are not compared with the network's classes.

  Raises:
    UserError: no checkpoint, no names; damaged, or it does not fit.
  """
  path = config.init_from or workdir
  if not path:
    raise UserError('--workdir is missing, or --config.init_from=FILE')
  place = storage.path(path)
  if not place.exists():
    raise UserError(f'{path} does not exist: a workdir, or a file of weights')
  config = networks.as_trained(config, path)
  if not networks.is_file(path):
    place = workdir_lib.containing(path)
    mine = _with_data_of(place, config) if other_data else config
    workdir_lib.check_owner(place, mine, config_lib.defaults_of_network(mine))
  names, shape = _classes(config, place, classes)
  found = [networks.load(config, path, len(names))]
  found += networks.members(config, names)
  return Model(found, as_words(names), shape)


def _with_data_of(place, config):
  config = config.copy_and_resolve_references()
  recorded = workdir_lib.read_config(place).get('data', {})
  config.data.name = recorded.get('name', config.data.name)
  return config


def _classes(config, place, file):
  shape = zoo.image_shape(config.model.name)
  if file:
    try:
      lines = storage.local(file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
      raise UserError(f'--classes {file} cannot be read: {error}') from None
    return tuple(line.strip() for line in lines if line.strip()), shape
  if record := networks.trained_classes(str(place)):
    return record
  if weights.origin(config.model.name, str(place)):
    return imagenet_words(), shape
  try:
    source = experiment_lib.create_source(config, 'train')
  except UserError as error:
    raise UserError(
      f'{place} has no classes.json, which training writes (is it the right '
      f'workdir?), nor is the data at hand ({error}). For a checkpoint from '
      'elsewhere, set --classes=FILE, a name a line'
    ) from None
  return source.class_names, source.image_shape


def as_words(names: Sequence[str]) -> tuple[str, ...]:
  """Returns names of classes; ImageNet's thousand WordNet ids become words."""
  ids = all(re.fullmatch(r'n\d{8}', name) for name in names)
  return imagenet_words() if ids and len(names) == 1000 else tuple(names)


def views(
  encoded: bytes, protocol: Protocol, network: Network, shape: tuple
) -> list[np.ndarray]:
  """Returns the views of a file, uint8 [K, h, w, C] for each part.

  A position in EXIF is applied. Where the data set has images of one size, the
  centre of the image is resized to it, and is grey if they are.

  Raises:
    ValueError: it cannot be decoded.
  """
  if protocol.name != 'single':
    return scoring.cut(encoded, protocol, network.image_size, upright=True)
  height, width, channels = shape
  image = decoding.decode(encoded, upright=True)
  square = protocols.centre(image, min(image.shape[:2]))[0]
  if square.shape[:2] != (height, width):
    square = cv2.resize(square, (width, height), interpolation=cv2.INTER_AREA)
  if channels == 1:
    square = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)[..., None]
  return [square[None]]


def predict(
  model: Model, protocol: Protocol, files: list[bytes], batch_size: int
) -> np.ndarray:
  """Returns float32 [N, classes], probabilities of encoded images.

  Raises:
    ValueError: one cannot be decoded.
  """
  found = np.empty((len(files), len(model.class_names)), np.float32)
  reads = ((lambda encoded=f: encoded) for f in files)
  for row, result in enumerate(stream(model, protocol, reads, batch_size)):
    if isinstance(result, Exception):
      raise result
    found[row] = result
  return found


def stream(
  model: Model,
  protocol: Protocol,
  reads: Iterable[Callable[[], bytes]],
  batch_size: int,
) -> Iterator[np.ndarray | Exception]:
  """Yields the probabilities of any number of images, in their order.

  Holds what a chunk of them needs.

  Args:
    model: from `load`.
    protocol: from `protocols.create`.
    reads: each returns the content of a file.
    batch_size: see `scoring.Scorer`.

  Yields:
    float32 [classes], or why the image cannot be read or decoded.
  """
  batch_size = min(batch_size, _CHUNK)
  scorers = [
    scoring.Scorer(n, protocol, _CHUNK, batch_size) for n in model.networks
  ]
  waiting = iter(reads)
  while chunk := list(itertools.islice(waiting, _CHUNK)):
    bad: dict[int, Exception] = {}
    for row, read in enumerate(chunk):
      try:
        encoded = read()
        parts = [
          views(encoded, protocol, network, model.image_shape)
          for network in model.networks
        ]
      except Exception as error:  # noqa: BLE001  libraries raise many kinds
        bad[row] = error
        continue
      for scorer, part in zip(scorers, parts):
        scorer.add(row, part)
    sums = np.zeros((_CHUNK, len(model.class_names)))
    for scorer in scorers:
      sums += scorer.finish()
    found = (sums / len(scorers)).astype(np.float32)
    for row in range(len(chunk)):
      yield bad.get(row, found[row])
