"""A trained network for a problem of one's own; the recipe is ours.

    --config=configs/finetune.py:ARGUMENTS
    python main.py --config=configs/finetune.py --help     lists ARGUMENTS

    python main.py --config=configs/finetune.py:network=vgg_d,data=folder \
        --config.data.dir=PHOTOS --config.init_from=FILE --workdir=/tmp/a

For some hundred to ten thousand images. All layers but the classifier come from
`init_from`, a file of published weights or a workdir, and so does how images
are prepared. What follows the data: 20 passes, but 300 steps at least; the rate
falls after 60 and 85 % of them, and every 5 % there is an evaluation.

Rates, momentum and decay are those of Caffe's example of fine-tuning AlexNet
(models/finetune_flickr_style: 0.001, ten times that for the new classifier,
0.9, 5e-4), as R-CNN had them. learn=head trains the classifier only, on
features as they are (ZFNet, Section 5.2): no other layer costs a gradient.
"""

from ml_collections import ConfigDict

import zoo
from configs import arguments, default, imagenet, lenet5
from configs.arguments import Argument

DIGITS = ('mnist', 'fashion_mnist', 'mnist5k')
PASSES = 20
FEWEST_STEPS = 300  # 20 passes over a hundred images are 63 steps


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  names = sorted(zoo.names(), key=lambda name: name != 'resnet18_v1_5')
  return {
    'network': Argument(tuple(names), 'that is trained already: docs/zoo.md'),
    'data': Argument(
      ('folder', 'tfds', 'cifar10', 'cifar100', *DIGITS, 'fake'), 'docs/data.md'
    ),
    'learn': Argument(
      ('all', 'head'), 'head: the classifier only, on features as they are'
    ),
    'start': Argument(
      ('pretrained', 'scratch'), 'scratch: without init_from, to compare with'
    ),
    'smoke': arguments.switch('3 steps of 8 images, for a look'),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = default.get_config()
  config.model.name = name = args['network']
  config.model.update(zoo.options(name))
  _set_data(config, args['data'])
  config.train.update(
    batch_size=32,
    epochs=float(PASSES),
    min_steps=FEWEST_STEPS,
    log_every=10,
    statistics_batches=50 if 'bn_group' in config.model else 0,
  )
  config.optimizer.update(
    learning_rate=0.001,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=5e-4,
    decay_on='kernels',
    rates={'head': 10.0},
  )
  config.schedule.update(boundaries=('60 %', '85 %'), factors=(0.1, 0.01))
  config.eval.update(every='5 %', batch_size=100)
  config.checkpoint.every = '5 %'
  if name == 'lenet5':
    lenet5.set_network(config, name)
  if args['learn'] == 'head':
    config.optimizer.frozen = ('body',)
  _set_start(config, args['start'])
  if args['smoke']:
    config.train.update(batch_size=8, epochs=None, steps=3, min_steps=0)
    config.eval.batch_size = 8
  return config


def _set_data(config, name):
  shape = zoo.image_shape(config.model.name)
  side = shape[0]
  config.data.update(name=name, image_size=side)
  if name in DIGITS:
    config.data.threads = 0
    return
  if name == 'fake':
    config.data.options = {'shape': shape, 'num_classes': 3, 'examples': 64}
  if name == 'tfds':
    config.data.options = {'builder': '', 'photographs': True}
  config.train.augment = 'flip'
  if name in ('folder', 'tfds'):
    config.data.geometry = {
      'name': 'inception',
      'area': (0.35, 1.0),
      'interpolation': 'linear',
    }
    # 256 for 224, as the papers have it.
    config.data.eval_geometry = imagenet.center(round(side * 8 / 7))


def _set_start(config, start):
  if start == 'scratch':
    digits = config.data.name in DIGITS
    config.data.update(
      mean=lenet5.MEAN if digits else imagenet.MEAN,
      std=lenet5.STD if digits else (1.0,),
    )
    config.optimizer.rates = {}
    config.optimizer.learning_rate = 0.01  # that of a new classifier
    return
  config.init_head = 'new'
  config.init_required = (
    f'a trained {config.model.name}, a file of published weights or a workdir '
    '(start=scratch does without)'
  )
  config.data.mean = ()  # as the network was trained
