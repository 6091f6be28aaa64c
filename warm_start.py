"""Parameters from elsewhere: checkpoints of ours, and published weights."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

import checkpoints
from errors import UserError
from experiment import Experiment
from train_step import TrainState, abstract_state
from zoo import weights


def load_variables(experiment: Experiment, path: str) -> dict[str, Any]:
  """Returns the variables to evaluate, on all devices.

  Args:
    experiment: with the network that they are for.
    path: a checkpoint or workdir, or a file that `zoo.weights.load` reads.
      Where `train.average` is set, a checkpoint gives the average.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  if _is_file(path):
    return _published(experiment, path)
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
  path = experiment.config.init_from
  if _is_file(path):
    variables = _published(experiment, path)
    params = {**state.params, **variables.pop('params')}
    loaded = {'params': params, 'model_state': variables or state.model_state}
    layers = experiment.config.init_layers
    if layers:
      _check_layers(layers, params)
      chosen = {name: params[name] for name in layers}
      loaded = {'params': {**state.params, **chosen}}
  else:
    loaded = _from_checkpoint(experiment, path, state)
  if state.average:
    # A copy: the step's argument is donated, no buffer may be there twice.
    loaded['average'] = jax.tree.map(jnp.copy, loaded['params'])
  return state._replace(**loaded), [f'parameters from {path}']


def _from_checkpoint(experiment, path, state):
  target = abstract_state(experiment)
  layers = experiment.config.init_layers
  if not layers:
    wanted = {'params': target.params, 'model_state': target.model_state}
    return checkpoints.load_parameters(path, wanted)
  _check_layers(layers, target.params)
  wanted = {'params': {name: target.params[name] for name in layers}}
  found = checkpoints.load_parameters(path, wanted, partial=True)['params']
  return {'params': {**state.params, **found}}


def _check_layers(layers, params):
  for name in layers:
    if name not in params:
      raise UserError(
        f"init_layers: the network has no layer '{name}', but "
        f'{", ".join(params)}'
      )


def _is_file(path):
  return pathlib.Path(path).suffix in weights.SUFFIXES


def _published(experiment, path):
  model = dict(experiment.config.model)
  name = model.pop('name')
  classes = experiment.train_source.num_classes
  try:
    variables = weights.load(name, path, num_classes=classes, **model)
  except weights.WeightsError as error:
    raise UserError(f'init_from: {error}') from None
  return jax.device_put(variables, experiment.replicated)
