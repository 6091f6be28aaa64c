"""The state of training: what a checkpoint holds, and how it begins."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from experiment import Experiment, sample_images

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
    opt_state=experiment.optimizer.init(experiment.learning.split(params)[0]),
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
