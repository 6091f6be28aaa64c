"""The state of training, and the step: a pure function, jitted."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import eval_lib
import input_pipeline
import schedules
from experiment import Experiment, sample_images
from zoo.batch_norm import MOMENTUM

# One program that draws all parameters compiles the longer the more arrays it
# has (ResNet-1202: 225 s); array by array, equal shapes compile once (6 s). For
# few arrays one program is faster (LeNet-5: 0.2 against 2.8 s).
_MANY_ARRAYS = 300


class TrainState(NamedTuple):
  """All that a step reads and writes; nothing else needs to be saved.

  The step is also the position in the data, and with the seed it gives all
  randomness: see `input_pipeline` and `make_train_step`.
  """

  step: jax.Array  # int32 [], steps taken
  params: Any  # float32
  model_state: Any  # other collections of the network, as batch statistics
  opt_state: optax.OptState
  average: Any = ()  # of params over the steps, where `train.average` asks

  @property
  def variables(self) -> dict[str, Any]:
    """The network's variables to evaluate, as `module.apply` takes them."""
    return {'params': self.average or self.params, **self.model_state}


def _init(experiment: Experiment) -> TrainState:
  images = sample_images(experiment)
  key = jax.random.key(experiment.config.seed)
  # What heads say is not state; no image is needed for what is.
  init = functools.partial(
    experiment.module.lazy_init, mutable=nn.DenyList('aux_logits')
  )
  variables = dict(init(key, images, train=False))
  params = variables.pop('params')
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    model_state=variables,
    opt_state=experiment.optimizer.init(params),
    average=params if experiment.config.train.average else (),
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
  arrays = len(jax.tree.leaves(abstract_state(experiment).params))
  if arrays > _MANY_ARRAYS:
    state = jax.device_get(_init(experiment))
    return jax.device_put(state, experiment.replicated)
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
  train = experiment.config.train
  gradient = jax.grad(_make_objective(experiment), has_aux=True)

  def step(state, batch):
    key = jax.random.key(experiment.config.seed)
    augment_key, dropout_key = jax.random.split(
      jax.random.fold_in(key, state.step)
    )
    images = experiment.training_input(augment_key, batch['image'])
    grads, model_state, metrics = _accumulate(
      gradient, state, images, batch['label'], dropout_key, train.microbatch
    )
    updates, opt_state = experiment.optimizer.update(
      grads, state.opt_state, state.params, train_error=metrics['top1_error']
    )
    metrics['learning_rate'] = experiment.rate.by_step(
      state.step
    ) * schedules.feedback_scale(opt_state)
    params = optax.apply_updates(state.params, updates)
    average = _averaged(state.average, params, train.average)
    return (
      TrainState(state.step + 1, params, model_state, opt_state, average),
      metrics,
    )

  return jax.jit(
    step,
    in_shardings=(
      experiment.replicated,
      dict.fromkeys(('image', 'label'), experiment.batch_sharding),
    ),
    out_shardings=experiment.replicated,
    donate_argnums=0,
  )


def _make_objective(experiment):
  """Returns the loss with those of auxiliary heads; state and metrics beside.

  (params, model_state, images, labels, dropout_key) -> (scalar, (model_state,
  metrics)).
  """

  def objective(params, model_state, images, labels, dropout_key):
    logits, new_state = experiment.module.apply(
      {'params': params, **model_state},
      images,
      train=True,
      rngs={'dropout': dropout_key},
      mutable=[*model_state, 'aux_logits'],
    )
    new_state = dict(new_state)
    auxiliary = jax.tree.leaves(new_state.pop('aux_logits', {}))
    right = eval_lib.rank_of_label(logits, labels) < 1
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


def recompute_statistics(
  experiment: Experiment, state: TrainState, watch: Callable = iter
) -> TrainState:
  """Replaces moving averages of batch statistics by means over many batches.

  As ResNet's authors did after training (KaimingHe/deep-residual-networks,
  "statistics computed on a sufficiently large training batch"), over the first
  `train.statistics_batches` batches; 0 changes nothing. `watch` passes the
  batches on, and may raise to stop.
  """
  count = experiment.config.train.statistics_batches
  if not count or 'batch_stats' not in state.model_state:
    return state
  config = experiment.config

  @jax.jit
  def of_batch(variables, batch, step):
    key = jax.random.fold_in(jax.random.key(config.seed), step)
    images = experiment.training_input(key, batch['image'])
    nothing = jax.tree.map(jnp.zeros_like, variables['batch_stats'])
    _, new = experiment.module.apply(
      {**variables, 'batch_stats': nothing},
      images,
      train=True,
      rngs={'dropout': key},
      mutable=['batch_stats', 'aux_logits'],
    )
    # From zero, a moving average is its new part alone.
    return jax.tree.map(lambda s: s / (1 - MOMENTUM), new['batch_stats'])

  batches = input_pipeline.train_batches(
    experiment.train_source,
    config.train.batch_size,
    seed=config.seed,
    start=0,
    stop=count,
    sharding=experiment.batch_sharding,
    threads=config.data.threads,
  )
  total = jax.tree.map(jnp.zeros_like, state.model_state['batch_stats'])
  for step, batch in enumerate(watch(batches)):
    new = of_batch(state.variables, batch, step)
    total = jax.tree.map(lambda t, n: t + n / count, total, new)
  return state._replace(model_state={**state.model_state, 'batch_stats': total})
