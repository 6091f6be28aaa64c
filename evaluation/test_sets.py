"""Test sets whose classes or labels are not those of the training.

A network is evaluated on whatever images are of its classes: `data.classes` has
the ways in which theirs are found among its own. Where they are a part of
these, `eval.other_classes` decides about the rest:

    keep        all scores stay in the ranking: the network as it is, of which
                its validation error is too
    leave_out   as if the network had only the outputs of the test set's
                classes, before the softmax. For ImageNet-A and ImageNet-R,
                whose authors do so with their 200 (eval.py of
                hendrycks/natural-adv-examples and of hendrycks/imagenet-r)

`eval.label_sets` puts sets of labels in the place of labels: `data.label_sets`.
The preprocessing stays that of the network.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

import zoo
from configs.imagenet import IMAGES
from data import classes, parts, sources
from data import label_sets as sets_lib
from data.imagenet_words import imagenet_ids
from data.photos import Photos
from errors import UserError, closest
from evaluation import exact, networks
from evaluation.scoring import Network
from experiment import Experiment, as_source, create_source
from runtime import workdir as workdir_lib

OTHER_CLASSES = ('keep', 'leave_out')
# Options of a data set that say which images are its test split.
_OF_TEST = ('builder', 'test_split', 'test_folder', 'labels')


class TestSet(NamedTuple):
  """What a network is evaluated on, and how that is called."""

  train: sources.Source  # only the network's classes and the shape of an image
  test: sources.Source
  outputs: tuple[int, ...]  # of the network that count; (): all
  variables: dict[str, Any] | None  # of the network, where they were read
  line: str  # what was matched; '' where nothing had to be
  name: str  # '': the test split of the training, all its classes
  file: tuple[str, ...]  # the same, as parts of the name of a file
  trained_on: dict[str, Any]  # other data than the config's: their record


class _Classes(NamedTuple):
  """Of a network."""

  names: tuple[str, ...]
  train: sources.Source
  variables: dict[str, Any] | None = None


class NotRead:
  """A training split that evaluation has no need of.

  Args:
    class_names: of the network.
    image_shape: that it was trained on.
    examples: their number.
  """

  def __init__(
    self,
    class_names: Sequence[str],
    image_shape: tuple[int, ...],
    examples: int,
  ):
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)
    height, width, channels = image_shape
    self.image_shape = (height, width, channels)
    self._examples = examples

  def __len__(self):
    return self._examples

  def batch(self, indices, positions=None):
    """See `sources.Source`."""
    raise AssertionError('evaluation reads no training images')

  def count_classes(self):
    """See `sources.Source`."""
    return


class Restricted(nn.Module):
  """A network that has some of its outputs only, in the order given."""

  network: nn.Module
  outputs: tuple[int, ...]

  def setup(self):
    """Takes the variables of the network as they are."""
    nn.share_scope(self, self.network)

  def __call__(self, images, train=False):
    """As the network's; the last axis has `outputs`."""
    return self.network(images, train=train)[..., np.array(self.outputs)]


def check(config: ConfigDict) -> None:
  """Refuses what cannot be meant, before any data is opened.

  Raises:
    UserError: names the field, its value, and the way out.
  """
  chosen = config.eval.other_classes
  if chosen not in OTHER_CLASSES:
    raise UserError(
      f"eval.other_classes '{chosen}' is unknown."
      f'{closest(chosen, OTHER_CLASSES)}'
    )
  if config.eval.label_sets and chosen != 'keep':
    raise UserError(
      f"eval.other_classes '{chosen}' does not go with eval.label_sets: any "
      'class may be in a set of labels. Set keep'
    )


def open_for(
  config: ConfigDict, path: str, say: Callable[[str], None]
) -> TestSet:
  """Opens the test split of a config for the network at a path.

  Args:
    config: with the network's preprocessing: `networks.as_trained`.
    path: of its variables: a workdir, a checkpoint, a file of weights.
    say: is told what was done to a file of weights.

  Raises:
    UserError: names the class that is none of the network's, or what else is
      wrong with data and fields.
  """
  known = _recorded(path) or _imagenets(config, path, say)
  if known is None:
    known = _of_data(config)
  elif known.variables is not None and _are_others(config, known.names):
    known = _of_data(config)._replace(variables=known.variables)
  data, record = config.data, _data_record(path)
  if config.eval.label_sets:
    found, line = _with_label_sets(config, known.names, path), ''
    outputs, rule = (), f'labels of {pathlib.Path(config.eval.label_sets).name}'
    rules = (pathlib.Path(config.eval.label_sets).stem,)
  else:
    found = sources.create_test(
      data.name, data.dir, known.names, **_options(config)
    )
    found, outputs, line, rule = _matched(config, found, known.names, path)
    rules = (rule.replace(' classes, others', ''),) * bool(rule)
  test = as_source(config, 'test', found)
  _check_shape(config, known.train.image_shape, test.image_shape, path)
  name, where = _name(config, record)
  if rule and not name:
    name = f'{exact.data_name(config)} {exact.split_name(config)}'
  if rule:
    name += f' ({rule})'
  return TestSet(
    known.train, test, outputs, known.variables, line, name, (*where, *rules),
    _trained_on(data, record),
  )  # fmt: skip


def _recorded(path):
  """Returns the classes that a run, or tools.publish, has put on record."""
  if (record := networks.trained_classes(path)) is None:
    return None
  names, shape = record
  examples = workdir_lib.train_examples(workdir_lib.record_of(path))
  return _Classes(names, NotRead(names, shape, examples or IMAGES))


def _imagenets(config, path, say):
  """Returns ImageNet's classes for other people's weights of 1000 outputs."""
  if not networks.is_file(path):
    return None
  names = imagenet_ids()
  notes: list[str] = []
  try:
    variables = networks.read_file(config, path, len(names), notes.append)
  # Of other outputs, or of a network that cannot have so many, as LeNet-5:
  # those of the data, or refused there.
  except (UserError, ValueError):
    return None
  for note in notes:
    say(note)
  shape = zoo.image_shape(config.model.name)
  return _Classes(names, NotRead(names, shape, IMAGES), variables)


def _of_data(config):
  """Returns the classes of the data, for a network that has no record."""
  train = create_source(config, 'train')
  return _Classes(tuple(train.class_names), train)


def _are_others(config, names):
  """Whether the data have as many classes as ImageNet, but not these.

  Weights of 1000 outputs, with no record of their names, are then of the data.
  """
  try:
    train = create_source(config, 'train')
  except UserError:
    return False
  if train.num_classes != len(names):
    return False
  try:
    classes.match(train.class_names, names, '')
  except UserError:
    return True
  return False


def _matched(config, found, names, path):
  """Returns (split in the network's classes, outputs, line, rule)."""
  counts = found.count_classes()
  leave_out = config.eval.other_classes == 'leave_out'
  if counts is None and leave_out:
    counts = _count(found)
  here = found.class_names
  there = list(range(len(here)))
  if counts is not None:
    there = np.flatnonzero(counts).tolist()
  match = classes.match([here[i] for i in there], names, path)
  others = len(names) - len(match.numbers)
  outputs = tuple(sorted(match.numbers)) if others and leave_out else ()
  kept = outputs or range(len(names))
  if len(kept) < 2:
    raise UserError(
      f"eval.other_classes 'leave_out' leaves one class, '{names[kept[0]]}': "
      'nothing to tell it from. Set keep'
    )
  place = {number: i for i, number in enumerate(kept)}
  numbers = [-1] * len(here)
  for i, number in zip(there, match.numbers):
    numbers[i] = place[number]
  found = sources.renumbered(found, numbers, [names[n] for n in kept])
  if not others and set(names) >= {here[i] for i in there}:
    return found, outputs, '', ''
  line = f'{len(match.numbers):,} of {len(names):,} classes, by {match.how}'
  if not others:
    return found, outputs, line, ''
  what = 'left out' if leave_out else 'kept'
  line += f'; the scores of the other {others:,} are {what}'
  if not leave_out:
    line += ' (eval.other_classes)'
  rule = f'{len(match.numbers)} of {len(names)} classes, others {what}'
  return found, outputs, line, rule


def _options(config):
  """Returns the options of the data set for what `eval.split` says."""
  return parts.of_split(config.data.options, 'test', config.eval.split)


def _count(found):
  """Counts the images of each class, by reading them."""
  counts = np.zeros(found.num_classes, np.int64)
  if isinstance(found, Photos):
    for photo in sets_lib.each(found):
      counts[photo.label] += 1
  else:
    for i in range(len(found)):
      counts[found.batch(np.array([i]))['label'][0]] += 1
  return counts


def _with_label_sets(config, names, path):
  data, file = config.data, config.eval.label_sets
  sets_lib.read(file)
  if not (order := classes.order_of_imagenet(names)):
    raise UserError(
      f"eval.label_sets '{file}' counts in ImageNet's 1000 classes; {path} has "
      f'{len(names):,} others'
    )
  found = sources.create_test(
    data.name, data.dir, names, labelled=False, **_options(config)
  )
  if not isinstance(found, Photos):
    raise UserError(
      f"eval.label_sets '{file}' goes by the names of photographs: the images "
      f"of data.name '{data.name}' have none"
    )
  return sets_lib.Labelled(found, file, order, names)


def _check_shape(config, trained, here, path):
  size, name = config.data.image_size, config.data.name
  if here[-1] != trained[-1]:
    raise UserError(
      f"data.name '{name}' has images of {here[-1]} channel"
      f'{"s" * (here[-1] > 1)}, {path} takes {trained[-1]}'
    )
  if max(here[:2]) > size:
    raise UserError(
      f"data.name '{name}' has images of {here[0]}x{here[1]}, larger than the "
      f"network's input, data.image_size {size}"
    )


def _data_record(path):
  """Returns the section `data` of who trained; {} where it is not known."""
  record = workdir_lib.read_config(workdir_lib.record_of(path))
  return record.get('data', {})


def _name(config, record):
  """Returns how a test set is called, '' for that of the training; its file.

  Without a record the weights are ImageNet's.
  """
  data, own = config.data, exact.data_name(config)
  record = record or {'name': 'imagenet2012'}
  theirs = record.get('options') or {}
  mine = {k: v for k, v in data.options.items() if k in _OF_TEST}
  same_place = data.name != 'folder' or _same(data.dir, record.get('dir', ''))
  if (
    data.name == record['name']
    and same_place
    and all(theirs.get(k, v) == v for k, v in mine.items())
  ):
    return '', (own,)
  mine.pop('builder', None)  # it is in that name already
  where = [pathlib.Path(os.path.abspath(data.dir)).name] * (
    data.name == 'folder'
  )
  where += [str(v) for k, v in sorted(mine.items()) if v]
  if not where:
    return f'{exact.data_name(config)} {exact.split_name(config)}', (own,)
  return ' '.join((own, *where)), (own, *where)


def _same(one, other):
  return os.path.abspath(one) == os.path.abspath(other)


def _trained_on(data, record):
  """Returns name and options of the training's data, where they are others."""
  options = workdir_lib.as_json(data).get('options') or {}
  theirs = record.get('options') or {}
  if not record or (record['name'], theirs) == (data.name, options):
    return {}
  return {'name': record['name'], 'options': theirs}


def restricted(network: Network, outputs: tuple[int, ...]) -> Network:
  """Returns a network with these of its outputs; (): with all."""
  if not outputs:
    return network
  return network._replace(
    module=Restricted(network.module, outputs), num_classes=len(outputs)
  )


def restricted_experiment(
  experiment: Experiment, outputs: tuple[int, ...]
) -> Experiment:
  """Returns an experiment whose network has these outputs; (): all."""
  if not outputs:
    return experiment
  module = Restricted(experiment.module, outputs)
  return dataclasses.replace(experiment, module=module)
