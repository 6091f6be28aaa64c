"""What a config means: flags in, durations resolved, nonsense refused early."""

import inspect
import math
import numbers
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict, config_dict

import zoo
from data import crops, sources
from errors import UserError, closest
from recipe import augment, durations, losses, optimizers, schedules
from recipe.durations import Duration
from runtime import profiling

# Fields of `schedule` that are durations: texts in a config, steps in `recipe`.
_DURATIONS = ('boundaries', 'every', 'warmup')


class _Choice(NamedTuple):
  """A field that names a function, and the section of that one's arguments."""

  field: str
  section: str
  table: Mapping[str, Any]  # functions by name
  skip: int  # parameters that do not come from the config
  beside: tuple[str, ...] = ()  # fields of the section that are none of them

  def parameters(self, name: str) -> list[inspect.Parameter]:
    """Returns those of a function that come from the config."""
    signature = inspect.signature(self.table[name])
    return list(signature.parameters.values())[self.skip :]


_CHOICES = (
  _Choice('data.name', 'data.options', sources.SOURCES, 2),
  _Choice(
    'data.geometry.name', 'data.geometry', crops.GEOMETRIES, 3, ('name',),
  ),
  _Choice(
    'data.eval_geometry.name', 'data.eval_geometry', crops.GEOMETRIES, 3,
    ('name',),
  ),
  _Choice('train.augment', 'train.augment_options', augment.AUGMENTS, 2),
  _Choice('loss.name', 'loss', losses.LOSSES, 2, ('name',)),
  _Choice(
    'optimizer.name', 'optimizer', optimizers.OPTIMIZERS, 1,
    ('name', 'learning_rate'),
  ),
  _Choice('schedule.name', 'schedule', schedules.SCHEDULES, 1, ('name',)),
)  # fmt: skip


class _Range(NamedTuple):
  """The values that a number may have, with both ends; never NaN."""

  low: float
  high: float
  what: str  # in words


_LARGEST = sys.float_info.max
_SMALLEST = sys.float_info.min  # above 0
_FINITE = _Range(-_LARGEST, _LARGEST, 'finite')
_FROM_0 = _Range(0, _LARGEST, 'at least 0')
_FROM_1 = _Range(1, _LARGEST, 'at least 1')
_ABOVE_0 = _Range(_SMALLEST, _LARGEST, 'above 0')
_SHARE = _Range(0, 1, '0 to 1')
_BELOW_1 = _Range(0, math.nextafter(1, 0), '0 or more, below 1')
_FACTOR = _Range(_SMALLEST, math.nextafter(1, 0), 'above 0, below 1')
_LENGTHS = ('train.steps', 'train.epochs')  # one of them is None
# Of a number, or of each of several. What is not here is checked where it is
# used: geometries, parts of data sets.
_RANGES = {
  # JAX's keys take 32 bits: seeds beyond would start as others do.
  'seed': _Range(0, 2**32 - 1, f'0 to {2**32 - 1}'),
  'data.max_errors': _FROM_0,
  'data.threads': _Range(-1, _LARGEST, 'at least 0, or -1 for one a core'),
  'data.image_size': _FROM_1,
  'data.mean': _FINITE,
  'data.std': _ABOVE_0,
  'data.options.shape': _FROM_1,
  'data.options.num_classes': _FROM_1,
  'data.options.examples': _FROM_1,
  'model.width': _ABOVE_0,
  'model.dropout': _BELOW_1,
  'model.aux_dropout': _BELOW_1,
  'model.bn_group': _FROM_1,
  'model.init_range': _FROM_0,
  'model.init_exponent': _FINITE,
  'model.init_coefficient': _FINITE,
  'loss.j': _FROM_0,
  'loss.scale': _ABOVE_0,
  'train.batch_size': _FROM_1,
  'train.microbatch': _FROM_1,
  'train.steps': _Range(1, 2**31 - 1, f'1 to {2**31 - 1}'),
  'train.epochs': _ABOVE_0,
  'train.min_steps': _FROM_0,
  'train.log_every': _FROM_1,
  'train.steps_per_call': _FROM_1,
  'train.aux_weight': _FROM_0,
  'train.average': _BELOW_1,
  'train.statistics_batches': _FROM_0,
  'train.augment_options.translate': _FROM_0,
  'train.augment_options.scale': _BELOW_1,
  'train.augment_options.squeeze': _BELOW_1,
  'train.augment_options.shear': _FROM_0,
  'train.augment_options.probability': _SHARE,
  'train.augment_options.std': _FROM_0,
  'train.augment_options.deviations': _FROM_0,
  'train.augment_options.brightness': _SHARE,
  'train.augment_options.contrast': _SHARE,
  'train.augment_options.colour': _SHARE,
  'train.augment_options.lighting': _FROM_0,
  'train.augment_options.padding': _FROM_0,
  'train.augment_options.fill': _FINITE,
  'optimizer.learning_rate': _FROM_0,
  'optimizer.momentum': _BELOW_1,
  'optimizer.weight_decay': _FROM_0,
  'optimizer.bias_rate': _FROM_0,
  'optimizer.rates': _FROM_0,
  'optimizer.max_filter_rms': _FROM_0,
  'optimizer.mu': _ABOVE_0,
  'optimizer.samples': _FROM_1,
  'schedule.factors': _FROM_0,
  'schedule.factor': _FACTOR,
  'schedule.patience': _FROM_1,
  'schedule.drops': _FROM_0,
  'schedule.start': _ABOVE_0,
  'schedule.error': _SHARE,
  'eval.batch_size': _FROM_1,
  'eval.scales': _FROM_1,
  'checkpoint.keep': _FROM_1,
  'checkpoint.keep_best': _FROM_0,
}


def make_room(config: ConfigDict, overrides: Mapping[str, str]) -> None:
  """Gives a config the fields that the command line sets beyond its own.

  Which fields a section has depends on what it names. `--config.loss.name=map
  --config.loss.j=1` brings the field j, and `--config.model.name=NAME` the
  fields of that network in place of those of the file's.

  Args:
    config: changed in place; values are set by the flags afterwards.
    overrides: texts of `--config.FIELD=TEXT` by field.

  Raises:
    UserError: no such field; names the closest.
  """
  with config.unlocked():
    name = overrides.get('model.name', config.model.name)
    if name != config.model.name and name in zoo.names():
      config.model = {
        'name': config.model.name,
        'dtype': config.model.dtype,
        **zoo.options(name),
      }
    for choice in _CHOICES:
      _open_section(config, overrides, choice)
  for path in overrides:
    _check_field(config, path)


def _open_section(config, overrides, choice):
  """Drops what a newly named function does not take; adds what is set."""
  old = _field(config, choice.field)
  name, section = (
    overrides.get(choice.field, old),
    _field(config, choice.section),
  )
  if name not in choice.table:  # refused later, by value
    return
  taken = choice.parameters(name)
  known = [p.name for p in taken]
  for field in list(section) if name != old else ():
    if field not in (*known, *choice.beside):
      del section[field]
  for p in taken:
    set_here = f'{choice.section}.{p.name}' in overrides
    if set_here and p.name not in section:
      section[p.name] = _start_value(choice.section, p)


def _start_value(section, parameter):
  """Returns a value of the type that a parameter takes."""
  if typing.get_origin(parameter.annotation) is Sequence:
    return ()
  if section == 'schedule' and parameter.name in _DURATIONS:
    return ''
  if parameter.default not in (parameter.empty, None):
    return parameter.default
  kind = parameter.annotation
  return config_dict.placeholder(kind if isinstance(kind, type) else str)


def _field(config, path, *default):
  for part in path.split('.'):
    if default and part not in config:
      return default[0]
    config = config[part]
  return config


def _check_field(config, path):
  section, done = config, ''
  for part in path.split('.'):
    known = list(section) if isinstance(section, ConfigDict) else []
    if part not in known:
      for choice in _CHOICES:
        name = _field(config, choice.field)
        if choice.section == done and name in choice.table:
          known += [p.name for p in choice.parameters(name)]
      hint = closest(part, dict.fromkeys(known)) if known else ''
      raise UserError(f"no config field '{path}'.{hint}")
    section, done = section[part], f'{done}.{part}'.strip('.')


def apply_overrides(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
  """Lets a length on the command line replace those of the file.

  `train.steps` replaces `train.epochs`, and the reverse; `train.min_steps` is
  of the file's length only.

  Args:
    config: changed in place; overrides are applied to it already.
    overrides: the fields that the command line sets, by dotted path.

  Raises:
    UserError: both are on the command line.
  """
  given = [u for u in ('steps', 'epochs') if f'train.{u}' in overrides]
  if len(given) == 2:
    raise UserError(
      'train.steps and train.epochs are two names of one thing: give one'
    )
  if given == ['steps']:
    config.train.epochs = None
  if given == ['epochs']:
    config.train.steps = None
  if given:
    config.train.min_steps = 0


def training_length(config: ConfigDict) -> Duration:
  """Returns the length that `train.steps` or `train.epochs` gives.

  Raises:
    UserError: neither or both are set, or not positive.
  """
  steps, epochs = config.train.steps, config.train.epochs
  if (steps is None) == (epochs is None):
    raise UserError(
      f'set one of train.steps ({steps}) and train.epochs ({epochs})'
    )
  name, amount = ('steps', steps) if epochs is None else ('epochs', epochs)
  if amount <= 0:
    raise UserError(f'train.{name} is {amount}: training needs more than zero')
  return Duration(amount, name)


def schedule_durations(config: ConfigDict) -> dict[str, Any]:
  """Returns the fields of `schedule` that are durations, read.

  Raises:
    UserError: names the field.
  """
  fields: dict[str, Any] = {}
  for field in _DURATIONS:
    value = config.schedule.get(field)
    where = f'schedule.{field}'
    if isinstance(value, tuple | list):
      fields[field] = [durations.parse(text, where) for text in value]
    elif value:
      fields[field] = durations.parse(value, where)
  return fields


def defaults_of_network(config: ConfigDict) -> dict[str, Any]:
  """Returns {'model.FIELD': value} of its network; of one of the zoo only."""
  name = config.model.name
  options = zoo.options(name) if name in zoo.NETWORKS else {}
  return {f'model.{field}': value for field, value in options.items()}


def check(config: ConfigDict, devices: int) -> None:
  """Refuses what cannot work, before any file is read or program compiled.

  Args:
    config: resolved.
    devices: number of devices of the run.

  Raises:
    UserError: names the field, its value, and the way out.
  """
  training_length(config)
  profiling.parse(config.profile)
  if '://' in config.data.dir:
    raise UserError(
      f'data.dir {config.data.dir}: data are read from files. Copy them to a '
      'disk, or mount the bucket and give its path; see docs/pods.md'
    )
  for section in ('eval', 'checkpoint'):
    durations.parse(config[section].every, f'{section}.every')
  schedule_durations(config)
  _check_ranges(config)
  _check_batch(config.train.batch_size, config.train.microbatch, devices)
  _check_names(config)


def _check_ranges(config):
  for path, bounds in _RANGES.items():
    value = _field(config, path, ())  # (): not of what this config names
    if value is None and path in _LENGTHS:
      continue
    if isinstance(value, ConfigDict):
      value = dict(value)
    parts = value.values() if isinstance(value, dict) else value
    several = parts if isinstance(parts, Iterable) else (parts,)
    for number in several:
      plain = isinstance(number, numbers.Real)
      if not plain or not bounds.low <= number <= bounds.high:
        raise UserError(f'{path} is {value}: {bounds.what}')


def _check_batch(batch, parts, devices):
  if batch % (devices * parts) == 0:
    return
  fits = -(-batch // (devices * parts)) * devices * parts
  raise UserError(
    f'train.batch_size {batch} does not divide by {devices} device'
    f'{"s" * (devices > 1)} x train.microbatch {parts}; {fits} would'
  )


def _check_names(config):
  if config.init_head not in ('same', 'new'):
    raise UserError(f"init_head '{config.init_head}': same or new")
  if config.data.order not in ('rgb', 'bgr'):
    raise UserError(f"data.order '{config.data.order}': rgb or bgr")
  name = config.model.name
  if name not in zoo.names():
    near = zoo.suggest(name)
    hint = f" Did you mean '{near}'?" if near else closest(name, zoo.names())
    raise UserError(f"model.name '{name}' is unknown.{hint}")
  if config.model.dtype not in ('float32', 'bfloat16'):
    raise UserError(f"model.dtype '{config.model.dtype}': float32 or bfloat16")
  for choice in _CHOICES:
    chosen = _field(config, choice.field)
    if chosen not in (*choice.table, 'none'):  # no geometry
      raise UserError(
        f"{choice.field} '{chosen}' is unknown.{closest(chosen, choice.table)}"
      )
  if config.data.on_error not in ('stop', 'skip'):
    raise UserError(f"data.on_error '{config.data.on_error}': stop or skip")
  if config.optimizer.name == 'sdlm' and name != 'lenet5':
    raise UserError(
      "optimizer.name 'sdlm' knows the layers of model.name 'lenet5' only, "
      f"not '{name}'"
    )
  if config.loss.name == 'penalty' and name != 'lenet5':
    raise UserError(
      "loss.name 'penalty' needs the fixed codes of model.name 'lenet5'; "
      f"with '{name}' it has no minimum"
    )
