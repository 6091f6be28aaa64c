"""GoogLeNet on ImageNet: Szegedy et al. 2014, Sections 5 and 6.

    --config=configs/googlenet.py:ARGUMENTS
    python main.py --config=configs/googlenet.py --help     lists ARGUMENTS

The paper gives no first rate, batch size, weight decay, initialisation or
length; the values are those of Caffe's bvlc_googlenet, made with its author's
help. Its training was asynchronous; this one is not.

Choices where both are silent:
  - Polyak averaging has no horizon in the paper: an exponential average with
    weight 0.9999 of the old, the averaged weights are evaluated.
  - Howard's distortions: see recipe.augment.photometric.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet
from configs.arguments import Argument


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('googlenet'),
    **imagenet.get_arguments(),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  caffe = args['variant'] == 'bvlc_googlenet'
  imagenet.set_geometry(
    config,
    {'name': 'inception', 'area': (0.08, 1.0), 'aspect': (3 / 4, 4 / 3)},
    imagenet.center(resize='warp' if caffe else 'bilinear'),
  )  # Section 6
  config.data.mean = imagenet.CAFFE_MEAN
  config.train.update(
    batch_size=32,  # bvlc_googlenet
    epochs=250.0,  # bvlc_googlenet: 10,000,000 iterations
    aux_weight=0.3,  # Section 5
    average=0.9999,
    augment='photometric',
    augment_options={
      'brightness': 0.5,
      'contrast': 0.5,
      'colour': 0.5,
      'lighting': 0.1,
    },
  )
  config.optimizer.update(
    learning_rate=0.01,  # bvlc_googlenet
    momentum=0.9,  # Section 6
    momentum_form='caffe',
    weight_decay=2e-4,  # bvlc_googlenet, weights only, biases twice as fast
    decay_on='kernels',
    bias_rate=2.0,
  )
  config.schedule = {  # Section 6: "decreasing by 4% every 8 epochs"
    'name': 'exponential',
    'every': '8 epochs',
    'factor': 0.96,
  }
  if args['pod'] != 'off':
    config.schedule = {
      'name': 'step',
      'boundaries': ('120 epochs', '200 epochs'),
      'factors': (0.1, 0.01),
    }
  return imagenet.finish(config, args)
