"""Statistics of batch normalisation, recomputed after the last step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import input_pipeline
from experiment import Experiment
from training.state import TrainState
from zoo.batch_norm import MOMENTUM

_PASSES = 2


def batches_of(experiment: Experiment) -> int:
  """Returns `train.statistics_batches`, but at most two passes over the data.

  Beyond that a small data set says nothing new, and takes its time.
  """
  train = experiment.config.train
  passes = -(-_PASSES * len(experiment.train_source) // train.batch_size)
  return min(train.statistics_batches, passes)


def are_due(experiment: Experiment, state: TrainState) -> bool:
  """Whether there are statistics to recompute: some that are not frozen."""
  found = state.model_state.get('batch_stats', {})
  moving = experiment.learning.split(found)[0]
  return bool(moving) and batches_of(experiment) > 0


def recompute_statistics(
  experiment: Experiment, state: TrainState, watch: Callable = iter
) -> TrainState:
  """Replaces moving averages of batch statistics by means over many batches.

  As ResNet's authors did after training (KaimingHe/deep-residual-networks,
  "statistics computed on a sufficiently large training batch"), over the first
  `batches_of` batches; 0 changes nothing, and frozen layers keep theirs.
  `watch` passes the batches on, and may raise to stop.
  """
  config, learning = experiment.config, experiment.learning
  count = batches_of(experiment)
  if not are_due(experiment, state):
    return state

  @jax.jit
  def of_batch(variables, batch, step):
    key = jax.random.fold_in(jax.random.key(config.seed), step)
    images = experiment.training_input(key, batch['image'])
    moving, fixed = learning.split(variables['batch_stats'])
    nothing = jax.tree.map(jnp.zeros_like, moving)
    _, new = experiment.module.apply(
      {
        **variables,
        **learning.marks,
        'batch_stats': learning.join(nothing, fixed),
      },
      images,
      train=True,
      rngs={'dropout': key},
      mutable=['batch_stats', 'aux_logits'],
    )
    # From zero, a moving average is its new part alone.
    moved = learning.split(new['batch_stats'])[0]
    return jax.tree.map(lambda s: s / (1 - MOMENTUM), moved)

  batches = input_pipeline.train_batches(
    experiment.train_source,
    config.train.batch_size,
    seed=config.seed,
    start=0,
    stop=count,
    sharding=experiment.batch_sharding,
    threads=config.data.threads,
  )
  moving, fixed = learning.split(state.model_state['batch_stats'])
  total = jax.tree.map(jnp.zeros_like, moving)
  for step, batch in enumerate(watch(batches)):
    new = of_batch(state.variables, batch, step)
    total = jax.tree.map(lambda t, n: t + n / count, total, new)
  new = learning.join(total, fixed)
  return state._replace(model_state={**state.model_state, 'batch_stats': new})
