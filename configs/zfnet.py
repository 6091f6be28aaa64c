"""ZFNet on ImageNet: Zeiler & Fergus 2014, Section 3.

    --config=configs/zfnet.py:ARGUMENTS
    python main.py --config=configs/zfnet.py --help     lists ARGUMENTS

Choices where the paper is silent or unclear:
  - The rate is "annealed manually when the validation error plateaus": divided
    by 10, three times, after 5 epochs without a new lowest top-1 error.
  - Weight decay is not stated: AlexNet's, whose code it used.
  - Crops are random, AlexNet's. The text has "then using 10 different sub-crops
    of size 224x224 (corners + center with(out) horizontal flips)": crops=ten.
  - Biases, and how images are resized: as AlexNet's, whose code it used.
  - Filters are renormalised after every step; RMS over all weights of one.
  - The mean of each channel in place of the mean image: data.mean_image.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet
from configs.arguments import Argument


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('zfnet'),
    **imagenet.get_arguments(),
    'crops': Argument(
      ('random', 'ten'), 'ten: corners and centre only, as the paper has it'
    ),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  # Section 3: shorter side to 256, its centre, crops of 224.
  crops = 'five_crops' if args['crops'] == 'ten' else 'random_crop'
  imagenet.set_geometry(
    config,
    imagenet.random_crop('area', crops),
    imagenet.center(resize='area'),
  )
  config.train.update(batch_size=128, epochs=70.0, augment='flip')
  config.optimizer.update(
    learning_rate=0.01,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=5e-4,  # not stated
    decay_on='kernels',
    bias_rate=2.0,
    max_filter_rms=0.1,
  )
  config.schedule = imagenet.PLATEAU
  if args['pod'] != 'off':
    config.schedule = {
      'name': 'step',
      'boundaries': ('30 epochs', '50 epochs', '60 epochs'),
      'factors': (0.1, 0.01, 0.001),
    }
  return imagenet.finish(config, args)
