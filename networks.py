"""Networks with their variables, to score images with: one, or an ensemble.

A member of an ensemble is a workdir, whose config.json tells the network and
its input; a file of published weights; or NAME=PATH, with a name of the zoo.
"""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

import checkpoints
import eval_lib
import input_pipeline
import storage
import zoo
from errors import UserError, closest
from scoring import Network
from zoo import weights


def load(config: ConfigDict, path: str, num_classes: int) -> Network:
  """Returns the network of a config with the variables at `path`.

  A file of other people's weights brings its own preprocessing:
  `weights.origin`. Where `train.average` is set, a checkpoint gives the
  average.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  config = with_origin(config, path)
  data, model = config.data, dict(config.model)
  name = model.pop('name')
  try:
    module = zoo.create(name, num_classes=num_classes, **model)
  except ValueError as error:
    raise UserError(f'model: {error}') from None
  if is_file(path):
    variables = read_file(config, path, num_classes)
  else:
    variables = _restore(config, module, path)
  return Network(
    path,
    module,
    variables,
    eval_lib.make_prepare(data.image_size, data.mean, data.std, data.order),
    data.image_size,
    num_classes,
  )


def is_file(path: str) -> bool:
  """Whether a path is a file of weights, not a checkpoint."""
  return pathlib.Path(path).suffix in weights.SUFFIXES


def read_file(
  config: ConfigDict, path: str, num_classes: int
) -> dict[str, Any]:
  """Returns the variables in a file of weights, for the config's network.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  model = dict(config.model)
  name = model.pop('name')
  try:
    return weights.load(name, path, num_classes=num_classes, **model)
  except weights.WeightsError as error:
    raise UserError(f'init_from: {error}') from None


def with_origin(config: ConfigDict, path: str) -> ConfigDict:
  """Returns the config as the weights at `path` were trained."""
  origin = weights.origin(config.model.name, path)
  if origin is None:
    return config
  config = config.copy_and_resolve_references()
  config.data.update(order=origin.order, mean=origin.mean, std=origin.std)
  config.model.update(dict(origin.options))
  return config


def _restore(config, module, path):
  name, size = config.model.name, config.data.image_size
  image = jax.ShapeDtypeStruct(
    (1, size, size, zoo.image_shape(name)[2]), jnp.float32
  )
  try:
    target = jax.eval_shape(module.init, jax.random.key(0), image)
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None
  target = {k: v for k, v in target.items() if k != 'aux_logits'}
  everywhere = NamedSharding(input_pipeline.mesh(), PartitionSpec())
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
    target,
  )
  field = 'average' if config.train.average else 'params'
  params = target.pop('params')
  state = checkpoints.load_parameters(
    path, {field: params, 'model_state': target}
  )
  variables = {'params': state[field], **state['model_state']}
  # The global array is whole on each device: take this process's own.
  return jax.tree.map(lambda x: x.addressable_data(0), variables)


def members(config: ConfigDict, num_classes: int) -> list[Network]:
  """Returns the networks of `eval.members`, in order.

  Raises:
    UserError: an unknown network; nothing there, damaged, or it does not fit.
  """
  entries = [e.strip() for e in config.eval.members.split(',')]
  return [_member(config, e, num_classes) for e in entries if e]


def _member(config, entry, num_classes):
  name, equals, path = entry.partition('=')
  if not equals or pathlib.Path(entry).exists():
    own = config if is_file(entry) else _as_recorded(config, entry)
    return load(own, entry, num_classes)
  if name not in (known := zoo.names()):
    raise UserError(
      f"eval.members '{entry}': no network '{name}'.{closest(name, known)}"
    )
  config = config.copy_and_resolve_references()
  dtype = config.model.dtype
  with config.unlocked():
    config.model = {'name': name, 'dtype': dtype, **zoo.options(name)}
  config.data.image_size = zoo.image_shape(name)[0]
  config.train.average = 0.0
  return load(config, path, num_classes)


def _as_recorded(config, workdir):
  """Takes from the workdir's config.json what makes its network."""
  file = storage.path(workdir) / 'config.json'
  if not file.exists():
    return config  # a checkpoint by itself: the network of this config
  try:
    recorded = json.loads(file.read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'{file} cannot be read: {error}') from None
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.model = recorded['model']
  for field in ('image_size', 'mean', 'std', 'order'):
    value = recorded['data'].get(field, config.data[field])
    config.data[field] = tuple(value) if isinstance(value, list) else value
  config.train.average = recorded['train'].get('average', 0.0)
  return config
