"""Networks with their variables, to score images with: one, or an ensemble.

A member of an ensemble is a workdir, whose config.json tells the network and
its input; a file of published weights; or NAME=PATH, with a name of the zoo.
"""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

import zoo
from data import mean_image, parts, preprocess
from errors import UserError, closest
from evaluation.scoring import Network
from runtime import checkpoints, storage
from runtime import workdir as workdir_lib
from runtime.mesh import all_devices
from zoo import weight_files, weights

# Fields of `data` that belong to a network as its parameters do.
PREPROCESSING = ('mean', 'std', 'order')


def load(config: ConfigDict, path: str, num_classes: int) -> Network:
  """Returns the network of a config with the variables at `path`.

  Each brings its own preprocessing: `as_trained`. Where `train.average` is set,
  a checkpoint gives the average.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  config = as_trained(config, path)
  model = dict(config.model)
  name = model.pop('name')
  try:
    module = zoo.create(name, num_classes=num_classes, **model)
  except ValueError as error:
    raise UserError(f'model: {error}') from None
  if is_file(path):
    variables = read_file(config, path, num_classes)
  else:
    variables = _restore_as_configured(config, module, path)
  return Network(
    path,
    module,
    variables,
    preprocess.of_config(config),
    config.data.image_size,
    num_classes,
    scale_of(config, path),
  )


def scale_of(config: ConfigDict, path: str) -> float:
  """Returns by what the loss multiplied the scores of the network at `path`.

  LeNet-5's penalties are squared distances; what variance they are of, its
  `loss.scale` says. As recorded with the weights, else the config's.
  """
  loss = _recorded(path).get('loss', config.loss)
  return float(loss.get('scale', 1.0))


def trained_classes(
  path: str,
) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
  """Returns the class names and the image shape that were trained on.

  Of a run, or of what tools.publish and tools.export made of it: a folder
  beside the file, or its header. None where nothing is recorded, as of other
  people's weights.

  Raises:
    UserError: the record is damaged.
  """
  if record := workdir_lib.read_classes(workdir_lib.record_of(path)):
    return record
  if header := weight_files.header(path):
    return tuple(header['class_names']), tuple(header['image_shape'])
  return None


def is_file(path: str) -> bool:
  """Whether a path is a file of weights, not a checkpoint."""
  return pathlib.Path(path).suffix in weights.SUFFIXES


def read_file(
  config: ConfigDict,
  path: str,
  num_classes: int,
  say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Returns the variables in a file of weights, for the config's network.

  Args:
    config: with the network.
    path: what `zoo.weights.load` reads.
    num_classes: of the network.
    say: as `zoo.weights.load` has it.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  return variables_of(open_file(config, path, say), config, num_classes)


def open_file(
  config: ConfigDict, path: str, say: Callable[[str], None] = lambda text: None
) -> weights.File:
  """Returns what is in a file of weights; the arguments as `read_file`.

  Raises:
    UserError: nothing there, damaged, or of another network.
  """
  try:
    return weights.read(path=path, say=say, **config.model)
  except weights.WeightsError as error:
    raise UserError(f'init_from: {error}') from None


def variables_of(
  file: weights.File,
  config: ConfigDict,
  num_classes: int,
  without: Iterable[str] = (),
) -> dict[str, Any]:
  """Returns the variables in a file, for the config's network.

  Args:
    file: as `open_file` returns it.
    config: with the network.
    num_classes: of the network.
    without: modules that are left out, and compared with nothing.

  Raises:
    UserError: it does not fit.
  """
  model = {k: v for k, v in config.model.items() if k != 'name'}
  try:
    return file.variables(without, num_classes=num_classes, **model)
  except weights.WeightsError as error:
    raise UserError(f'init_from: {error}') from None


def as_trained(config: ConfigDict, path: str) -> ConfigDict:
  """Returns the config with the preprocessing of the network at `path`.

  Of a run, or of a file that was made of one: mean, deviation and order of the
  channels, and mean image, as is recorded with them. Of other people's weights:
  `with_origin`.

  Raises:
    UserError: the config names another mean image; config.json is damaged; or
      the config leaves it to the weights, which do not say.
  """
  found = _with_preprocessing(config, path)
  if not found.data.mean and not found.data.mean_image:
    raise UserError(
      f"data.mean is empty, for that of init_from '{path}', which does not say "
      'how its images were prepared: set data.mean, data.std and data.order'
    )
  return found


def _with_preprocessing(config, path):
  recorded = _recorded(path).get('data', {})
  if not is_file(path):
    config = mean_image.as_recorded(config, path)
  elif not (recorded and _is_ours(path)):
    return with_origin(config, path)
  elif ((place := workdir_lib.record_of(path)) / mean_image.NAME).exists():
    config = mean_image.as_recorded(config, place)
  config = config.copy_and_resolve_references()
  for field in PREPROCESSING:
    _set(config.data, field, recorded)
  return config


def with_parts(config: ConfigDict, path: str) -> ConfigDict:
  """Returns the config with the part of the data that a run was trained on.

  Args:
    config: may leave these options out.
    path: of the run.

  Raises:
    UserError: another part; what is held out of that may be trained on.
  """
  recorded = _recorded(path).get('data', {})
  if recorded.get('name') != config.data.name:
    return config
  options = {**config.data.options}
  for field in parts.FIELDS:
    there = (recorded['options'] or {}).get(field, 0)
    here = options.setdefault(field, there)
    if here != there:
      test = '; the test set is --config.eval.split=test'
      raise UserError(
        f'data.options.{field} is {here}, but {path} was trained with {there}: '
        f'leave it out{test * (field == "holdout")}'
      )
    if not here:
      del options[field]
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.data.options = options
  return config


def describe_preprocessing(config: ConfigDict) -> str:
  """Returns how a config prepares images, for a person."""
  data = config.data
  return f'channels {data.order}, mean {data.mean}, std {data.std}'


def _is_ours(path):
  """Whether a file of weights is one that we have written."""
  return path.endswith('.npz') or bool(weight_files.header(path))


def _recorded(path):
  """Returns the config of the run behind a path; {} where there is none."""
  return workdir_lib.read_config(workdir_lib.record_of(path))


def _set(section, field, recorded):
  value = recorded.get(field, section[field])
  section[field] = tuple(value) if isinstance(value, list) else value


def with_origin(config: ConfigDict, path: str) -> ConfigDict:
  """Returns the config as the weights at `path` were trained.

  Raises:
    UserError: they want a mean image that is not there.
  """
  try:
    origin = weights.origin(config.model.name, path)
  except weights.WeightsError as error:
    raise UserError(f'init_from: {error}') from None
  if origin is None:
    return config
  config = config.copy_and_resolve_references()
  config.data.update(order=origin.order, mean=origin.mean, std=origin.std)
  config.data.mean_image = ''
  config.model.update(dict(origin.options))
  return config


def _restore_as_configured(config, module, path):
  name, size = config.model.name, config.data.image_size
  known = workdir_lib.read_classes(workdir_lib.containing(path))
  _, shape = known or ((), zoo.image_shape(name))
  field = 'average' if config.train.average else 'params'
  return _restore(module, (size, size, shape[-1]), path, field)


def _restore(module, image_shape, path, field):
  """Returns the variables in a checkpoint, for images of that shape."""
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  try:
    target = jax.eval_shape(module.init, jax.random.key(0), image)
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None
  target = {k: v for k, v in target.items() if k != 'aux_logits'}
  everywhere = NamedSharding(all_devices(), PartitionSpec())
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
    target,
  )
  params = target.pop('params')
  state = checkpoints.load_parameters(
    path, {field: params, 'model_state': target}
  )
  variables = {'params': state[field], **state['model_state']}
  # The global array is whole on each device: take this process's own.
  return jax.tree.map(lambda x: x.addressable_data(0), variables)


def load_variables(name: str, path: str, **options: Any) -> dict[str, Any]:
  """Returns the variables of a network of the zoo, from a file or a run.

  Args:
    name: of the zoo.
    path: what `zoo.weights.load` reads; or a checkpoint, or a workdir for its
      newest.
    **options: of the network; `num_classes` is 1000 by default.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
    ValueError: unknown name or option.
  """
  module = zoo.create(name, **options)
  if storage.path(path).is_dir():
    return _restore(module, zoo.image_shape(name), path, 'params')
  try:
    return weights.load(name, path, **options)
  except weights.WeightsError as error:
    raise UserError(str(error)) from None


def members(config: ConfigDict, class_names: Sequence[str]) -> list[Network]:
  """Returns the networks of `eval.members`, in order.

  Args:
    config: of the network that they join.
    class_names: of its classes. Probabilities are added class by class, so a
      member that records other names, or another order of them, is refused.

  Raises:
    UserError: an unknown network; nothing there, damaged, or it does not fit.
  """
  entries = [e.strip() for e in config.eval.members.split(',')]
  found = []
  for entry in filter(None, entries):
    network = _member(config, entry, len(class_names))
    if known := trained_classes(network.path):
      _check_order(entry, known[0], class_names)
    found.append(network)
  return found


def _check_order(entry, there, here):
  for i, (a, b) in enumerate(zip(there, here)):
    if a != b:
      raise UserError(
        f"eval.members '{entry}': class {i} is '{a}' there, '{b}' in the "
        'network that it joins; members are trained on the same classes'
      )


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
    config.loss = {'name': 'softmax'}
  config.data.image_size = zoo.image_shape(name)[0]
  config.train.average = 0.0
  return load(config, path, num_classes)


def _as_recorded(config, path):
  """Takes from a workdir what makes its network, and its input size."""
  recorded = _recorded(path)
  if not recorded:
    return config  # a checkpoint by itself: the network of this config
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.model = recorded['model']
  _set(config.data, 'image_size', recorded['data'])
  config.data.mean_image = ''  # that of the first network; `load` finds its own
  config.train.average = recorded['train'].get('average', 0.0)
  return config
