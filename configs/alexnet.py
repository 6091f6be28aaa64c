"""AlexNet on ImageNet: Krizhevsky, Sutskever & Hinton 2012.

    --config=configs/alexnet.py:ARGUMENTS
    python main.py --config=configs/alexnet.py --help     lists ARGUMENTS

    python main.py --config=configs/alexnet.py:data=folder --workdir=/tmp/a \
        --config.data.dir=PHOTOS

Choices where the paper is silent or unclear:
  - "divided by 10 when the validation error rate stopped improving": after 5
    evaluations (epochs) without a new lowest top-1 error.
  - Colour: the standard deviations of the original code, not the eigenvalues
    (recipe.augment.lighting); its division of the image by 1.1 is left out.
  - One crop and flip an image; the code drew one for every 32 images.
  - The mean of each channel in place of the mean image: data.mean_image.
  - Biases: not in the paper. Twice the rate and no decay, as in the original
    code (epsB, wcB) and Caffe; in `alexnet_source` their rate never falls, as
    there.
  - Images are resized by area, as the authors' tool does (data/crops.py).
  - Not taken from the log of the 2012 run: colour noise off from epoch 67 on,
    conv1 frozen from 72 on.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet
from configs.arguments import Argument


def get_arguments() -> dict[str, Argument]:
  """Returns the arguments that `get_config` takes."""
  return {
    'variant': arguments.variants('alexnet'),
    **imagenet.get_arguments(),
    'schedule': Argument(
      ('plateau', 'step'), 'step: the epochs of the original 2012 run'
    ),
  }


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, get_arguments())
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  # Section 2: shorter side to 256, its centre; 4.1: random 224x224 and flips.
  caffe = args['variant'] in ('bvlc_alexnet', 'caffenet')
  resize = 'warp' if caffe else 'area'
  imagenet.set_geometry(
    config, imagenet.random_crop(resize), imagenet.center(resize=resize)
  )
  config.train.update(
    batch_size=128,  # Section 5
    epochs=90.0,  # Section 5: "roughly 90 cycles"
    augment='lighting',
    augment_options={'std': 0.1, 'form': 'code'},  # Section 4.1
  )
  config.optimizer.update(  # Section 5
    learning_rate=0.01,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=5e-4,
    decay_on='kernels',
    bias_rate=2.0,
    biases_fall=args['variant'] != 'alexnet_source' or args['pod'] != 'off',
  )
  config.schedule = imagenet.PLATEAU
  if caffe:
    _set_caffe(config)
  elif args['schedule'] == 'step' or args['pod'] != 'off':
    config.schedule = {  # log of the 2012 run; its last drop, of conv1 alone
      'name': 'step',  # at epoch 67, is taken with the others
      'boundaries': ('25 epochs', '51 epochs', '79 epochs'),
      'factors': (0.1, 0.01, 0.001),
    }
  return imagenet.finish(config, args)


def _set_caffe(config):
  """As models/bvlc_alexnet: solver.prototxt and train_val.prototxt."""
  config.data.mean = imagenet.CAFFE_MEAN
  config.train.update(batch_size=256, augment='flip')
  config.train.augment_options = {}  # `update` would merge
  epochs = [
    imagenet.steps_in_epochs(step, 256)
    for step in (100_000, 200_000, 300_000, 400_000, 450_000)
  ]
  config.train.epochs = epochs.pop()
  config.schedule = {
    'name': 'step',
    'boundaries': tuple(f'{e} epochs' for e in epochs),
    'factors': (0.1, 0.01, 0.001, 0.0001),
  }
