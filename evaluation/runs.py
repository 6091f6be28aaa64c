"""Evaluation as a whole: protocols, ensembles, and the files of results."""

import datetime
import json
import pathlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from errors import UserError, one_line
from evaluation import exact, networks, predictions, protocols, scoring
from evaluation.saving import Saving
from evaluation.test_sets import TestSet, restricted, restricted_experiment
from experiment import Experiment
from runtime import console, storage
from runtime import workdir as workdir_lib
from runtime.progress import Progress


def make_step(experiment: Experiment, also: Callable | None = None) -> Callable:
  """Returns the step of `exact.evaluate` for an experiment.

  Args:
    experiment: what to evaluate.
    also: as of `exact.make_eval_step`.
  """
  return exact.make_eval_step(
    experiment.module,
    experiment.loss,
    experiment.prepare,
    experiment.batch_sharding,
    also,
  )


def evaluate(
  experiment: Experiment,
  eval_step: Callable,
  variables: dict,
  watch: Callable[[Iterable], Iterator] = iter,
) -> dict[str, Any]:
  """Returns what `exact.evaluate` does, by the natural protocol."""
  config = experiment.config
  return exact.evaluate(
    eval_step,
    variables,
    experiment.eval_source,
    batch_size=config.eval.batch_size,
    sharding=experiment.batch_sharding,
    protocol=protocols.natural(config),
    threads=config.data.threads,
    watch=watch,
  )


def check(config: ConfigDict) -> None:
  """Refuses protocols that do not go with the data, before it is opened.

  Raises:
    UserError: names the field, its value, and the way out.
  """
  if not _is_cheap(config):
    for name in protocols.requested(config):
      chosen = protocols.create(config, name)
      protocols.check_scales(chosen, config.data.image_size)


def _is_cheap(config):
  """Whether what evaluates in training is all that is asked for."""
  if config.eval.label_sets:  # they are about all the scores of an image
    return False
  natural = protocols.requested(config) == [protocols.natural(config)]
  return natural and not config.eval.scales and not config.eval.members


def by_protocols(
  experiment: Experiment,
  variables: dict,
  path: str,
  place: pathlib.Path,
  test_set: TestSet,
  saving: Saving | None = None,
) -> dict[str, Any]:
  """Evaluates by each of `eval.protocol`; prints and files the results.

  Args:
    experiment: what to evaluate.
    variables: of its network, on all devices.
    path: where they are from.
    place: the workdir; results/ in it gets a file a protocol.
    test_set: that of the experiment.
    saving: gets what is said of each image.

  Returns:
    The result of the last protocol.

  Raises:
    UserError: a protocol that does not go with the data, bad members, or what
      is saved cannot be written.
  """
  config = experiment.config
  if _is_cheap(config):
    counted = restricted_experiment(experiment, test_set.outputs)
    result = _in_passing(counted, variables, path, saving)
    _tell(experiment, result, [path], place, test_set, saving)
    return result
  chosen = [
    protocols.create(config, name) for name in protocols.requested(config)
  ]
  names, source = experiment.train_source.class_names, experiment.eval_source
  local = jax.tree.map(lambda x: x.addressable_data(0), variables)
  first = scoring.Network(
    path,
    experiment.module,
    local,
    experiment.prepare,
    config.data.image_size,
    len(names),
    networks.scale_of(config, path),
  )
  all_of_them = [
    restricted(network, test_set.outputs)
    for network in (first, *networks.members(config, names))
  ]
  for protocol in chosen:
    for network in all_of_them:
      protocols.check_scales(protocol, network.image_size)
  for protocol in chosen:
    if saving:
      saving.start(protocol.name, source, source.class_names)
    result = scoring.evaluate(
      all_of_them,
      protocol,
      source,
      batch_size=config.eval.batch_size,
      threads=config.data.threads,
      take=saving.take if saving else None,
    )
    paths = [n.path for n in all_of_them]
    _tell(experiment, result, paths, place, test_set, saving)
  return result


def _in_passing(experiment, variables, path, saving):
  """Evaluates as training does, by the natural protocol."""
  started = time.monotonic()
  if saving is None:
    step = make_step(experiment)
    result = evaluate(experiment, step, variables, shown(experiment))
  else:
    config, source = experiment.config, experiment.eval_source
    saving.start(protocols.natural(config), source, source.class_names)
    also = predictions.of_logits(networks.scale_of(config, path))
    step = predictions.Recorder(make_step(experiment, also), saving.take)
    result = evaluate(experiment, step, variables, shown(experiment))
    step.finish()
  return result | {
    'passes': 1,
    'images_per_second': result['count'] / (time.monotonic() - started),
  }


def shown(experiment: Experiment) -> Callable[[Iterable], Iterator]:
  """Returns what passes batches on, and shows how far they are."""
  total = len(experiment.eval_source)

  def watch(batches):
    with Progress(total, quiet=jax.process_index() != 0) as progress:
      for batch in batches:
        yield batch
        progress.add(len(batch['mask']))

  return watch


def _tell(experiment, result, paths, place, test_set, saving):
  if jax.process_index() != 0:
    return
  who = paths[0]
  if len(paths) > 1:
    who = f'ensemble of {len(paths)} ({", ".join(paths)})'
  config = experiment.config
  if test_set.name:
    result['test_set'] = test_set.name
  described = exact.describe(config, result)
  console.say(f'{who}: {described}')
  content = _content(config, result, paths, test_set)
  try:
    said = f'written to {_write(config, content, place, test_set)}'
  except UserError as error:  # others' workdirs may be read-only
    said = f'not written: {error}'
  except OSError as error:
    said = f'not written: {one_line(error)}'
  console.say(said)
  if saving:
    title = described.partition(';')[0]  # without what it costs
    console.say(saving.finish(content, f'{config.model.name}, {title}'))


def _content(config, result, paths, test_set):
  other = test_set.trained_on
  return {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'networks': paths,
    **({'trained_on': other} if other else {}),
    'split': exact.split_name(config),
    'result': result,
    'config': workdir_lib.as_json(config),
    'versions': workdir_lib.versions(),
  }


def _write(config, content, place, test_set) -> pathlib.Path:
  """Writes what `tools.results` reads: one file a network and protocol."""
  result, paths = content['result'], content['networks']
  scales = '-'.join(map(str, result.get('scales', ())))
  number = f'ensemble{len(paths)}' if len(paths) > 1 else ''
  parts = (
    config.model.name,
    number,
    *test_set.file,
    '' if exact.split_name(config) == 'test' else 'held_out',
    result['protocol'],
    scales,
  )
  name = re.sub(r'[^\w.-]', '_', '.'.join(p for p in parts if p))
  directory = workdir_lib.open_directory(str(place / 'results'))
  file = directory / f'{name}.json'
  storage.write(file, json.dumps(content, indent=2) + '\n')
  return file
