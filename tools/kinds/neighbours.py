"""The nearest training images by a hidden layer: AlexNet, Figure 4, right.

Of PHOTOS, of test images by number (--examples), or of --number drawn at random
(--seed): the --nearest of the training set, or with --split=test of the others
in the test split, by Euclidean distance in --layer, by default the last before
the classifier. Green is the query's own class, red another. The places by
pixels say how far the same images are there.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict

import experiment
import zoo
from data.sources import Source
from errors import UserError
from evaluation import features, inference
from evaluation.features import Extractor, Item
from evaluation.inference import Model
from runtime import console
from runtime.progress import Progress
from seeing import answers, neighbours
from seeing.drawn import neighbours as drawing_neighbours
from seeing.drawn.neighbours import Tile
from seeing.neighbours import Found
from tools import predict
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind
from zoo import intermediates

_NEAREST = flags.DEFINE_integer('nearest', 6, 'images found for each')
_NUMBER = 5  # as in the paper
_TITLE = 24  # letters of a file's name, its end


class Query(NamedTuple):
  """An image whose neighbours are looked for."""

  title: str
  view: np.ndarray  # uint8 [H, W, C], as the network's protocol cuts it
  label: str = ''  # as the data name it; '': not known
  own: int = -1  # its number in the set; -1: not in it


class Set(NamedTuple):
  """Where neighbours are looked for."""

  split: str
  source: Source
  read: Callable[[int], Item]


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns a row a query with what is near, and distances and places."""
  inputs.number(1, 1)  # refuses before anything is read
  if _NEAREST.value < 1:
    raise UserError(f'--nearest is {_NEAREST.value}: at least 1')
  found = predict.find(files) if files else []
  model = inputs.network(config)
  layer = _layer(config, model)
  where = _set(config, model)
  if files:
    queries = _photos(config, model, found)
  else:
    queries = _tested(config, model, where)
  extractor = Extractor(model.networks[0], [layer])
  near = _search(config, extractor, layer, queries, where)
  names = where.source.class_names
  words = inference.as_words(names)
  rows = []
  for query, numbers in zip(queries, near.numbers):
    shown = dict(zip(names, words)).get(query.label, query.label)
    row = [Tile(query.view, shown or query.title[-_TITLE:])]
    for n in numbers:
      same = names[near.labels[n]] == query.label if query.label else None
      view = _seen(where.read(n))
      row.append(Tile(view, words[near.labels[n]], same))
    rows.append(row)
  return Drawn(
    drawing_neighbours.grid(rows), _said(queries, near, where, layer, words)
  )


def _layer(config, model: Model) -> str:
  network = model.networks[0]
  channels = zoo.image_shape(config.model.name)[-1]
  shape = (network.image_size, network.image_size, channels)
  known = zoo.layer_shapes(network.module, shape)
  if len(chosen := options.LAYER.value) > 1:
    raise UserError(f'--layer={",".join(chosen)}: one layer, not {len(chosen)}')
  try:
    intermediates.check_layers(chosen, known)
  except ValueError as error:
    raise UserError(f'--layer: {error}') from None
  return chosen[0] if chosen else list(known)[-2]


def _set(config, model) -> Set:
  split = options.SPLIT.value or 'train'
  source = experiment.create_source(config, split)
  most = len(source) - (split == 'test')  # less the query itself
  if most < _NEAREST.value:
    raise UserError(
      f'the {split} split has {len(source):,} images: too few for '
      f'--nearest={_NEAREST.value} of each'
    )
  return Set(split, source, _read(config, model, source))


def _read(config, model, source):
  size = model.networks[0].image_size
  return features.of_source(source, inputs.natural(config), size)


def _photos(config, model, found) -> list[Query]:
  read = features.of_files(found, model, inputs.natural(config))
  return [Query(name, _seen(read(i))) for i, (name, _) in enumerate(found)]


def _seen(item: Item) -> np.ndarray:
  if isinstance(item.view, Exception):
    raise UserError(predict.why(item.key, item.view))
  return item.view


def _tested(config, model, where: Set) -> list[Query]:
  source = experiment.create_source(config, 'test')
  if words := options.EXAMPLES.value:
    chosen = inputs.numbers('examples', words, len(source))
  else:
    chosen = inputs.drawn(len(source), _NUMBER)
  read = _read(config, model, source)
  items = [read(number) for number in chosen]
  return [
    Query(
      str(number), _seen(item), source.class_names[item.label],
      number if where.split == 'test' else -1,
    )
    for number, item in zip(chosen, items)
  ]  # fmt: skip


def _search(config, extractor, layer, queries, where) -> Found:
  size = answers.batch_size(config.data.image_size, len(where.source))
  views = [Item(q.title, q.view) for q in queries]
  batches = features.stream(
    extractor, views.__getitem__, len(views), batch_size=size
  )
  own = np.concatenate([batch.features[layer] for batch in batches])
  pixels = neighbours.Pixels([q.view for q in queries], len(where.source))
  watch = neighbours.Watch(where.read, pixels)
  with Progress(len(where.source)) as progress:

    def counted():
      for batch in features.stream(
        extractor, watch, len(where.source),
        batch_size=size, threads=config.data.threads,
      ):  # fmt: skip
        yield batch
        progress.add(len(batch.keys) + len(batch.bad))

    found = neighbours.search(
      counted(), layer, own, watch, pixels, _NEAREST.value,
      [q.own for q in queries],
    )  # fmt: skip
  for name, error in found.bad:
    console.say(f'left out: {predict.why(name, error)}')
  if found.numbers.shape[1] < _NEAREST.value:
    raise UserError(
      f'of the {where.split} split {found.numbers.shape[1]} images could be '
      f'read: too few for --nearest={_NEAREST.value}'
    )
  return found


def _said(queries, found: Found, where, layer, words) -> list[str]:
  total = len(where.source)
  said = []
  for i, query in enumerate(queries):
    label = f' ({query.label})' * bool(query.label)
    near = ', '.join(
      f'{words[found.labels[n]]} (no. {n}, {d:.3g}'
      + f', place {rank:,} by pixels' * bool(rank)
      + ')'
      for n, d, rank in zip(
        found.numbers[i], found.distances[i], found.ranks[i]
      )
    )
    said.append(f'{query.title}{label}: {near}')
  return said + _totals(queries, found, where, layer, total)


def _totals(queries, found: Found, where, layer, total) -> list[str]:
  names = np.array(where.source.class_names)
  count = found.numbers.size
  known = [i for i, q in enumerate(queries) if q.label]
  ranked = found.ranks.all()

  def same(numbers):
    return sum(
      (names[found.labels[numbers[i]]] == queries[i].label).sum() for i in known
    )

  said = [f'the {total:,} {where.split} images by {layer}']
  if known:
    said[0] += f': {same(found.numbers)} of {count} found are of the same class'
    if ranked:
      said[0] += f'; of the nearest by pixels, {same(found.by_pixels)}'
  if ranked:
    among = (found.ranks <= found.ranks.shape[1]).sum()
    said.append(
      f'their places by pixels: median {np.median(found.ranks):,.0f} of '
      f'{total:,}, {among} of {count} among the {found.ranks.shape[1]} nearest'
    )
  return said


KIND = Kind(
  draw,
  (
    *options.NETWORK, options.EXAMPLES, options.NUMBER, options.SEED,
    options.SPLIT, options.LAYER, _NEAREST,
  ),
  takes='PHOTOS',
)  # fmt: skip
