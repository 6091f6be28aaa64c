"""What a config stands for: its parts, built and checked."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

import config_lib
import zoo
from data import crops, parts, photos, preprocess, sources
from errors import UserError, one_line
from recipe import (
  augment,
  durations,
  freezing,
  losses,
  optimizers,
  schedules,
)
from runtime import profiling
from runtime.mesh import all_devices, batch_sharding
from zoo import counts


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What a config stands for, built and checked; the devices it runs on."""

  config: ConfigDict
  module: nn.Module
  loss: losses.Loss
  augment: augment.Augment
  prepare: Callable[[jax.Array], jax.Array]
  batch_sharding: NamedSharding
  train_source: sources.Source
  eval_source: sources.Source
  steps: int
  rate: schedules.Rate
  optimizer: optax.GradientTransformationExtraArgs  # of what learns
  learning: freezing.Learning
  macs: int  # multiplications of a forward pass of an image: zoo.counts

  @property
  def training_flops(self) -> int:
    """Operations of an image in a train step; 0: not known.

    A multiplication and an addition for each weight at each position, in the
    forward pass and for the gradients of weights and of inputs. Of some of
    these there is none where layers are frozen.
    """
    return 0 if self.learning.frozen else 3 * 2 * self.macs

  @property
  def replicated(self) -> NamedSharding:
    """The sharding of the state: whole, on every device."""
    return NamedSharding(self.batch_sharding.mesh, PartitionSpec())

  def training_input(self, key: jax.Array, images: jax.Array) -> jax.Array:
    """uint8 [N, H, W, C] of the source -> what the network sees in training."""
    images = preprocess.pad_to(images, self.config.data.image_size)
    return self.prepare(self.augment(key, images))

  def due(self, every: str, step: int) -> bool:
    """Whether the step that was just taken passes a multiple of a duration."""
    batch = self.config.train.batch_size
    period = self.period(every)
    return step * batch // period > (step - 1) * batch // period

  def period(self, every: str) -> int:
    """Returns a duration in examples, at least 1."""
    length = durations.parse(every, 'every')
    batch = self.config.train.batch_size
    total = self.steps * batch
    return max(length.examples(len(self.train_source), batch, total), 1)


class Trained(NamedTuple):
  """What was trained, and on which classes in which order."""

  owner: str  # for a person
  class_names: tuple[str, ...]
  way_out: str  # where the data have other classes


def create_experiment(
  config: ConfigDict,
  mesh: Mesh | None = None,
  trained: Trained | None = None,
  splits: tuple[sources.Source, sources.Source] | None = None,
) -> Experiment:
  """Builds everything that a config names, cheapest checks first.

  Args:
    config: resolved.
    mesh: of the devices to run on; by default all of this run.
    trained: whose parameters these data are for; None: nobody's.
    splits: to train and to test on, where they are open already.

  Raises:
    UserError: names the field, its value, and the way out.
  """
  mesh = mesh or all_devices()
  config_lib.check(config, mesh.size)
  loss = losses.create(**config.loss)
  augmentation = augment.create(
    config.train.augment, **config.train.augment_options
  )
  train_source, eval_source = splits or (
    create_source(config, 'train', trained),
    create_source(config, 'test', trained),
  )
  try:
    module = zoo.create(num_classes=train_source.num_classes, **config.model)
  except ValueError as error:
    raise UserError(f'model: {error}') from None

  batch_size = config.train.batch_size
  length = config_lib.training_length(config)
  steps = length.steps(len(train_source), batch_size)
  steps = max(steps, config.train.min_steps)
  optimizer = dict(config.optimizer)
  learning = _set_layers(optimizer, config, module, train_source)
  rate = _rate(
    config,
    optimizer.pop('learning_rate'),
    lambda duration: duration.steps(len(train_source), batch_size, steps),
  )
  experiment = Experiment(
    config=config,
    module=module,
    loss=loss,
    augment=augmentation,
    prepare=preprocess.of_config(config),
    batch_sharding=batch_sharding(mesh),
    train_source=train_source,
    eval_source=eval_source,
    steps=steps,
    rate=rate,
    optimizer=optimizers.create(optimizer.pop('name'), rate, **optimizer),
    learning=learning,
    macs=0,
  )
  _check_input(experiment)
  return dataclasses.replace(experiment, macs=_macs(experiment))


def _set_layers(fields, config, module, source) -> freezing.Learning:
  """Resolves the names of layers in `optimizer`; returns what learns."""
  if not fields.get('frozen') and not fields.get('rates'):
    return freezing.Learning()
  if fields.get('frozen') and config.model.get('scan'):
    raise UserError(
      'optimizer.frozen does not go with model.scan, whose loop is of equal '
      'blocks: --config.model.scan=False'
    )
  image = _one_image(config, source)
  modules = freezing.modules_of(_init_shapes(module, image)['params'])
  head = zoo.classifier(**config.model)
  learning = freezing.create(fields.get('frozen', ()), modules, head)
  if rates := fields.get('rates'):
    fields['rates'] = freezing.factors(rates, modules, head, learning.frozen)
  return learning


def _rate(config, learning_rate, steps_of):
  """Returns the schedule of a config, its durations as steps."""
  in_steps = {
    field: (
      [steps_of(v) for v in value]
      if isinstance(value, list)
      else steps_of(value)
    )
    for field, value in config_lib.schedule_durations(config).items()
  }
  return schedules.create(
    learning_rate=learning_rate, **{**config.schedule, **in_steps}
  )


def create_source(
  config: ConfigDict, split: str, trained: Trained | None = None
) -> sources.Source:
  """Returns the split 'train' or 'test', photographs through their geometry.

  Of 'test' a part of the training set, where that is what `eval.split` says.
  Labels count as the classes of `trained` do, if any, whatever their order is
  in the data.

  Raises:
    UserError: names the field, its value, and the way out.
  """
  data = config.data
  options = parts.of_split(data.options, split, config.eval.split)
  found = sources.create(data.name, split, data.dir, **options)
  if trained is not None:
    owner, names, way_out = trained
    sources.check_classes(found.class_names, names, owner, way_out)
    found = sources.in_order(found, names)
  return as_source(config, split, found)


def as_source(
  config: ConfigDict, split: str, found: sources.Source | photos.Photos
) -> sources.Source:
  """Returns a split as a source, photographs through their geometry.

  Raises:
    UserError: the geometry does not go with the data.
  """
  data = config.data
  field = {'train': 'geometry', 'test': 'eval_geometry'}[split]
  cut = data[field].name != 'none'
  if cut != isinstance(found, photos.Photos):
    raise UserError(
      f"data.{field}.name '{data[field].name}' does not go with data.name "
      f"'{data.name}': "
      + (
        'its images have one size already, set none'
        + ', or data.options.photographs=True' * (data.name == 'tfds')
        if cut
        else f'photographs need one of {", ".join(crops.names())}'
      )
    )
  if not isinstance(found, photos.Photos):
    return found
  return photos.Cropped(
    found,
    crops.create(f'data.{field}', data.image_size, **data[field]),
    data.image_size,
    config.seed,
    # Every image of an evaluation counts, so none may be replaced.
    data.max_errors if (data.on_error, split) == ('skip', 'train') else 0,
    split,
  )


def sample_images(experiment: Experiment) -> jax.ShapeDtypeStruct:
  """Returns what one image is as the network takes it, [1, size, size, C]."""
  return _one_image(experiment.config, experiment.train_source)


def _one_image(config, source):
  size = config.data.image_size
  shape = (1, size, size, source.image_shape[-1])
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _init_shapes(module, image):
  """Returns the variables of a network, as shapes."""
  try:
    return jax.eval_shape(module.init, jax.random.key(0), image)
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None


def _macs(experiment) -> int:
  """Returns the multiplications of a network, which is tried on the way."""
  shape = sample_images(experiment).shape[1:]
  try:
    return counts.total(counts.rows_of(experiment.module, shape)).macs
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None


def check_training(experiment: Experiment) -> None:
  """Refuses images and batches that the network cannot be trained on.

  Evaluation may take some of them: GoogLeNet's has no auxiliary heads.

  Raises:
    UserError: names the fields, and the way out.
  """
  _check_steps_per_call(experiment)
  _check_profile(experiment)
  key, image = jax.random.key(0), sample_images(experiment)
  train = experiment.config.train
  shape = (train.batch_size // train.microbatch, *image.shape[1:])
  try:
    jax.eval_shape(
      functools.partial(experiment.module.init, train=True),
      {'params': key, 'dropout': key},
      jax.ShapeDtypeStruct(shape, image.dtype),
    )
  except ValueError as error:
    raise UserError(
      f'model, data.image_size or train.batch_size: {error}'
    ) from None


def _check_steps_per_call(experiment):
  """What happens between steps must happen at multiples of a call's steps."""
  config, together = experiment.config, experiment.config.train.steps_per_call
  if together == 1:
    return
  moments = {
    'eval.every': config.eval.every,
    'checkpoint.every': config.checkpoint.every,
    'the length of training': experiment.steps,
  }
  if config.optimizer.name == 'sdlm':
    moments['a pass, before which the curvature is estimated,'] = '1 epoch'
  for name, every in moments.items():
    examples = experiment.period(every)
    if examples % (together * config.train.batch_size):
      raise UserError(
        f'train.steps_per_call is {together}: {name} ({every}) falls on steps '
        'that are no multiple of it'
      )


def _check_profile(experiment):
  config = experiment.config
  if (span := profiling.parse(config.profile)) is None:
    return
  moments = [
    profiling.Moment('an evaluation (eval.every)', config.eval.every),
    profiling.Moment(
      'a checkpoint (checkpoint.every)', config.checkpoint.every
    ),
  ]
  if config.optimizer.name == 'sdlm':
    what = "a pass, at which optimizer.name 'sdlm' estimates the curvature"
    moments.append(profiling.Moment(what, '1 epoch', early=True))
  together = config.train.steps_per_call
  profiling.check(span, experiment.steps, together, moments, experiment.due)


def _check_input(experiment):
  size = experiment.config.data.image_size
  if size < max(experiment.train_source.image_shape[:2]):
    raise UserError(
      f'data.image_size {size} is smaller than the images '
      f'{experiment.train_source.image_shape}'
    )
  key = jax.random.key(0)
  raw = (1, *experiment.train_source.image_shape)
  image = sample_images(experiment)
  name = f"train.augment '{experiment.config.train.augment}'"
  try:
    seen = jax.eval_shape(
      experiment.training_input, key, jax.ShapeDtypeStruct(raw, jnp.uint8)
    )
  except (TypeError, ValueError) as error:
    raise UserError(
      f'{name} cannot be done to images of {raw[1:]}: {one_line(error)}'
    ) from None
  if seen.shape != image.shape:  # colours added to grey
    raise UserError(
      f'{name} cannot be done to images of {raw[1:]}: they would have '
      f'{seen.shape[-1]} channels'
    )
