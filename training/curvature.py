"""The curvature of `recipe.sdlm`, estimated anew before every pass."""

from collections.abc import Callable

import jax
import numpy as np

from experiment import Experiment
from input_pipeline import Order
from recipe import sdlm
from training.state import TrainState


def make_refresh(
  experiment: Experiment,
) -> Callable[[TrainState, int], TrainState] | None:
  """Returns (train state, step) -> train state with a new curvature.

  To be called before the first step of every pass. None where the config's
  optimizer has no curvature.
  """
  config = experiment.config
  if config.optimizer.name != 'sdlm':
    return None
  order = Order(len(experiment.train_source), config.seed)

  def refresh(state, images, labels):
    images = experiment.prepare(images)
    new = sdlm.curvature(state.params, images, labels, experiment.loss)
    return state._replace(opt_state=sdlm.with_curvature(state.opt_state, new))

  refresh = jax.jit(refresh, donate_argnums=0)

  def call(state, step):
    # The first examples of the pass: a random choice, by (seed, step) alone.
    first = step * config.train.batch_size
    positions = first + np.arange(config.optimizer.samples)
    batch = experiment.train_source.batch(order(positions), positions)
    batch = jax.device_put(batch, experiment.replicated)
    return refresh(state, batch['image'], batch['label'])

  return call
