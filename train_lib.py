"""Training: the state, the step, and the loop around it."""

import errno
import functools
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

import augment
import checkpoints
import config_lib
import eval_lib
import input_pipeline
import sdlm
import workdir as workdir_lib
from errors import UserError
from experiment import Experiment, create_experiment, sample_images
from run_log import Clock, RunLog


class TrainState(NamedTuple):
  """All that a step reads and writes; nothing else needs to be saved.

  The step is also the position in the data, and with the seed it gives all
  randomness: see `input_pipeline` and `make_train_step`.
  """

  step: jax.Array  # int32 [], steps taken
  params: Any  # float32
  model_state: Any  # other collections of the network, as batch statistics
  opt_state: optax.OptState

  @property
  def variables(self) -> dict[str, Any]:
    """The network's variables, as `module.apply` takes them."""
    return {'params': self.params, **self.model_state}


def _init(experiment: Experiment) -> TrainState:
  key = jax.random.key(experiment.config.seed)
  images = sample_images(experiment)
  variables = dict(experiment.module.init(key, images, train=False))
  params = variables.pop('params')
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    model_state=variables,
    opt_state=experiment.optimizer.init(params),
  )


def abstract_state(experiment: Experiment) -> TrainState:
  """Returns the state's shapes, dtypes and shardings, without computing."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=experiment.replicated
    ),
    jax.eval_shape(functools.partial(_init, experiment)),
  )


def create_state(experiment: Experiment) -> TrainState:
  """Returns the state before the first step, on all devices."""
  init = jax.jit(
    functools.partial(_init, experiment), out_shardings=experiment.replicated
  )
  return init()


def make_train_step(
  experiment: Experiment,
) -> Callable[[TrainState, dict], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns the jitted step (state, batch) -> (state, metrics).

  The step is a pure function of (config, seed, state.step, state, batch). The
  state is donated. Metrics are scalars: 'loss' and 'top1_error' of the batch
  before the update, and 'learning_rate'.
  """
  module, parts = experiment.module, experiment.config.train.microbatch
  seed = experiment.config.seed

  def loss_of(params, model_state, images, labels, dropout_key):
    logits, new_state = module.apply(
      {'params': params, **model_state},
      images,
      train=True,
      rngs={'dropout': dropout_key},
      mutable=list(model_state),
    )
    right = eval_lib.rank_of_label(logits, labels) < 1
    metrics = {
      'loss': experiment.loss(logits, labels).mean(),
      'top1_error': 1 - right.mean(),
    }
    return metrics['loss'], (dict(new_state), metrics)

  gradient = jax.grad(loss_of, has_aux=True)

  def step(state, batch):
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    augment_key, dropout_key = jax.random.split(key)
    images = augment.pad_to(batch['image'], experiment.config.data.image_size)
    images = experiment.prepare(experiment.augment(augment_key, images))
    grads, model_state, metrics = _accumulate(
      gradient, state, images, batch['label'], dropout_key, parts
    )
    metrics['learning_rate'] = experiment.schedule(state.step)
    updates, opt_state = experiment.optimizer.update(
      grads, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, model_state, opt_state), metrics

  return jax.jit(
    step,
    in_shardings=(
      experiment.replicated,
      {k: experiment.batch_sharding for k in ('image', 'label')},
    ),
    out_shardings=experiment.replicated,
    donate_argnums=0,
  )


def _accumulate(gradient, state, images, labels, key, parts):
  """Means of gradient, new model state and metrics over parts of the batch.

  Part i holds rows i, i + parts, ...: a share of every device's rows, so that
  no image moves between devices. Parts run one after the other: the point is
  the memory of one part.
  """
  if parts == 1:
    grads, (model_state, metrics) = gradient(
      state.params, state.model_state, images, labels, key
    )
    return grads, model_state, metrics

  def split(x):
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

  def body(carry, part):
    grads, model_state, metrics = carry
    images, labels, number = part
    new_grads, (model_state, new_metrics) = gradient(
      state.params, model_state, images, labels, jax.random.fold_in(key, number)
    )
    add = functools.partial(jax.tree.map, jnp.add)
    return (add(grads, new_grads), model_state, add(metrics, new_metrics)), None

  zeros = jax.tree.map(jnp.zeros_like, state.params)
  metrics = {'loss': jnp.zeros(()), 'top1_error': jnp.zeros(())}
  (grads, model_state, metrics), _ = jax.lax.scan(
    body,
    (zeros, state.model_state, metrics),
    (split(images), split(labels), jnp.arange(parts)),
  )
  grads, metrics = jax.tree.map(lambda x: x / parts, (grads, metrics))
  return grads, model_state, metrics


@jax.jit
def _all_finite(state):
  leaves = [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
  return jnp.stack(leaves).all()


def train_and_evaluate(
  config: ConfigDict, workdir: str, started: float | None = None
) -> dict[str, Any]:
  """Trains to the end of the config, from wherever `workdir` stands.

  Args:
    config: as `configs/` makes it; its fields are in `configs/default.py`.
    workdir: for everything that is written; see `workdir.py`.
    started: time.monotonic() of the start, to report the start-up time.

  Returns:
    The last evaluation: 'step', 'eval/loss', 'eval/top1_error' and so on.

  Raises:
    UserError: bad input, a diverged loss, a full disk. Names the way out.
  """
  started = time.monotonic() if started is None else started
  config_lib.check(config, jax.device_count())
  place = workdir_lib.open_directory(workdir)
  changed = workdir_lib.check_owner(place, config)
  experiment = create_experiment(config)
  store = checkpoints.Checkpoints(
    place / 'checkpoints', config.checkpoint.keep, config.checkpoint.keep_best
  )
  try:
    state, notes = starting_state(experiment, store)
    step = int(state.step)
    if step and changed:
      notes += [
        f'changed since the last start: {field} {old} -> {new}'
        for field, (old, new) in changed.items()
      ]
    main = jax.process_index() == 0
    if main:
      workdir_lib.record_start(place, config, step)
    log = RunLog(
      place if main else None, step, experiment.steps, config.train.batch_size
    )
    for note in notes:
      log.say(note)
    try:
      return _Loop(experiment, place, store, log, started).run(state)
    finally:
      log.close()
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
      raise
    raise UserError(
      f'{place}: {error.strerror}. Free some space; the same command continues '
      f'from the last good checkpoint ({_newest(store)})'
    ) from error
  finally:
    store.close()


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
  state = create_state(experiment)
  if not (path := experiment.config.init_from):
    return state, []
  wanted = {'params': target.params, 'model_state': target.model_state}
  loaded = checkpoints.load_parameters(path, wanted)
  return state._replace(**loaded), [f'parameters from {path}']


def _newest(store):
  steps = store.steps()
  return store.path(steps[0]) if steps else 'none yet'


def evaluate_only(config: ConfigDict, workdir: str) -> dict[str, Any]:
  """Evaluates the newest checkpoint of `workdir`, or `init_from`.

  Writes nothing. Raises UserError as `train_and_evaluate`.

  Returns:
    What `eval_lib.evaluate` returns.
  """
  config_lib.check(config, jax.device_count())
  place = pathlib.Path(workdir).expanduser().absolute()
  workdir_lib.check_owner(place, config)
  experiment = create_experiment(config)
  target = abstract_state(experiment)
  path = config.init_from or str(place)
  state = checkpoints.load_parameters(
    path, {'params': target.params, 'model_state': target.model_state}
  )
  variables = {'params': state['params'], **state['model_state']}
  result = _evaluate(experiment, _make_eval_step(experiment), variables)
  if jax.process_index() == 0:
    print(f'{path}: {eval_lib.describe(config.data.name, result)}')
  return result


def _make_eval_step(experiment):
  return eval_lib.make_eval_step(
    experiment.module,
    experiment.loss,
    experiment.prepare,
    experiment.batch_sharding,
  )


def _evaluate(experiment, eval_step, variables):
  config = experiment.config
  return eval_lib.evaluate(
    eval_step,
    variables,
    experiment.eval_source,
    batch_size=config.eval.batch_size,
    sharding=experiment.batch_sharding,
    protocol=config.eval.protocol,
    threads=config.data.threads,
  )


class _Loop:
  """The train loop: dispatches ahead, reads metrics one step late."""

  def __init__(self, experiment, place, store, log, started):
    self.experiment, self.place = experiment, place
    self.store, self.log, self.started = store, log, started
    self.config = experiment.config
    self.eval_step = _make_eval_step(experiment)
    self.clock = Clock(self.config.train.batch_size)

  def run(self, state: TrainState) -> dict[str, Any]:
    """Trains to the last step; returns the last evaluation."""
    first = step = int(state.step)
    last = self.experiment.steps
    if step < last:
      state, step = self._train(state, step, last)
    self.store.wait()
    self._report(first, step)
    return self.log.last_eval or {}

  def _train(self, state, step, last):
    train_step = make_train_step(self.experiment)
    refresh = sdlm.make_refresh(self.experiment)
    batches = input_pipeline.train_batches(
      self.experiment.train_source,
      self.config.train.batch_size,
      seed=self.config.seed,
      start=step,
      stop=last,
      sharding=self.experiment.batch_sharding,
      threads=self.config.data.threads,
    )
    unread = None
    self.clock.start()
    for batch in self.clock.waiting(batches):
      if refresh and (step == 0 or self.experiment.due('1 epoch', step)):
        state = refresh(state, step)
      state, metrics = train_step(state, batch)
      step += 1
      if unread:
        self._read(*unread)
      unread = step, metrics
      if self._should_stop_for(step):
        self._read(*unread)
        unread = None
        with self.clock.paused():
          self._evaluate_and_save(state, step)
    return state, step

  def _should_stop_for(self, step):
    return (
      step == self.experiment.steps
      or self.experiment.due(self.config.eval.every, step)
      or self.experiment.due(self.config.checkpoint.every, step)
    )

  def _read(self, step, metrics):
    """Takes the metrics of a step from the device; stops if it diverged."""
    loss = float(metrics['loss'])
    self.clock.step_done()
    if not np.isfinite(loss):
      raise self._diverged(f'loss is {loss} at step {step}')
    self.log.progress(step, loss, self.clock)
    if self.started is not None:
      seconds = time.monotonic() - self.started
      self.started = None
      self.log.say(f'first step done {seconds:.1f} s after the start')
      self.clock.start()  # compilation is not part of the rate
      self.log.write(step, {'time/startup_seconds': round(seconds, 3)})
    if step % self.config.train.log_every == 0 or step == self.experiment.steps:
      values = {f'train/{k}': float(v) for k, v in metrics.items()}
      self.log.write(step, {**values, **self.clock.lap()})

  def _diverged(self, what):
    return UserError(
      f'{what}: training diverged. Last good checkpoint: {_newest(self.store)}. '
      'A smaller optimizer.learning_rate may help '
      f'({self.config.optimizer.learning_rate} now)'
    )

  def _evaluate_and_save(self, state, step):
    if not _all_finite(state):
      raise self._diverged(f'a parameter is not finite after step {step}')
    due, last = self.experiment.due, step == self.experiment.steps
    result, best = None, self.log.best
    if last or due(self.config.eval.every, step):
      result = self._evaluate(state, step)
    better = (
      result is not None
      and self.config.checkpoint.keep_best > 0
      and (best is None or result['top1_error'] < best['eval/top1_error'])
    )
    if last or better or due(self.config.checkpoint.every, step):
      self.store.save(step, state, result)

  def _evaluate(self, state, step):
    result = _evaluate(self.experiment, self.eval_step, state.variables)
    self.log.write(step, {f'eval/{k}': v for k, v in result.items()})
    examples = len(self.experiment.train_source)
    epoch = step * self.config.train.batch_size / examples
    said = eval_lib.describe(self.config.data.name, result)
    self.log.say(f'epoch {epoch:.1f}, step {step}: {said}')
    return result

  def _report(self, first, step):
    def of(line):
      result = {k.removeprefix('eval/'): v for k, v in line.items()}
      said = eval_lib.describe(self.config.data.name, result)
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
