"""The train step: a pure function, jitted."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from experiment import Experiment
from recipe import losses, schedules
from runtime.mesh import batch_sharding
from training.state import TrainState


def make_train_step(
  experiment: Experiment,
) -> Callable[[TrainState, dict], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns the jitted step (state, batch) -> (state, metrics).

  With `train.steps_per_call` above 1 it makes so many steps, of batches that
  lie on an axis in front, and so do the metrics.

  The step is a pure function of (config, seed, state.step, state, batch). The
  state is donated. Metrics are scalars: 'loss' and 'top1_error' of the batch
  before the update, and 'learning_rate'.
  """
  train, learning = experiment.config.train, experiment.learning
  gradient = jax.grad(_make_objective(experiment), has_aux=True)

  def step(state, batch):
    key = jax.random.key(experiment.config.seed)
    augment_key, dropout_key = jax.random.split(
      jax.random.fold_in(key, state.step)
    )
    images = experiment.training_input(augment_key, batch['image'])
    params, fixed = learning.split(state.params)
    grads, model_state, metrics = _accumulate(
      functools.partial(gradient, fixed=fixed),
      (params, state.model_state),
      images,
      batch['label'],
      dropout_key,
      train.microbatch,
    )
    updates, opt_state = experiment.optimizer.update(
      grads, state.opt_state, params, train_error=metrics['top1_error']
    )
    metrics['learning_rate'] = experiment.rate.by_step(
      state.step
    ) * schedules.feedback_scale(opt_state)
    params = optax.apply_updates(params, updates)
    average = learning.split(state.average)[0] if state.average else ()
    average = _averaged(average, params, train.average)
    if average:  # what is frozen is its own average, to the bit
      average = learning.join(average, fixed)
    params = learning.join(params, fixed)
    return (
      TrainState(state.step + 1, params, model_state, opt_state, average),
      metrics,
    )

  def steps(state, batches):
    return jax.lax.scan(step, state, batches)

  together = train.steps_per_call > 1
  sharding = batch_sharding(experiment.batch_sharding.mesh, stacked=together)
  return jax.jit(
    steps if together else step,
    in_shardings=(
      experiment.replicated,
      dict.fromkeys(('image', 'label'), sharding),
    ),
    out_shardings=experiment.replicated,
    donate_argnums=0,
  )


def _make_objective(experiment):
  """Returns the loss with those of auxiliary heads; state and metrics beside.

  (params, model_state, images, labels, dropout_key, fixed) -> (scalar,
  (model_state, metrics)); `fixed` are the parameters that do not learn.
  """
  learning = experiment.learning

  def objective(params, model_state, images, labels, dropout_key, fixed):
    params = learning.join(params, fixed)
    logits, new_state = experiment.module.apply(
      {'params': params, **model_state, **learning.marks},
      images,
      train=True,
      rngs={'dropout': dropout_key},
      mutable=[*model_state, 'aux_logits'],
    )
    new_state = dict(new_state)
    auxiliary = jax.tree.leaves(new_state.pop('aux_logits', {}))
    right = losses.rank_of_label(logits, labels) < 1
    metrics = {
      'loss': experiment.loss(logits, labels).mean(),
      'top1_error': 1 - right.mean(),
    }
    total = metrics['loss'] + experiment.config.train.aux_weight * sum(
      experiment.loss(logits, labels).mean() for logits in auxiliary
    )
    return total, (new_state, metrics)

  return objective


def _averaged(average, params, keep):
  """Polyak's average with exponential weights: GoogLeNet, Section 6."""
  if not average:
    return average
  return jax.tree.map(lambda a, p: keep * a + (1 - keep) * p, average, params)


def _accumulate(gradient, variables, images, labels, key, parts):
  """Means of gradient, new model state and metrics over parts of the batch.

  Part i holds rows i, i + parts, ...: a share of every device's rows, so that
  no image moves between devices. Parts run one after the other: the point is
  the memory of one part.
  """
  params, model_state = variables
  if parts == 1:
    grads, (model_state, metrics) = gradient(
      params, model_state, images, labels, key
    )
    return grads, model_state, metrics

  def split(x):
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

  def body(carry, part):
    grads, model_state, metrics = carry
    images, labels, number = part
    new_grads, (model_state, new_metrics) = gradient(
      params, model_state, images, labels, jax.random.fold_in(key, number)
    )
    add = functools.partial(jax.tree.map, jnp.add)
    return (add(grads, new_grads), model_state, add(metrics, new_metrics)), None

  zeros = jax.tree.map(jnp.zeros_like, params)
  metrics = {'loss': jnp.zeros(()), 'top1_error': jnp.zeros(())}
  (grads, model_state, metrics), _ = jax.lax.scan(
    body,
    (zeros, model_state, metrics),
    (split(images), split(labels), jnp.arange(parts)),
  )
  grads, metrics = jax.tree.map(lambda x: x / parts, (grads, metrics))
  return grads, model_state, metrics
