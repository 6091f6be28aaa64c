"""VGG on ImageNet: Simonyan & Zisserman 2014, Sections 2.1 and 3.1.

    --config=configs/vgg.py:ARGUMENTS
    python main.py --config=configs/vgg.py --help     lists ARGUMENTS

Section 3.1: deeper nets at S = 256 start from layers of A, S = 384 from all of
the same net at S = 256, jitter from all of it at S = 384: --config.init_from.
start=glorot does without.

Choices where the paper is silent or unclear:
  - "decreased by a factor of 10 when the validation accuracy stopped improving"
    three times: after 5 epochs without a new lowest top-1 error.
  - Of A, "the first four convolutional layers" are copied by shape, to conv1_1,
    conv2_1, conv3_1 and conv3_2.
  - Biases do not decay, and learn twice as fast, as in Caffe's examples, with
    which these nets were trained; the paper says nothing of them.
  - The rate of 384, 1e-3, is the paper's; that of jitter, the same, is ours: it
    is "fine-tuning" as well.
  - Random layers have a deviation of 0.01, as in AlexNet and Caffe, not the
    0.1 of "variance 10^-2": see zoo/vgg.py.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet
from configs.arguments import Argument

SIDES = {'256': (256, 256), '384': (384, 384), 'jitter': (256, 512)}
TEST_SIDES = {'256': 256, '384': 384, 'jitter': 384}  # Section 4.1
STARTS_FROM = {'384': '256', 'jitter': '384'}
OF_A = ('conv1_1', 'conv2_1', 'conv3_1', 'conv3_2', 'fc6', 'fc7', 'fc8')


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('vgg', default='vgg_d'),
    **imagenet.get_arguments(),
    'scale': Argument(
      tuple(SIDES), 'shorter side S of training images; jitter: 256 to 512'
    ),
    'start': Argument(
      ('pretrained', 'glorot'),
      'pretrained: deep nets take layers of A (init_from)',
    ),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  smallest, largest = SIDES[args['scale']]
  imagenet.set_geometry(
    config,
    {'name': 'scale_jitter', 'smallest': smallest, 'largest': largest},
    imagenet.center(TEST_SIDES[args['scale']]),
  )
  config.data.mean = (123.68, 116.779, 103.939)  # of the released networks
  config.train.update(
    batch_size=256,
    # "after 370K iterations (74 epochs)"
    epochs=imagenet.steps_in_epochs(370_000, 256),
    augment='lighting',  # Section 2.1: flips and colour as AlexNet's
    augment_options={'std': 0.1, 'form': 'code'},
  )
  config.optimizer.update(
    learning_rate=1e-2,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=5e-4,
    decay_on='kernels',
    bias_rate=2.0,
  )
  config.schedule = imagenet.PLATEAU
  if args['pod'] != 'off':
    config.schedule = {
      'name': 'step',
      'boundaries': ('30 epochs', '50 epochs', '65 epochs'),
      'factors': (0.1, 0.01, 0.001),
    }
  config.model.initializer = 'caffe'
  if args['start'] == 'glorot' or args['smoke']:
    config.model.initializer = 'glorot'
  else:
    _set_start(config, args['variant'], args['scale'])
  return imagenet.finish(config, args)


def _set_start(config, variant, scale):
  """The chain of Section 3.1: A at 256, then 256, 384, jitter."""
  if scale == '256' and not variant.startswith('vgg_a'):
    config.init_layers = OF_A
    config.init_required = 'a trained vgg_a (variant=vgg_a, or start=glorot)'
  elif scale in STARTS_FROM:
    before = STARTS_FROM[scale]
    config.init_required = (
      f'{variant} trained at S = {before} (scale={before}, or start=glorot)'
    )
    config.optimizer.learning_rate = 1e-3
