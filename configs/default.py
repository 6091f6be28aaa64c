"""Every field that all configs share, with its meaning. Papers override these.

Durations ('1 epoch', '500 steps', '60000 examples', '5 %' of the training) are
strings with a unit; a bare number means steps. A locked config refuses fields
that are not here.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
  """Returns the defaults; a config file fills in what is empty here."""
  fields = {
    'seed': 0,  # of initialisation, order of examples, augmentation, dropout
    'init_from': '',  # checkpoint directory or weights to take parameters from
    'init_layers': (),  # only those of these layers; (): of all
    'init_head': 'same',  # new: all but the classifier, for other classes
    # At the end of training, a page about it: WORKDIR/report/index.html;
    # tools.report. Needs matplotlib.
    'report': False,
    # A trace for TensorBoard and Perfetto, in WORKDIR/profile, of process 0:
    # 'steps 20 to 30', 'steps 20 to 30 of all processes'; docs/running.md.
    'profile': '',
    'init_required': '',  # what init_from has to be, where a recipe needs one
    'data': {
      'name': '',  # imagenet2012, folder, cifar10, mnist ...: data/sources.py
      'dir': '',  # where its files are; empty: fetched into the user's cache
      'options': {},  # further arguments of that source
      # How photographs become crops of image_size, and the options of that:
      # random_crop, scale_jitter, inception, center; none: they have one size.
      'geometry': {'name': 'none'},  # in training
      'eval_geometry': {'name': 'none'},  # in evaluation
      'on_error': 'stop',  # at a photograph that cannot be decoded; skip:
      'max_errors': 100,  # in training take the next, for so many of them
      # That fetch ahead, each a batch; -1: one a core of this process. 0 is
      # fastest for data in memory.
      'threads': -1,
      'image_size': 0,  # side of the network's input, pixels
      'mean': (0.0,),  # the network sees (pixel - mean) / std; pixels are
      'std': (1.0,),  # 0 to 255; one value, or one a channel, R, G, B
      # mean (): this, std and order as the network of init_from was trained
      'mean_image': '',  # .npy of the mean of each pixel, in place of mean:
      # float32 [image_size, image_size, C]; python -m tools.data_mean
      'order': 'rgb',  # of channels, as the network takes them; bgr
    },
    'model': {
      'name': '',  # a canonical name of the zoo; then the network's own fields
      'dtype': 'float32',  # of the computation; parameters are float32
    },
    'loss': {'name': 'softmax'},  # softmax, map, penalty; then its own fields
    'train': {
      'batch_size': 0,  # images a step, on all devices together
      'microbatch': 1,  # equal parts that a batch is processed in, one by one
      'steps': config_dict.placeholder(int),  # either steps
      'epochs': config_dict.placeholder(float),  # or epochs
      'min_steps': 0,  # but no fewer steps, however few the images
      'log_every': 100,  # steps
      # Steps that a call of the device makes: faster where a step is short, as
      # that of a digit. What happens between steps is then at multiples of it.
      'steps_per_call': 1,
      # End where the loss is far above the first one, or the error that of a
      # guess, and was better; else only say so.
      'stop_if_diverged': False,
      'aux_weight': 0.3,  # of auxiliary heads' losses, GoogLeNet Section 5
      'average': 0.0,  # weight of the old in the Polyak average of the
      # parameters, which is then what is evaluated; 0: no average
      'statistics_batches': 0,  # training batches to compute the statistics of
      # batch normalisation over, after the last step; 0: moving averages
      'augment': 'none',  # recipe/augment.py
      'augment_options': {},
    },
    'optimizer': {
      'name': 'momentum',  # momentum, sdlm
      'learning_rate': 0.0,  # the first one
      'momentum': 0.9,
      'momentum_form': 'caffe',  # caffe: rate inside the velocity; pytorch
      'weight_decay': 0.0,  # coupled (L2)
      # Of momentum. Layers by name or the start of names, as 'conv' or
      # 'inception_3'; 'head': the classifier, 'body': all else
      'frozen': (),  # that keep their parameters and statistics
      'rates': {},  # times the rate for layers, as {'head': 10.0}
    },
    'schedule': {
      'name': 'step',  # step, exponential, plateau, until_error
      'boundaries': (),  # durations at which the rate changes
      'factors': (),  # the rates from there on, as multiples of the first
    },
    'eval': {
      'every': '1 epoch',
      # What is evaluated: test, holdout (data.options.holdout); '': that where
      # there is one, else test
      'split': '',
      'batch_size': 1000,  # any; changes no result
      # With --mode=eval, several with commas between: single, center, ten_crop,
      # dense, multi_crop, dense_and_multi_crop, crops144, multiscale; see
      # evaluation/protocols.py. '', and in training: single, for photographs
      # center
      'protocol': '',
      'corners': 'square',  # of ten_crop: of the central square; image: all
      'scales': (),  # shorter sides of photographs; (): the paper's
      'members': '',  # of an ensemble, with commas between: workdirs, weights,
      # NAME=PATH for another network of the zoo; besides --workdir or init_from
      # With --mode=eval on a test set that has a part of the network's classes:
      # scores of the others are kept in the ranking, or leave_out, as if the
      # network had no such outputs (ImageNet-A and -R prescribe it).
      'other_classes': 'keep',
      # With --mode=eval on ImageNet's validation images: a file of sets of
      # labels, any of which is right; ReaL's real.json
      'label_sets': '',
      'save': '',  # with --mode=eval: folder for each image's prediction, the
      # errors of each class, confusions, mistakes; '': none
    },
    'checkpoint': {
      'every': '1 epoch',
      'keep': 2,  # the newest
      'keep_best': 1,  # and those of lowest top-1 error
    },
  }
  return ConfigDict(fields)
