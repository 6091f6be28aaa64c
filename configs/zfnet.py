"""ZFNet on ImageNet: Zeiler & Fergus 2014, Section 3.

    --config=configs/zfnet.py:ARGUMENTS       the first value is the default

    variant=zfnet|zfnet_wide|zfnet512
    data=imagenet2012|folder|fake
    smoke                     3 steps of 8 images, for a look
    pod=off|1024|2048|4096|8192    images a batch, not the paper's recipe

Choices where the paper is silent or unclear:
  - The rate is "annealed manually when the validation error plateaus": divided
    by 10, three times, after 5 epochs without a new lowest top-1 error.
  - Weight decay is not stated: AlexNet's, whose code it used.
  - Crops are random, not the ten fixed ones of the text, whose words are "using
    10 different sub-crops [..] on top of" flips.
  - Filters are renormalised after every step; RMS over all weights of one.
  - The mean of each channel in place of the mean image: data.mean_image.
"""

from ml_collections import ConfigDict

from configs import arguments, imagenet

CHOICES = {
  'variant': ('zfnet', 'zfnet_wide', 'zfnet512'),
  'data': imagenet.DATA,
  'pod': imagenet.PODS,
}


def get_config(arg: str = '') -> ConfigDict:
  """Returns the config for the arguments in the module's docstring."""
  args = arguments.parse(arg, CHOICES, ('smoke',))
  config = imagenet.get_config(args['variant'], args['data'], args['smoke'])
  # Section 3: shorter side to 256, its centre, crops of 224.
  imagenet.set_geometry(
    config, {'name': 'random_crop', 'shorter_side': 256}, imagenet.center()
  )
  config.train.update(batch_size=128, epochs=70.0, augment='flip')
  config.optimizer.update(
    learning_rate=0.01,
    momentum=0.9,
    momentum_form='caffe',
    weight_decay=5e-4,  # not stated
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
