"""Parameters from elsewhere: checkpoints of ours, and published weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from errors import UserError
from evaluation import networks
from experiment import Experiment
from runtime import checkpoints
from training.state import TrainState, abstract_state


def load_variables(
  experiment: Experiment,
  path: str,
  say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Returns the variables to evaluate, on all devices.

  Args:
    experiment: with the network that they are for.
    path: a checkpoint or workdir, or a file that `zoo.weights.load` reads.
      Where `train.average` is set, a checkpoint gives the average.
    say: as `zoo.weights.load` has it.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  if networks.is_file(path):
    return _published(experiment, path, say)
  target = abstract_state(experiment)
  field = 'average' if target.average else 'params'
  state = checkpoints.load_parameters(
    path, {field: target.params, 'model_state': target.model_state}
  )
  return {'params': state[field], **state['model_state']}


def start_from(
  experiment: Experiment, state: TrainState
) -> tuple[TrainState, list[str]]:
  """Returns a fresh state with the parameters that `init_from` names.

  With `init_layers`, those layers only, by name and shape (VGG, Section 3.1);
  else all, and the model state.

  Raises:
    UserError: nothing there, damaged, it does not fit, or no such layer.
  """
  notes: list[str] = []
  path, layers = experiment.config.init_from, experiment.config.init_layers
  for name in layers:
    if name not in state.params:
      raise UserError(
        f"init_layers: the network has no layer '{name}', but "
        f'{", ".join(state.params)}'
      )
  if networks.is_file(path):
    loaded = _published(experiment, path, notes.append)
  else:
    loaded = _from_checkpoint(experiment, path, layers)
  found = loaded.pop('params')
  chosen = {k: v for k, v in found.items() if not layers or k in layers}
  params = {**state.params, **chosen}
  model_state = state.model_state if layers else {**state.model_state, **loaded}
  # A copy: the step's argument is donated, no buffer may be there twice.
  average = jax.tree.map(jnp.copy, params) if state.average else ()
  state = state._replace(
    params=params, model_state=model_state, average=average
  )
  return state, [f'parameters from {path}', *notes]


def _from_checkpoint(experiment, path, layers):
  """Returns variables: all, or the parameters of some layers."""
  target = abstract_state(experiment)
  if layers:
    wanted = {'params': {name: target.params[name] for name in layers}}
    return checkpoints.load_parameters(path, wanted, partial=True)
  wanted = {'params': target.params, 'model_state': target.model_state}
  state = checkpoints.load_parameters(path, wanted)
  return {'params': state['params'], **state['model_state']}


def _published(experiment, path, say):
  classes = experiment.train_source.num_classes
  variables = networks.read_file(experiment.config, path, classes, say)
  return jax.device_put(variables, experiment.replicated)
