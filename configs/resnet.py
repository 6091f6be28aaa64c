"""ResNet and its plain nets on ImageNet: He et al. 2015, Section 3.4.

    --config=configs/resnet.py:ARGUMENTS
    python main.py --config=configs/resnet.py --help     lists ARGUMENTS

Choices where the paper is silent or unclear:
  - "divided by 10 when the error plateaus": after 5 epochs without a new lowest
    top-1 error; at most three times, as far as Figure 4 shows. The paper prints
    no iterations: schedule=step is fb.resnet.torch's every 30 epochs.
  - Weights of convolutions and of the classifier decay. fb.resnet.torch, whose
    README lists it among its differences from the paper, has everything decay,
    biases and batch normalisation too: decay=fb.
  - The mean of each channel in place of the mean image: data.mean_image.
  - Statistics of batch normalisation are of 32 images, a GPU's share of 256,
    and recomputed over 200 batches after training; the authors' files do not
    say how many.

On TPU, training has forms of batch normalisation that are the same to rounding
and move fewer bytes, a quarter for bottlenecks where 128 images share
statistics; --config.model.fused_norm=False: the plain ones.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet
from configs.arguments import Argument

DECAY = Argument(
  ('paper', 'fb'), 'of weights only; fb: of everything, as fb.resnet.torch'
)


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('resnet', default='resnet50'),
    **imagenet.get_arguments(),
    'schedule': Argument(
      ('plateau', 'step'), 'step: drops after 30, 60 and 90 epochs'
    ),
    'decay': DECAY,
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  # Shorter side uniform in [256, 480], random 224.
  imagenet.set_geometry(
    config,
    {'name': 'scale_jitter', 'smallest': 256, 'largest': 480},
    imagenet.center(),
  )
  config.eval.corners = 'image'  # of ten_crop: evaluation/protocols.py
  config.train.update(
    batch_size=256,
    epochs=imagenet.steps_in_epochs(600_000, 256),  # "up to 60 x 10^4"
    statistics_batches=200,
    augment='lighting',  # flips and "the standard color augmentation"
    augment_options={'std': 0.1, 'form': 'code'},
  )
  config.optimizer.update(
    learning_rate=0.1,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=1e-4,
    decay_on='all' if args['decay'] == 'fb' else 'kernels',
  )
  config.schedule = imagenet.PLATEAU
  if args['schedule'] == 'step' or args['pod'] != 'off':
    config.schedule = {
      'name': 'step',
      'boundaries': ('30 epochs', '60 epochs', '90 epochs'),
      'factors': (0.1, 0.01, 0.001),
    }
  config = imagenet.finish(config, args)
  if args['smoke']:
    config.train.statistics_batches = 1
  return config
