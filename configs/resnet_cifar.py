"""ResNet and its plain nets on CIFAR-10 or -100: He et al. 2015, Section 4.2.

    --config=configs/resnet_cifar.py:ARGUMENTS
    python main.py --config=configs/resnet_cifar.py --help     lists ARGUMENTS

Choices where the paper is silent or unclear:
  - Trains on all 50,000 images, as its results; its schedule was chosen on
    45,000: --config.data.options.holdout=5000 is such a split.
  - CIFAR-100 is not in the paper: its recipe for CIFAR-10.
  - The mean of each channel in place of that of each pixel: data.mean_image.
  - Statistics of batch normalisation are of 64 images: 128 on two GPUs.
  - ResNet-110: the rate is 0.01 until a batch has less than 80 % of training
    error; the paper does not say over how many images. ResNet-1202 is "trained
    as described above": with that warm-up.
  - What decays: as in configs/resnet.py.
  - Batch statistics are the moving averages. The authors' note that theirs were
    computed anew is of the ImageNet nets.
"""

from ml_collections import ConfigDict

import zoo
from configs import arguments, default
from configs.arguments import Argument
from configs.resnet import DECAY

# Of CIFAR-10 and -100: fb.resnet.torch, datasets/cifar10.lua and cifar100.lua.
# The others: tools.data_mean. A set of TFDS may be any, grey or in colour.
MEANS = {
  'cifar10': (125.3, 123.0, 113.9),
  'cifar100': (129.3, 124.1, 112.4),
  'fashion_mnist': (72.94,),
  'mnist5k': (33.3,),
  'fake': (127.5,),
  'tfds': (127.5,),
}


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('resnet_cifar'),
    'data': Argument(tuple(MEANS), 'docs/data.md'),
    'decay': DECAY,
    'smoke': arguments.switch('3 steps of 32 images, for a look'),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = default.get_config()
  name, mean = args['variant'], MEANS[args['data']]
  config.model.name = name
  config.model.update(zoo.options(name))
  options = {
    'fake': {'shape': (32, 32, 3), 'num_classes': 10, 'examples': 4096},
    'tfds': {'builder': ''},
  }
  config.data.update(
    name=args['data'],
    options=options.get(args['data'], {}),
    threads=-1 if args['data'] == 'tfds' else 0,
    image_size=32,
    mean=mean,
    std=(1.0,),  # the mean is subtracted, no more
  )
  config.train.update(
    batch_size=128,
    steps=64_000,
    augment='pad_crop',
    augment_options={'padding': 4, 'fill': mean},
  )
  config.optimizer.update(
    learning_rate=0.1,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=1e-4,
    decay_on='all' if args['decay'] == 'fb' else 'kernels',
  )
  config.schedule = {
    'name': 'step',
    'boundaries': ('32000 steps', '48000 steps'),
    'factors': (0.1, 0.01),
  }
  if name in ('resnet110_cifar', 'resnet1202_cifar'):
    config.schedule = {
      **config.schedule,
      'name': 'until_error',
      'start': 0.1,
      'error': 0.8,
    }
  if args['smoke']:
    config.train.update(batch_size=32, steps=3, log_every=1)
    config.model.bn_group = 32
  return config
