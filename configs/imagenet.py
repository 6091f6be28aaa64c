"""What the five ImageNet configs share: data, smoke runs, the pod recipe."""

from ml_collections import ConfigDict

import zoo
from configs import arguments, default
from configs.arguments import Argument

IMAGES = 1_281_167  # ILSVRC-2012, training
# Mean of RGB over the 256x256 centres of ImageNet: cuda-convnet2, input_meta.
# The papers subtract the mean of each pixel, as data.mean_image does; its
# channels differ by little, and their mean fits crops of any place and size.
MEAN = (127.30, 119.72, 104.91)
# "Divided by 10 when the validation error stops improving" (AlexNet, Section 5;
# VGG, 3.1; ResNet, 3.4; ZFNet, 3, by hand): after 5 evaluations, epochs,
# without a new lowest top-1 error, three times at most. The patience is ours.
PLATEAU = {'name': 'plateau', 'factor': 0.1, 'patience': 5, 'drops': 3}
CAFFE_MEAN = (123.0, 117.0, 104.0)  # of Caffe's released networks


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that all ImageNet configs take."""
  return {
    'data': Argument(
      ('imagenet2012', 'folder', 'tfds', 'fake'),
      'photographs: docs/data.md; fake: noise, needs no files',
    ),
    'smoke': arguments.switch('3 steps of 8 images, for a look'),
    'pod': Argument(
      ('off', '1024', '2048', '4096', '8192'),
      "images a batch, with warm-up; not the paper's recipe",
    ),
  }


def get_config(name: str, data: str, smoke: bool) -> ConfigDict:
  """Returns the defaults with a network and a data set of photographs."""
  config = default.get_config()
  config.model.name = name
  config.model.update(zoo.options(name))
  side = zoo.image_shape(name)[0]
  options = {
    'fake': {'shape': (side, side, 3), 'num_classes': 1000, 'examples': 64},
    'tfds': {'builder': '', 'photographs': True},  # of one size: resized
  }
  config.data.update(
    name=data,
    options=options.get(data, {}),
    image_size=side,
    mean=MEAN,
    std=(1.0,),
  )
  config.eval.batch_size = 256
  if smoke:
    config.train.log_every = 1
  return config


def set_geometry(config: ConfigDict, train: dict, test: dict) -> None:
  """Sets how photographs become crops; `fake` images have one size."""
  if config.data.name != 'fake':
    config.data.geometry = train
    config.data.eval_geometry = test


def center(shorter_side: int = 256, resize: str = 'bilinear') -> dict:
  """Returns the usual geometry of a single test crop."""
  return {'name': 'center', 'shorter_side': shorter_side, 'resize': resize}


def random_crop(resize: str, name: str = 'random_crop') -> dict:
  """Returns AlexNet's and ZFNet's training crops of the central 256x256."""
  return {'name': name, 'shorter_side': 256, 'resize': resize}


def steps_in_epochs(steps: int, batch_size: int) -> float:
  """Returns a paper's iterations on ImageNet as epochs, to two places."""
  return round(steps * batch_size / IMAGES, 2)


def finish(config: ConfigDict, args: dict) -> ConfigDict:
  """Applies the arguments that all configs take.

  `smoke`: 3 steps of 8 images. `pod`: not the paper's. Batches of that size
  with the rate scaled in proportion and 5 epochs of linear warm-up (Goyal et
  al. 2017), bfloat16; the drops stay at their epochs. For schedules by steps.
  """
  if args['pod'] != 'off' and config.schedule.name == 'step':
    factor = int(args['pod']) / config.train.batch_size
    config.train.batch_size = int(args['pod'])
    config.optimizer.learning_rate *= factor
    config.schedule = {**config.schedule, 'warmup': '5 epochs'}
    config.model.dtype = 'bfloat16'
  if args['smoke']:
    config.train.batch_size = 8
    config.train.epochs = None
    config.train.steps = 3
    config.eval.batch_size = 8
    if 'bn_group' in config.model:
      config.model.bn_group = 8
  return config
