"""Training and evaluation as a whole: from a config to its results."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import config_lib
import input_pipeline
from data import mean_image
from data.photos import Cropped
from errors import DISK_FULL, UserError
from evaluation import exact, networks, protocols, runs
from experiment import Experiment, check_training, create_experiment
from runtime import checkpoints, distributed, storage
from runtime import workdir as workdir_lib
from runtime.preemption import PreemptedError, Preemption
from runtime.run_log import FIRST_LOSS, Clock, RunLog
from training import curvature, warm_start
from training.divergence import Watch
from training.state import TrainState, abstract_state, create_state
from training.statistics import recompute_statistics
from training.train_step import make_train_step


@jax.jit
def _all_finite(state):
  leaves = [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
  return jnp.stack(leaves).all()


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
  place = workdir_lib.open_directory(workdir)
  _check_same(config, place)
  added = config_lib.defaults_of_network(config)
  changed = workdir_lib.check_owner(place, config, added)
  if workdir_lib.is_begun(place):
    mean_image.check_owner(config, place)
  experiment = create_experiment(config)
  check_training(experiment)
  store = checkpoints.Checkpoints(
    place / 'checkpoints', config.checkpoint.keep, config.checkpoint.keep_best
  )
  try:
    state, notes = starting_state(experiment, store)
    step = int(state.step)
    if step:
      notes += [
        f'changed since the last start: {field} {old} -> {new}'
        for field, (old, new) in changed.items()
      ]
    log = _open_log(experiment, place, state)
    for note in notes:
      log.say(note)
    try:
      loop = _Loop(experiment, place, store, log, started)
      return loop.run(state, preemption or Preemption())
    finally:
      log.close()
  except OSError as error:
    if error.errno not in DISK_FULL:
      raise
    raise UserError(
      f'{place}: {error.strerror}. Free some space; the same command continues '
      f'from the last good checkpoint ({_newest(store)})'
    ) from error
  finally:
    store.close()


def _check(config):
  config_lib.check(config, jax.device_count())
  protocols.requested(config)


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
  wanted = config.init_required
  if config.init_layers and not wanted:
    wanted = (
      f'a trained network with the layers {", ".join(config.init_layers)}'
    )
  if wanted and not config.init_from:
    raise UserError(
      f'this recipe starts from {wanted}: set --config.init_from to its workdir'
    )
  state = create_state(experiment)
  if not config.init_from:
    return state, []
  return warm_start.start_from(experiment, state)


def _open_log(experiment, place, state):
  main, step = jax.process_index() == 0, int(state.step)
  if main:
    workdir_lib.record_start(place, experiment.config, step)
    mean_image.record(experiment.config, place)
    source = experiment.train_source
    workdir_lib.record_classes(place, source.class_names, source.image_shape)
  batch_size = experiment.config.train.batch_size
  log = RunLog(place, step, experiment.steps, batch_size, writes=main)
  log.say(f'workdir     {place}')
  log.say(f'start       {_describe(experiment, state)}')
  return log


def _describe(experiment, state):
  config, devices = experiment.config, jax.devices()
  parameters = sum(x.size for x in jax.tree.leaves(state.params))
  return (
    f'{config.model.name} ({parameters:,} parameters), {config.data.name} '
    f'({len(experiment.train_source):,} + {len(experiment.eval_source):,} '
    f'images), {experiment.steps:,} steps of {config.train.batch_size}, '
    f'{len(devices)} x {devices[0].device_kind}'
  )


def _newest(store):
  steps = store.steps()
  return store.path(steps[0]) if steps else 'none yet'


def evaluate_only(config: ConfigDict, workdir: str) -> dict[str, Any]:
  """Evaluates the newest checkpoint of `workdir`, or `init_from`.

  Writes the results to `workdir`/results. Raises UserError as
  `train_and_evaluate`.

  Returns:
    What `evaluation.exact.evaluate` returns, for the last of the protocols.
  """
  _check(config)
  runs.check(config)
  place = storage.path(workdir)
  _check_same(config, None)
  added = config_lib.defaults_of_network(config)
  workdir_lib.check_owner(place, config, added)
  path = config.init_from or str(place)
  given, config = config.data, networks.as_trained(config, path)
  data = config.data
  other = any(data[f] != given[f] for f in networks.PREPROCESSING)
  if other and jax.process_index() == 0:
    print(f'{path}: channels {data.order}, mean {data.mean}, std {data.std}')
  experiment = create_experiment(config)
  variables = warm_start.load_variables(experiment, path)
  return runs.by_protocols(experiment, variables, path, place)


class _Loop:
  """The train loop: dispatches ahead, reads metrics one step late."""

  def __init__(self, experiment, place, store, log, started):
    self.experiment, self.place = experiment, place
    self.store, self.log, self.started = store, log, started
    self.config = experiment.config
    self.eval_step = runs.make_step(experiment)
    self.clock = Clock(self.config.train.batch_size)
    classes = experiment.eval_source.num_classes
    self.watch = Watch(classes, log.first_loss)
    self.read = 0  # the step whose metrics were read last

  def run(self, state: TrainState, preemption: Preemption) -> dict[str, Any]:
    """Trains to the last step; returns the last evaluation."""
    self.preemption = preemption
    first = step = self.read = int(state.step)
    last = self.experiment.steps
    try:
      if step and self._evaluation_due(step) and not self.store.evaluated(step):
        # preempted before it was done
        state = self._evaluate_and_save(state, step)
      if step < last:
        state, step = self._train(state, step, last)
    finally:  # those since the last line, whatever ends the run
      if replaced := self._replaced():
        self.log.write(self.read, replaced)
    self.store.wait()
    self._report(first, step)
    return self.log.last_eval or {}

  def _train(self, state, step, last):
    train_step = make_train_step(self.experiment)
    refresh = curvature.make_refresh(self.experiment)
    together = self.config.train.steps_per_call
    if step % together:
      raise UserError(
        f'train.steps_per_call is {together}: the run stands at step {step}, '
        'which is no multiple of it'
      )
    batches = input_pipeline.train_batches(
      self.experiment.train_source,
      self.config.train.batch_size,
      seed=self.config.seed,
      start=step,
      stop=last,
      sharding=self.experiment.batch_sharding,
      threads=self.config.data.threads,
      together=together,
    )
    unread = None
    self.clock.start()
    for batch in self.clock.waiting(batches):
      if refresh and (step == 0 or self.experiment.due('1 epoch', step)):
        state = self._refreshed(refresh, state, step)
      state, metrics = train_step(state, batch)
      step += together
      self.preemption.step_taken()
      if unread:
        self._read(*unread)
      unread = step, metrics
      stop = self.preemption.agreed()
      if stop or self._evaluation_due(step) or self._save_due(step):
        self._read(*unread)
        unread = None
        with self.clock.paused():
          state = self._evaluate_and_save(state, step, stop)
    return state, step

  def _refreshed(self, refresh, state, step):
    """Estimates the curvature of a pass; says which rates come of it."""
    state, rates = refresh(state, step)
    # Of the step to come: a run that continues here writes it again.
    self.log.write(step + 1, rates)
    low, high = rates.values()
    batch, examples = self.config.train.batch_size, self.experiment.train_source
    said = f'pass {step * batch // len(examples) + 1}: effective rates '
    said += f'{low:.1e} to {high:.1e}'
    self.log.say(said + ' (paper: 7e-05 to 0.016)' * (step == 0))
    return state

  def _evaluation_due(self, step):
    due = self.experiment.due(self.config.eval.every, step)
    return due or step == self.experiment.steps

  def _save_due(self, step):
    return self.experiment.due(self.config.checkpoint.every, step)

  def _read(self, last, metrics):
    """Takes the metrics of a call from the device; stops if it diverged."""
    metrics = jax.device_get(metrics)
    if not np.ndim(metrics['loss']):
      self._read_step(last, metrics)
      return
    first = last + 1 - len(metrics['loss'])
    for i in range(len(metrics['loss'])):
      self._read_step(first + i, {k: v[i] for k, v in metrics.items()})

  def _read_step(self, step, metrics):
    loss = float(metrics['loss'])
    self.read = step
    self.clock.step_done()
    if not np.isfinite(loss):
      raise self._diverged(f'loss is {loss} at step {step}')
    self.log.progress(step, loss, self.clock)
    if step == 1:
      self.watch.first_loss = loss
      self.log.write(step, {FIRST_LOSS: loss})
    if self.started is not None:
      seconds = time.monotonic() - self.started
      self.started = None
      self.log.say(f'first step done {seconds:.1f} s after the start')
      self.clock.start()  # compilation is not part of the rate
      self.log.write(step, {'time/startup_seconds': round(seconds, 3)})
    self._warn(step, self.watch.loss(loss))
    if step % self.config.train.log_every == 0 or step == self.experiment.steps:
      values = {f'train/{k}': float(v) for k, v in metrics.items()}
      lap = self.clock.lap()
      self.log.write(step, {**values, **lap, **self._replaced()})

  def _warn(self, step, wrong):
    """Says what is wrong with a run whose numbers are finite, or ends it."""
    if wrong is None:
      return
    if self.config.train.stop_if_diverged:
      raise self._diverged(f'step {step}: {wrong}')
    self.log.write(step, {'diverged': wrong})
    self.log.say(
      f'DIVERGED?   step {step}: {wrong}. A smaller optimizer.learning_rate '
      f'may help ({self.config.optimizer.learning_rate} now); '
      '--config.train.stop_if_diverged ends such a run'
    )

  def _replaced(self):
    """Says which photographs were replaced, and returns their number."""
    source = self.experiment.train_source
    if not isinstance(source, Cropped) or not (keys := source.replaced()):
      return {}
    self.log.say(
      f'step {self.read}: {len(keys)} photographs could not be decoded and '
      f'were replaced by the next one: {", ".join(keys[:3])}'
      + ', ...'
      * (len(keys) > 3)
    )
    # They are read ahead of the step: not a function of it alone.
    return {'time/replaced_photographs': len(keys)}

  def _diverged(self, what):
    return UserError(
      f'{what}: training diverged. Last good checkpoint: '
      f'{_newest(self.store)}. A smaller optimizer.learning_rate may help '
      f'({self.config.optimizer.learning_rate} now)'
    )

  def _evaluate_and_save(self, state, step, stop=False):
    """Does what is due after a step; with `stop`, only saves and leaves.

    Returns the state, changed where the schedule heeds the evaluation.

    An evaluation that a stop cuts short, or does not let begin, is missing in
    the manifest of the checkpoint: `run` makes up for it, and the checkpoint
    is replaced.
    """
    if not _all_finite((state.params, state.model_state)):
      raise self._diverged(f'a parameter is not finite after step {step}')
    result, best = None, self.log.best
    if self._evaluation_due(step) and not stop:
      try:
        state, result = self._evaluated(state, step)
      except PreemptedError:
        stop = True
      else:
        wrong = self.watch.error(
          result['top1_error'], best and best['eval/top1_error']
        )
        self._warn(step, wrong)
    better = (
      result is not None
      and self.config.checkpoint.keep_best > 0
      and (best is None or result['top1_error'] < best['eval/top1_error'])
    )
    wanted = stop or better or self._save_due(step)
    if wanted or step == self.experiment.steps:
      self.log.flush()  # a continued run does not write these lines again
      self.store.save(step, state, result)
    if stop:
      self.store.wait()
      raise PreemptedError(
        f'saved {self.store.path(step)}; the same command continues'
      )
    return state

  def _evaluated(self, state, step):
    if step == self.experiment.steps:
      state = recompute_statistics(
        self.experiment, state, self.preemption.watch
      )
    result = self._evaluate(state, step)
    opt_state = self.experiment.rate.observe(
      state.opt_state, result['top1_error']
    )
    return state._replace(opt_state=opt_state), result

  def _evaluate(self, state, step):
    result = runs.evaluate(
      self.experiment, self.eval_step, state.variables, self.preemption.watch
    )
    if (self.log.last_eval or {}).get('step') == step:
      return result  # a kill came between this line and the checkpoint
    self.log.write(step, {f'eval/{k}': v for k, v in result.items()})
    examples = len(self.experiment.train_source)
    epoch = step * self.config.train.batch_size / examples
    said = exact.describe(self.config.data, result)
    self.log.say(f'epoch {epoch:.1f}, step {step}: {said}')
    return result

  def _report(self, first, step):
    def of(line):
      result = {k.removeprefix('eval/'): v for k, v in line.items()}
      said = exact.describe(self.config.data, result)
      return f'{said}, step {line["step"]}'

    log, experiment = self.log, self.experiment
    if step > first:
      log.say(f'done        steps {first} to {step}; {self.clock.summary()}')
    else:
      log.say(
        f'done        at step {step} of {experiment.steps} already: raise '
        '--config.train.steps or --config.train.epochs to go on'
      )
    if log.last_eval:
      log.say(f'final       {of(log.last_eval)}')
      log.say(f'best        {of(log.best)}')
    log.say(f'checkpoint  {_newest(self.store)}')
    log.say(f'logs        {self.place}: metrics.jsonl, TensorBoard events')
