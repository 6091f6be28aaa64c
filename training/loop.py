"""The train loop: steps, and what happens between them."""

import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
from data.photos import Cropped
from errors import UserError
from evaluation import exact, runs
from experiment import Experiment
from runtime import checkpoints, profiling
from runtime.clock import Clock
from runtime.preemption import PreemptedError, Preemption
from runtime.progress import Progress
from runtime.run_log import FIRST_LOSS, RunLog
from training import curvature
from training.divergence import Watch
from training.state import TrainState
from training.statistics import are_due, batches_of, recompute_statistics
from training.tally import Tally
from training.train_step import make_train_step


@jax.jit
def _all_finite(state):
  leaves = [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
  return jnp.stack(leaves).all()


def newest(store: checkpoints.Checkpoints) -> pathlib.Path | str:
  """Returns the newest checkpoint, for a person; 'none yet'."""
  steps = store.steps()
  return store.path(steps[0]) if steps else 'none yet'


class Loop:
  """The train loop: dispatches ahead, reads metrics one step late."""

  def __init__(
    self,
    experiment: Experiment,
    place: pathlib.Path,
    store: checkpoints.Checkpoints,
    log: RunLog,
    started: float | None,
  ):
    self.experiment, self.place = experiment, place
    self.store, self.log, self.started = store, log, started
    self.config = experiment.config
    self.eval_step = runs.make_step(experiment)
    self.clock = Clock(
      self.config.train.batch_size,
      list(experiment.batch_sharding.mesh.devices.flat),
      experiment.training_flops,
      self.config.model.dtype,
    )
    classes = experiment.eval_source.num_classes
    self.watch = Watch(classes, log.first_loss)
    self.read = 0  # the step whose metrics were read last

  def run(
    self, state: TrainState, preemption: Preemption
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains to the last step; returns the last evaluation, the variables."""
    self.preemption = preemption
    first = step = self.read = int(state.step)
    self.tally = Tally(self.store.sums(step) if step else {})
    self.profiler = profiling.Profiler(
      profiling.parse(self.config.profile),
      self.place,
      step,
      self.config.train.steps_per_call,
      self.clock,
      self.log.say,
    )
    last = self.experiment.steps
    try:
      if step and self._evaluation_due(step) and not self.store.evaluated(step):
        # preempted before it was done
        state = self._evaluate_and_save(state, step)
      if step < last:
        state, step = self._train(state, step, last)
    finally:  # whatever ends the run
      self.profiler.close()
      if replaced := self._replaced():
        self.log.write(self.read, replaced)  # those since the last line
    self.store.wait()
    self._report(first, step)
    return self.log.last_eval or {}, state.variables

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
    for batch in self.profiler.steps(self.clock.waiting(batches)):
      if refresh and (step == 0 or self.experiment.due('1 epoch', step)):
        state = self._refreshed(refresh, state, step)
      state, metrics = train_step(state, batch)
      step += together
      self.preemption.step_taken()
      if unread:
        self._read(*unread)
      unread = step, metrics
      self.profiler.done(step, metrics)
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
    self.tally.add(metrics)
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
      values |= self.tally.take(step, self.config.train.log_every)
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
      f'{newest(self.store)}. A smaller optimizer.learning_rate may help '
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
      except UserError as error:  # of a test image
        raise self._kept(error, state, step) from error
      else:
        wrong = self.watch.error(
          result['top1_error'], best['eval/top1_error'] if best else None
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
      self.store.save(step, state, result, self.tally.sums)
    if stop:
      self.store.wait()
      raise PreemptedError(
        f'saved {self.store.path(step)}; the same command continues'
      )
    return state

  def _kept(self, error, state, step):
    """Saves the steps before an evaluation that fails; returns its error."""
    if jax.process_count() > 1:  # the others wait for this one, not in a save
      return error
    if step not in self.store.steps():
      self.log.flush()
      self.store.save(step, state, None, self.tally.sums)
      self.store.wait()
    return UserError(
      f'{error}. Step {step} is saved: the same command continues from it'
    )

  def _evaluated(self, state, step):
    if step == self.experiment.steps:
      state = self._with_statistics(state)
    result = self._evaluate(state, step)
    opt_state = self.experiment.rate.observe(
      state.opt_state, result['top1_error']
    )
    return state._replace(opt_state=opt_state), result

  def _with_statistics(self, state):
    if not are_due(self.experiment, state):
      return state
    count = batches_of(self.experiment)
    number = f'{count} batch' + 'es' * (count > 1)
    self.log.say(f'statistics of batch normalisation over {number}')

    def watch(batches):
      size = self.config.train.batch_size
      with Progress(count * size, quiet=jax.process_index() != 0) as progress:
        for batch in self.preemption.watch(batches):
          yield batch
          progress.add(size)

    return recompute_statistics(self.experiment, state, watch)

  def _evaluate(self, state, step):
    shown = runs.shown(self.experiment)
    result = runs.evaluate(
      self.experiment,
      self.eval_step,
      state.variables,
      lambda batches: self.preemption.watch(shown(batches)),
    )
    if (self.log.last_eval or {}).get('step') == step:
      return result  # a kill came between this line and the checkpoint
    line = {**result, 'split': exact.split_name(self.config)}
    self.log.write(step, {f'eval/{k}': v for k, v in line.items()})
    examples = len(self.experiment.train_source)
    epoch = step * self.config.train.batch_size / examples
    said = exact.describe(self.config, result)
    self.log.say(f'epoch {epoch:.1f}, step {step}: {said}')
    return result

  def _report(self, first, step):
    def of(line):
      result = {k.removeprefix('eval/'): v for k, v in line.items()}
      said = exact.describe(self.config, result)
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
    log.say(f'checkpoint  {newest(self.store)}')
    log.say(f'logs        {self.place}: metrics.jsonl, TensorBoard events')
