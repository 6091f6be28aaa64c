"""The curvature of `recipe.sdlm`, estimated anew before every pass."""

from collections.abc import Callable

import jax
import numpy as np

from experiment import Experiment
from input_pipeline import Order
from recipe import losses, sdlm
from training.state import TrainState

# Of the weights, in a pass; III-B: about 7e-5 and 0.016 in the first one.
LOWEST, HIGHEST = 'train/lowest_rate', 'train/highest_rate'


def make_refresh(
  experiment: Experiment,
) -> Callable[[TrainState, int], tuple[TrainState, dict[str, float]]] | None:
  """Returns (train state, step) -> (the same with a new curvature, rates).

  To be called before the first step of every pass. The rates are the lowest and
  the highest effective ones of all weights, eta / (mu + h_kk), as the paper
  reports them of its first pass. None where the config's optimizer has no
  curvature.
  """
  config = experiment.config
  if config.optimizer.name != 'sdlm':
    return None
  order = Order(len(experiment.train_source), config.seed)
  loss, mu = experiment.loss, config.optimizer.mu
  if config.optimizer.get('curvature', 'exact') == 'penalty':
    loss = losses.create('penalty', scale=config.loss.get('scale', 1.0))

  def refresh(state, images, labels):
    images = experiment.prepare(images)
    new = sdlm.curvature(state.params, images, labels, loss)
    opt_state = sdlm.with_curvature(state.opt_state, new)
    rate = experiment.rate.by_step(state.step)
    rates = sdlm.effective_rates(rate, mu, new)
    return state._replace(opt_state=opt_state), rates

  refresh = jax.jit(refresh, donate_argnums=0)

  def call(state, step):
    # The first examples of the pass: a random choice, by (seed, step) alone.
    first = step * config.train.batch_size
    positions = first + np.arange(config.optimizer.samples)
    batch = experiment.train_source.batch(order(positions), positions)
    batch = jax.device_put(batch, experiment.replicated)
    state, (low, high) = refresh(state, batch['image'], batch['label'])
    return state, {LOWEST: float(low), HIGHEST: float(high)}

  return call
