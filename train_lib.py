"""Training and evaluation as a whole: from a config to its results."""

import time
from typing import Any

import jax
from ml_collections import ConfigDict

import config_lib
from configs import default
from data import mean_image, photos
from errors import DISK_FULL, UserError, one_line
from evaluation import exact, networks, protocols, runs, saving, test_sets
from experiment import (
  Experiment,
  Trained,
  check_training,
  create_experiment,
)
from recipe import freezing
from runtime import checkpoints, console, distributed, storage
from runtime import workdir as workdir_lib
from runtime.claim import Claim
from runtime.preemption import Preemption
from runtime.run_log import RunLog
from seeing import confusion
from seeing.page import report
from training import warm_start
from training.loop import Loop, newest
from training.state import TrainState, abstract_state, create_state


def train_and_evaluate(
  config: ConfigDict,
  workdir: str,
  started: float | None = None,
  preemption: Preemption | None = None,
) -> dict[str, Any]:
  """Trains to the end of the config, from wherever `workdir` stands.

  Args:
    config: as `configs/` makes it; its fields are in `configs/default.py`.
    workdir: for everything that is written; see `runtime.workdir`.
    started: time.monotonic() of the start, to report the start-up time.
    preemption: that may ask to stop.

  Returns:
    The last evaluation: 'step', 'eval/loss', 'eval/top1_error' and so on.

  Raises:
    UserError: bad input, a diverged loss, a full disk. Names the way out.
    PreemptedError: stopped as asked; all is saved.
  """
  started = time.monotonic() if started is None else started
  _check(config)
  saving.refuse_in_training(config)
  if config.report:
    report.check('report')
  place = workdir_lib.open_directory(workdir)
  _check_same(config, place)
  config, prepared = _with_preprocessing(config, place)
  added = config_lib.defaults_of_network(config)
  changed = workdir_lib.check_owner(place, config, added, trains=True)
  if workdir_lib.is_begun(place):
    mean_image.check_owner(config, place)
  experiment = create_experiment(config, trained=_trained(config, place))
  check_training(experiment)
  claim = Claim(place)
  claim.take()
  store = checkpoints.Checkpoints(
    place / 'checkpoints', config.checkpoint.keep, config.checkpoint.keep_best
  )
  try:
    state, notes = starting_state(experiment, store)
    step = int(state.step)
    if step:
      notes += _changes(changed, place, experiment)
    else:
      notes += prepared
    log = _open_log(experiment, place, state)
    for note in notes:
      log.say(note)
    try:
      loop = Loop(experiment, place, store, log, started)
      result, variables = loop.run(state, preemption or Preemption())
    finally:
      log.close()
    if config.report:
      _write_page(experiment, variables, workdir)
    return result
  except OSError as error:
    if error.errno not in DISK_FULL:
      raise
    raise UserError(
      f'{place}: {error.strerror}. Free some space; the same command continues '
      f'from the last good checkpoint ({newest(store)})'
    ) from error
  finally:
    store.close()
    claim.release()


def _write_page(experiment, variables, workdir):
  """Writes the page of `report`; whatever goes wrong costs no run."""
  try:
    file = report.of_training(experiment, variables, workdir)
    said = f'report      {file}'
  except Exception as error:  # noqa: BLE001  of any library that draws
    said = f'report      not written: {one_line(error)}'
  if jax.process_index() == 0:
    console.say(said)


def _with_preprocessing(config, place):
  """Returns the config, its `data.mean` that of `init_from` where it is ().

  And a line for a person, where images are prepared as there, or otherwise.
  """
  if workdir_lib.is_begun(place):
    path = '' if config.data.mean else str(place)
  else:
    if not config.data.mean:
      _check_start(config)
    path = config.init_from
  if not path or config.data.mean_image:
    return config, []
  there, fields = networks.as_trained(config, path), networks.PREPROCESSING
  said = networks.describe_preprocessing(there)
  if not config.data.mean:
    return there, [f'images as {path} takes them: {said}']
  if all(there.data[f] == config.data[f] for f in fields):
    return config, []
  return config, [
    f'images are prepared otherwise than for {path}, by this config: there '
    f'{said}'
  ]


def _trained(config, place) -> Trained | None:
  """Returns what the data must fit: the run itself, or where it starts from."""
  if workdir_lib.is_begun(place):
    record = workdir_lib.read_classes(place)
    return record and Trained(
      f'the run in {place}', record[0], 'Choose another --workdir'
    )
  new_head = config.init_layers or config.init_head == 'new'
  if not config.init_from or new_head:
    return None
  record = networks.trained_classes(config.init_from)
  return record and Trained(
    f"init_from '{config.init_from}'",
    record[0],
    'With --config.init_head=new all but the classifier is taken',
  )


def _changes(changed, place, experiment) -> list[str]:
  """Returns lines for what is not as it was at the last start."""
  usual = workdir_lib.flatten(workdir_lib.as_json(default.get_config()))
  lines = [
    f'changed since the last start: {field} {old} -> {new}'
    for field, (old, new) in changed.items()
    # A field that is newer than the run, and does nothing.
    if not (old == 'nothing' and field in usual and new == usual[field])
  ]
  old, new = workdir_lib.train_examples(place), len(experiment.train_source)
  if old not in (0, new):
    lines.append(
      f'changed since the last start: {old:,} -> {new:,} examples to train on; '
      'they come in another order from here on'
    )
  return lines


def _check(config):
  config_lib.check(config, jax.device_count())
  protocols.requested(config)
  test_sets.check(config)


def _check_same(config, place):
  files = {'the file of data.mean_image': mean_image.digest(config)}
  distributed.check_same(config, place, files)


def starting_state(
  experiment: Experiment, store: checkpoints.Checkpoints
) -> tuple[TrainState, list[str]]:
  """Returns the state to go on from, and what a person should know of it.

  Own checkpoints come first, then `init_from`, then a fresh initialisation.
  """
  target = abstract_state(experiment)
  if (found := store.restore_latest(target)) is not None:
    state, notes = found
    return state, [*notes, f'continues from {store.path(int(state.step))}']
  config = experiment.config
  _check_start(config)
  state = create_state(experiment)
  if not config.init_from:
    return state, []
  return warm_start.start_from(experiment, state)


def _check_start(config):
  """Refuses a config that starts from elsewhere, and does not say where."""
  wanted = config.init_required
  if config.init_layers and not wanted:
    wanted = (
      f'a trained network with the layers {", ".join(config.init_layers)}'
    )
  if config.init_head == 'new' and not wanted:
    wanted = 'a trained network, of which init_head=new takes all but the head'
  if not config.data.mean and not wanted:
    wanted = 'a trained network, whose preprocessing an empty data.mean is'
  if wanted and not config.init_from:
    raise UserError(f'this recipe starts from {wanted}: set --config.init_from')


def _open_log(experiment, place, state):
  main, step = jax.process_index() == 0, int(state.step)
  if main:
    workdir_lib.record_start(place, experiment.config, step)
    mean_image.record(experiment.config, place)
    source = experiment.train_source
    workdir_lib.record_classes(
      place, source.class_names, source.image_shape, len(source)
    )
  batch_size = experiment.config.train.batch_size
  log = RunLog(place, step, experiment.steps, batch_size, writes=main)
  log.say(f'workdir     {place}')
  log.say(f'start       {_describe(experiment, state)}')
  if experiment.learning.frozen:
    said = freezing.describe(experiment.learning, state.params)
    held = sum(x.nbytes for x in jax.tree.leaves(state.opt_state)) / 1e6
    log.say(f'frozen      {said}; optimizer state {held:.2f} MB')
  for note in _data_notes(experiment):
    log.say(note)
  return log


def _data_notes(experiment):
  name = exact.split_name(experiment.config)
  splits = {'train': experiment.train_source, name: experiment.eval_source}
  return [
    f'data        {split}: {note}'
    for split, source in splits.items()
    for note in photos.notes(source)
  ]


def _describe(experiment, state):
  config, devices = experiment.config, jax.devices()
  parameters = sum(x.size for x in jax.tree.leaves(state.params))
  return (
    f'{config.model.name} ({parameters:,} parameters), '
    f'{exact.data_name(config)} '
    f'({len(experiment.train_source):,} + {len(experiment.eval_source):,} '
    f'images), {experiment.steps:,} steps of {config.train.batch_size}, '
    f'{len(devices)} x {devices[0].device_kind}'
  )


def evaluate_only(config: ConfigDict, workdir: str) -> dict[str, Any]:
  """Evaluates the newest checkpoint of `workdir`, or `init_from`.

  Writes the results to `workdir`/results, and what `eval.save` names. Raises
  UserError as `train_and_evaluate`.

  Returns:
    What `evaluation.exact.evaluate` returns, for the last of the protocols.
  """
  _check(config)
  if config.profile:
    raise UserError(
      f"profile '{config.profile}' is of steps of training: leave it out with "
      '--mode=eval'
    )
  runs.check(config)
  if config.eval.save:
    confusion.check()
  place = storage.path(workdir)
  _check_same(config, None)
  with saving.opened(config, confusion.draw) as saves:
    return _evaluate(config, place, saves)


def _evaluate(config, place, saves):
  added = config_lib.defaults_of_network(config)
  workdir_lib.check_owner(place, config, added)
  path = config.init_from or str(place)
  given, config = config.data, networks.as_trained(config, path)
  config = networks.with_parts(config, path)
  other = any(config.data[f] != given[f] for f in networks.PREPROCESSING)
  if other and jax.process_index() == 0:
    console.say(f'{path}: {networks.describe_preprocessing(config)}')
  say = console.say if jax.process_index() == 0 else lambda text: None
  test_set = test_sets.open_for(config, path, say)
  splits = test_set.train, test_set.test
  experiment = create_experiment(config, splits=splits)
  for note in _data_notes(experiment):
    say(note)
  if test_set.line:
    say(f'data        test: {test_set.line}')
  if test_set.variables is None:
    variables = warm_start.load_variables(experiment, path, say)
  else:
    variables = jax.device_put(test_set.variables, experiment.replicated)
  return runs.by_protocols(experiment, variables, path, place, test_set, saves)
