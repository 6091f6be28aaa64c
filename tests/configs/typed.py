"""Every field of every recipe, typed from its source and not computed.

In brackets a section of the paper. 'ours': the paper and its code are silent.
"""

# configs/default.py: what holds where a paper's table says nothing else.
DEFAULTS = {
  'seed': 0, 'init_from': '', 'init_layers': (), 'init_head': 'same',
  'init_required': '', 'report': False, 'profile': '',
  'data.name': '', 'data.dir': '', 'data.options': {},
  'data.geometry.name': 'none', 'data.eval_geometry.name': 'none',
  'data.on_error': 'stop', 'data.max_errors': 100, 'data.threads': -1,
  'data.image_size': 0, 'data.mean': (0.0,), 'data.std': (1.0,),
  'data.mean_image': '', 'data.order': 'rgb',
  'model.name': '', 'model.dtype': 'float32',
  'loss.name': 'softmax',
  'train.batch_size': 0, 'train.microbatch': 1, 'train.steps': None,
  'train.epochs': None, 'train.min_steps': 0, 'train.log_every': 100,
  'train.steps_per_call': 1,
  'train.stop_if_diverged': False,
  'train.aux_weight': 0.3,  # GoogLeNet [5]
  'train.average': 0.0, 'train.statistics_batches': 0,
  'train.augment': 'none', 'train.augment_options': {},
  'optimizer.name': 'momentum', 'optimizer.learning_rate': 0.0,
  'optimizer.momentum': 0.9,  # AlexNet [5] and all after it
  'optimizer.momentum_form': 'caffe', 'optimizer.weight_decay': 0.0,
  'optimizer.frozen': (), 'optimizer.rates': {},
  'schedule.name': 'step', 'schedule.boundaries': (), 'schedule.factors': (),
  'eval.every': '1 epoch', 'eval.split': '', 'eval.batch_size': 1000,
  'eval.protocol': '',
  'eval.corners': 'square', 'eval.scales': (), 'eval.members': '',
  'eval.other_classes': 'keep', 'eval.label_sets': '',
  'eval.save': '',
  'checkpoint.every': '1 epoch', 'checkpoint.keep': 2,
  'checkpoint.keep_best': 1,
}  # fmt: skip

# "When the validation error stops improving", AlexNet [5]: by 10, and three
# times [5; VGG 3.1]; ours: 5 epochs without a lower top-1 error.
PLATEAU = {
  'schedule.name': 'plateau', 'schedule.factor': 0.1, 'schedule.patience': 5,
  'schedule.drops': 3, 'schedule.boundaries': None, 'schedule.factors': None,
}  # fmt: skip
IMAGENET = {
  'data.name': 'imagenet2012', 'data.image_size': 224,
  'data.mean': (127.30, 119.72, 104.91),  # cuda-convnet2, input_meta
  'data.eval_geometry.name': 'center', 'data.eval_geometry.shorter_side': 256,
  'eval.batch_size': 256, 'model.width': 1.0,
}  # fmt: skip
# Caffe's lr_mult 2 and decay_mult 0; AlexNet's source: epsB 0.02 against 0.01.
BIASES = {'optimizer.decay_on': 'kernels', 'optimizer.bias_rate': 2.0}
# AlexNet [4.1]: "standard deviation 0.1".
LIGHTING = {
  'train.augment': 'lighting', 'train.augment_options.std': 0.1,
  'train.augment_options.form': 'code',
}  # fmt: skip

# Caffe's networks: the mean of its released ones, its solver.prototxt, images
# warped to 256x256 (examples/imagenet).
CAFFE_DATA = {
  'data.mean': (123.0, 117.0, 104.0), 'data.eval_geometry.resize': 'warp',
}  # fmt: skip
FAKE_PHOTOGRAPHS = {
  'data.name': 'fake', 'data.options.num_classes': 1000,
  'data.options.shape': (224, 224, 3), 'data.options.examples': 64,
  'data.geometry.name': 'none', 'data.eval_geometry.name': 'none',
}  # fmt: skip
SMOKE = {
  'train.batch_size': 8, 'train.epochs': None, 'train.steps': 3,
  'train.log_every': 1, 'eval.batch_size': 8,
}  # fmt: skip


def by_steps(boundaries, factors=(0.1, 0.01, 0.001), **fields):
  """Returns a schedule that replaces a plateau."""
  return {
    **dict.fromkeys(PLATEAU), 'schedule.name': 'step',
    'schedule.boundaries': boundaries, 'schedule.factors': factors, **fields,
  }  # fmt: skip


def pod(batch, rate, *schedule):
  """Ours; Goyal et al. 2017: the rate in proportion, 5 epochs of warm-up."""
  return {
    **by_steps(*schedule), 'schedule.every': None,
    'train.batch_size': batch, 'optimizer.learning_rate': rate,
    'schedule.warmup': '5 epochs', 'model.dtype': 'bfloat16',
  }  # fmt: skip


# By file: what its recipe without arguments has in place of DEFAULTS.
PAPERS = {
  'lenet5': {
    # [II-B]: 28x28 in 32x32; white -0.1 and ink 1.175 of pixels of 0 to 255.
    'data.name': 'mnist', 'data.threads': 0, 'data.image_size': 32,
    'data.mean': (20.0,), 'data.std': (200.0,),
    # Eq. (9) with j and a variance that are ours; EBLearn's start.
    'loss.name': 'map', 'loss.j': 10.0, 'loss.scale': 1 / 14,
    'model.name': 'lenet5', 'model.init_range': 1.0, 'model.init_bias': False,
    'model.init_exponent': 0.5, 'model.init_coefficient': 0.5,
    'train.epochs': 20.0,  # [III-B]
    # With momentum, ours; the factors are of [III-B].
    'train.batch_size': 64, 'optimizer.learning_rate': 0.03,
    'schedule.boundaries': ('12 epochs', '15 epochs', '17 epochs', '19 epochs'),
    'schedule.factors': (0.4, 0.2, 0.1, 0.02),
  },
  'alexnet': {
    **IMAGENET, **PLATEAU, **BIASES, **LIGHTING, 'model.name': 'alexnet',
    'data.geometry.name': 'random_crop',  # [2, 4.1]
    'data.geometry.shorter_side': 256,
    'data.geometry.resize': 'area',  # cuda-convnet2, make-data
    'data.eval_geometry.resize': 'area',
    'model.until': '', 'model.dropout': 0.5,  # [4.2]
    'model.head': 'fc', 'model.initializer': 'paper',
    'train.batch_size': 128, 'train.epochs': 90.0,  # [5]
    'optimizer.learning_rate': 0.01, 'optimizer.weight_decay': 5e-4,  # [5]
    'optimizer.biases_fall': True,
  },
  'zfnet': {
    **IMAGENET, **PLATEAU, **BIASES, 'model.name': 'zfnet',
    'data.geometry.name': 'random_crop',  # [3], as AlexNet's
    'data.geometry.shorter_side': 256, 'data.geometry.resize': 'area',
    'data.eval_geometry.resize': 'area',
    'model.until': '', 'model.dropout': 0.5,
    'train.batch_size': 128, 'train.epochs': 70.0,  # [3]
    'optimizer.learning_rate': 0.01, 'optimizer.max_filter_rms': 0.1,  # [3]
    'optimizer.weight_decay': 5e-4,  # AlexNet's
    'train.augment': 'flip',
  },
  'vgg': {
    **IMAGENET, **PLATEAU, **BIASES, **LIGHTING, 'model.name': 'vgg_d',
    'data.mean': (123.68, 116.779, 103.939),  # VGG_ILSVRC_16_layers
    'data.geometry.name': 'scale_jitter',  # [3.1]
    'data.geometry.smallest': 256, 'data.geometry.largest': 256,
    'data.eval_geometry.resize': 'bilinear',
    'model.until': '', 'model.dropout': 0.5, 'model.head': 'fc',
    'model.initializer': 'caffe',
    'train.batch_size': 256,  # [3.1]
    'train.epochs': 73.93,  # [3.1]: 370,000 iterations
    'optimizer.learning_rate': 0.01, 'optimizer.weight_decay': 5e-4,  # [3.1]
    # [3.1]: "the first four convolutional layers and the last three fully
    # connected layers" of A.
    'init_layers': (
      'conv1_1', 'conv2_1', 'conv3_1', 'conv3_2', 'fc6', 'fc7', 'fc8',
    ),
    'init_required': 'a trained vgg_a (variant=vgg_a, or start=glorot)',
  },
  'googlenet': {
    **IMAGENET, **CAFFE_DATA, **BIASES, 'model.name': 'googlenet',
    'data.geometry.name': 'inception',  # [6]: 8 to 100 %, 3/4 to 4/3
    'data.geometry.area': (0.08, 1.0), 'data.geometry.aspect': (3 / 4, 4 / 3),
    'data.eval_geometry.resize': 'bilinear',
    'model.dropout': 0.4, 'model.aux_dropout': 0.7,  # [5]
    'model.aux_heads': True, 'model.lrn': 'paper',
    # bvlc_googlenet, solver.prototxt and train_val.prototxt.
    'train.batch_size': 32, 'train.epochs': 250.0,
    'optimizer.learning_rate': 0.01, 'optimizer.weight_decay': 2e-4,
    'train.average': 0.9999,  # [6], its horizon is ours
    # Howard (2013), 2.2: 0.5 to 1.5, then AlexNet's lighting.
    'train.augment': 'photometric', 'train.augment_options.brightness': 0.5,
    'train.augment_options.contrast': 0.5, 'train.augment_options.colour': 0.5,
    'train.augment_options.lighting': 0.1,
    # [6]: "decreasing the learning rate by 4% every 8 epochs".
    'schedule.name': 'exponential', 'schedule.every': '8 epochs',
    'schedule.factor': 0.96, 'schedule.boundaries': None,
    'schedule.factors': None,
  },
  'resnet': {
    **IMAGENET, **PLATEAU, **LIGHTING, 'model.name': 'resnet50',
    'data.geometry.name': 'scale_jitter',  # [3.4]: 256 to 480
    'data.geometry.smallest': 256, 'data.geometry.largest': 480,
    'data.eval_geometry.resize': 'bilinear',
    'model.shortcut': 'B', 'model.padded_pool': False, 'model.scan': False,
    'model.fused_norm': True,
    'model.bn_group': 32,  # a GPU's share of 256
    'train.batch_size': 256,  # [3.4]
    'train.epochs': 119.89,  # [3.4]: "up to 60 x 10^4 iterations"
    'train.statistics_batches': 200,  # ours
    'optimizer.learning_rate': 0.1, 'optimizer.weight_decay': 1e-4,  # [3.4]
    'optimizer.decay_on': 'kernels',
    'eval.corners': 'image',  # SPP-net
  },
  'resnet_cifar': {
    'data.name': 'cifar10', 'data.threads': 0, 'data.image_size': 32,
    # fb.resnet.torch, datasets/cifar10.lua. [4.2]: zeros around the image
    # whose mean is subtracted.
    'data.mean': (125.3, 123.0, 113.9),
    'train.augment_options.fill': (125.3, 123.0, 113.9),
    'train.augment': 'pad_crop', 'train.augment_options.padding': 4,  # [4.2]
    'model.name': 'resnet20_cifar', 'model.width': 1.0, 'model.shortcut': 'A',
    'model.padded_pool': False, 'model.scan': False, 'model.fused_norm': True,
    'model.bn_group': 64,  # 128 on two GPUs
    'train.batch_size': 128, 'train.steps': 64_000,  # [4.2]
    'optimizer.learning_rate': 0.1, 'optimizer.weight_decay': 1e-4,  # [4.2]
    'optimizer.decay_on': 'kernels',
    'schedule.boundaries': ('32000 steps', '48000 steps'),  # [4.2]
    'schedule.factors': (0.1, 0.01),
  },
}  # fmt: skip

# fb.resnet.torch, datasets/init.lua and train.lua: every 30 epochs, by 10.
EVERY_30 = ('30 epochs', '60 epochs', '90 epochs')
DISTORT = {  # LeNet-5 [III-B] without magnitudes: ours
  'train.augment': 'distort', 'train.augment_options.translate': 2.0,
  'train.augment_options.scale': 0.1, 'train.augment_options.squeeze': 0.1,
  'train.augment_options.shear': 0.15,
}  # fmt: skip
MNIST5K = {  # ours: three times the passes, with momentum
  'data.name': 'mnist5k', 'train.epochs': 60.0,
  'schedule.boundaries': ('36 epochs', '45 epochs', '51 epochs', '57 epochs'),
}  # fmt: skip
SDLM = {  # LeNet-5 [III-B, Appendix C]
  'optimizer.name': 'sdlm', 'optimizer.learning_rate': 5e-4,
  'optimizer.mu': 0.02, 'optimizer.samples': 500,
  'optimizer.curvature': 'penalty', 'optimizer.momentum': None,
  'optimizer.frozen': None, 'optimizer.rates': None,
  'optimizer.momentum_form': None, 'optimizer.weight_decay': None,
  'train.batch_size': 1, 'train.log_every': 10_000, 'train.steps_per_call': 50,
  'schedule.boundaries': ('2 epochs', '5 epochs', '8 epochs', '12 epochs'),
}  # fmt: skip
# caffe, models/bvlc_alexnet: gamma 0.1 every 100,000 iterations of 256, up to
# 450,000, on the 1,281,167 images; the crop of 227.
BVLC_ALEXNET = {
  **CAFFE_DATA, 'data.image_size': 227, 'data.geometry.resize': 'warp',
  'train.batch_size': 256, 'train.epochs': 89.92, 'train.augment': 'flip',
  'train.augment_options.std': None, 'train.augment_options.form': None,
  **by_steps(
    ('19.98 epochs', '39.96 epochs', '59.95 epochs', '79.93 epochs'),
    (0.1, 0.01, 0.001, 0.0001),
  ),
}  # fmt: skip
# ResNet-110 [4.2]: 0.01 until the training error is below 80 %.
WARM = {
  'schedule.name': 'until_error', 'schedule.start': 0.1, 'schedule.error': 0.8,
}  # fmt: skip
NO_START = {'init_layers': (), 'init_required': ''}
GLOROT = {**NO_START, 'model.initializer': 'glorot'}
AT_384 = {
  **NO_START, 'data.geometry.smallest': 384, 'data.geometry.largest': 384,
  'data.eval_geometry.shorter_side': 384,  # [4.1]: Q = S
}  # fmt: skip
JITTER = {
  **NO_START, 'data.geometry.smallest': 256, 'data.geometry.largest': 512,
  'data.eval_geometry.shorter_side': 384,  # [4.1]: 0.5 (256 + 512)
}  # fmt: skip

# By argument: what it changes of its file's recipe; None: has no such field.
ARGUMENTS = {
  'lenet5:optimizer=sdlm': SDLM,
  'lenet5:data=mnist5k': {**MNIST5K, **DISTORT},
  'lenet5:data=mnist5k,augment=none': MNIST5K,
  'lenet5:data=mnist5k,optimizer=sdlm': {
    **DISTORT, **SDLM, 'data.name': 'mnist5k',
  },
  'lenet5:smoke': {
    **MNIST5K, **DISTORT, 'train.epochs': None, 'train.steps': 50,
    'train.log_every': 10,
  },
  'lenet5:augment=distort': DISTORT,
  'lenet5:augment=invert': {'train.augment': 'invert'},
  'lenet5:variant=lenet5_modern': {
    **{f'model.init_{n}': None for n in ('range', 'bias', 'exponent')},
    'model.init_coefficient': None, 'loss.j': None, 'loss.scale': None,
    'loss.name': 'softmax', 'model.name': 'lenet5_modern',
    'model.activation': 'relu', 'model.pool': 'max',
    'schedule.boundaries': ('2 epochs', '5 epochs', '8 epochs', '12 epochs'),
  },
  'lenet5:data=fake': {
    'data.name': 'fake', 'data.options.shape': (28, 28, 1),
    'data.options.num_classes': 10, 'data.options.examples': 4096,
  },
  'lenet5:data=tfds': {
    'data.name': 'tfds', 'data.threads': -1, 'data.options.builder': 'mnist',
    'data.options.train_split': 'train', 'data.options.test_split': 'test',
  },
  # The log of the 2012 run.
  'alexnet:schedule=step': by_steps(('25 epochs', '51 epochs', '79 epochs')),
  # epsB never falls.
  'alexnet:variant=alexnet_source': {
    'model.name': 'alexnet_source', 'optimizer.biases_fall': False,
  },
  'alexnet:variant=bvlc_alexnet': {
    **BVLC_ALEXNET, 'model.name': 'bvlc_alexnet',
  },
  'alexnet:variant=caffenet': {**BVLC_ALEXNET, 'model.name': 'caffenet'},
  'alexnet:variant=alexnet_source,pod=2048': {
    'model.name': 'alexnet_source',
    **pod(2048, 0.16, ('25 epochs', '51 epochs', '79 epochs')),
  },
  'zfnet:crops=ten': {'data.geometry.name': 'five_crops'},  # [3], literally
  'zfnet:pod=2048': pod(2048, 0.16, ('30 epochs', '50 epochs', '60 epochs')),
  'vgg:variant=vgg_a': {**NO_START, 'model.name': 'vgg_a'},
  'vgg:scale=384': {  # [3.1]: 10^-3
    **AT_384, 'optimizer.learning_rate': 1e-3,
    'init_required': 'vgg_d trained at S = 256 (scale=256, or start=glorot)',
  },
  'vgg:scale=jitter': {  # ours: the same rate
    **JITTER, 'optimizer.learning_rate': 1e-3,
    'init_required': 'vgg_d trained at S = 384 (scale=384, or start=glorot)',
  },
  'vgg:start=glorot': GLOROT,
  'vgg:start=glorot,scale=jitter': {**JITTER, **GLOROT},
  'vgg:smoke': {**GLOROT, **SMOKE},
  'vgg:pod=4096': pod(4096, 0.16, ('30 epochs', '50 epochs', '65 epochs')),
  'googlenet:variant=bvlc_googlenet': {
    'model.name': 'bvlc_googlenet', 'model.lrn': 'caffe',
    'data.eval_geometry.resize': 'warp',
  },
  'googlenet:pod=2048': pod(
    2048, 0.64, ('120 epochs', '200 epochs'), (0.1, 0.01)
  ),
  'resnet:schedule=step': by_steps(EVERY_30),
  'resnet:decay=fb': {'optimizer.decay_on': 'all'},
  'resnet:pod=1024': pod(1024, 0.4, EVERY_30),
  'resnet:pod=8192': pod(8192, 3.2, EVERY_30),
  'resnet:smoke,data=fake': {
    **SMOKE, **FAKE_PHOTOGRAPHS, 'model.bn_group': 8,
    'train.statistics_batches': 1,
    **dict.fromkeys(
      ('data.geometry.smallest', 'data.geometry.largest',
       'data.eval_geometry.shorter_side', 'data.eval_geometry.resize')
    ),
  },
  'resnet_cifar:decay=fb': {'optimizer.decay_on': 'all'},
  'resnet_cifar:variant=resnet110_cifar': {
    'model.name': 'resnet110_cifar', **WARM,
  },
  'resnet_cifar:variant=resnet1202_cifar': {
    'model.name': 'resnet1202_cifar', 'model.scan': True, **WARM,
  },
  'resnet_cifar:variant=plain56_cifar': {
    'model.name': 'plain56_cifar', 'model.shortcut': 'none',
  },
  # Means of their own training images.
  'resnet_cifar:data=fashion_mnist': {
    'data.name': 'fashion_mnist', 'data.mean': (72.94,),
    'train.augment_options.fill': (72.94,),
  },
  'resnet_cifar:data=mnist5k': {
    'data.name': 'mnist5k', 'data.mean': (33.3,),
    'train.augment_options.fill': (33.3,),
  },
  # fb.resnet.torch, datasets/cifar100.lua.
  'resnet_cifar:data=cifar100': {
    'data.name': 'cifar100', 'data.mean': (129.3, 124.1, 112.4),
    'train.augment_options.fill': (129.3, 124.1, 112.4),
  },
  'resnet_cifar:data=tfds': {
    'data.name': 'tfds', 'data.options.builder': '', 'data.threads': -1,
    'data.mean': (127.5,), 'train.augment_options.fill': (127.5,),
  },
  'resnet:data=tfds': {
    'data.name': 'tfds', 'data.options.builder': '',
    'data.options.photographs': True,
  },
  'resnet_cifar:data=fake,smoke': {
    'data.name': 'fake', 'data.options.shape': (32, 32, 3),
    'data.options.num_classes': 10, 'data.options.examples': 4096,
    'data.mean': (127.5,), 'train.augment_options.fill': (127.5,),
    'train.batch_size': 32, 'train.steps': 3, 'train.log_every': 1,
    'model.bn_group': 32,
  },
}  # fmt: skip


def fields_of(text):
  """Returns the fields of a recipe, 'file:' or a key of ARGUMENTS."""
  paper = PAPERS[text.partition(':')[0]]
  found = {**DEFAULTS, **paper, **ARGUMENTS.get(text, {})}
  kept = ('train.steps', 'train.epochs')  # which may be None
  found = {k: v for k, v in found.items() if v is not None or k in kept}
  for group in ('data.options', 'train.augment_options'):
    if any(field.startswith(f'{group}.') for field in found):
      del found[group]
  return found
