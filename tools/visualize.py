r"""Draws what a network sees, and prints the numbers under the picture.

    python -m tools.visualize KIND --config=configs/FILE.py:... --out=FILE.png

KIND is one of

    samples      images of the test split, drawn at random (LeNet-5, Fig. 4)
    distortions  an image of each class, then as training sees it (Fig. 7)
    mistakes     the test images that a network gets wrong (Fig. 8)
    rejection    error of the rest against what is rejected (Fig. 10)
    maps         states of the layers for test images, or for files that are
                 named after KIND, also --changes of them (Figs. 2 and 13)
    robustness   error against scale, shift, rotation and noise (Fig. 13)

All but the first two need a network: --workdir=RUN, or --config.init_from=FILE.
Needs pip install matplotlib.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict

import experiment
from errors import UserError, closest
from evaluation import exact, inference, protocols
from recipe import augment
from runtime import command_line, compile_cache
from runtime.progress import Progress
from seeing import answers, changes, drawing, maps, mistakes, rejection
from tools import check_data, command, predict, usage

_NUMBER = flags.DEFINE_integer('number', 160, 'of images: samples')
_SEED = flags.DEFINE_integer(
  'seed', 0, 'of samples and distortions', 0, 2**32 - 1
)
_EXAMPLES = flags.DEFINE_list('examples', '0', 'maps: numbers of test images')
_CHANGES = flags.DEFINE_list(
  'changes', 'none', 'maps: none, scale=0.6, shift=4, rotate=30, noise=0.1'
)
_LAYERS = flags.DEFINE_list('layers', '', 'maps: only these')
_TARGET = flags.DEFINE_float('target', 0.005, 'rejection: error of the rest')
_COLUMNS = 20  # of samples
_COPIES = 9  # of each image of `distortions`
_PER_ROW = 10  # of mistakes, as in the paper


def samples(config: ConfigDict, _: list[str]):
  """Returns a figure of test images, and which they are."""
  source = experiment.create_source(config, 'test')
  count = min(_NUMBER.value, len(source))
  if count < 1:
    raise UserError(f'--number is {_NUMBER.value}: at least 1')
  rng = np.random.default_rng(_SEED.value)
  chosen = rng.choice(len(source), count, replace=False)
  images = source.batch(chosen)['image']
  return drawing.sheet(images, min(_COLUMNS, count)), [
    f'{count} of {len(source):,} {exact.split_name(config)} images: '
    f'{", ".join(map(str, chosen[:_COLUMNS]))}' + ', ...' * (count > _COLUMNS)
  ]


def distortions(config: ConfigDict, _: list[str]):
  """Returns a figure: an image of each class, and drawn changes of it."""
  name = config.train.augment
  if name == 'none':
    raise UserError(
      "train.augment is 'none', which changes nothing. LeNet-5's distortions "
      'are --config=configs/lenet5.py:augment=distort'
    )
  change = augment.create(name, **config.train.augment_options)
  source = experiment.create_source(config, 'train')
  sample = check_data.spread(source, 1000)
  batch = source.batch(sample)
  first = np.unique(batch['label'], return_index=True)[1]
  size = config.data.image_size
  images = answers.bordered(batch['image'][first[:_PER_ROW]], size)
  keys = jax.random.split(jax.random.key(_SEED.value), _COPIES)
  drawn = [np.asarray(change(key, jnp.asarray(images))) for key in keys]
  rows = np.stack([images, *drawn], 1)
  shown = rows.reshape(-1, *rows.shape[2:]).clip(0, 255).astype(np.uint8)
  options = dict(config.train.augment_options)
  return drawing.sheet(shown, 1 + _COPIES), [
    f'{name} {options}; left the training images '
    f'{", ".join(map(str, sample[first[:_PER_ROW]]))}'
  ]


def _network(config) -> inference.Model:
  return inference.load(
    config, command_line.WORKDIR.value, command.CLASSES.value
  )


def _answers(config):
  """Returns the model, the test split with its border, labels and logits."""
  model = _network(config)
  source = experiment.create_source(config, 'test')
  images, labels = answers.whole(source, config.data.image_size)
  with Progress(len(images)) as progress:
    logits = answers.Reader(model.networks[0]).logits(images, progress)
  return model, images, labels, logits


def find_mistakes(config: ConfigDict, _: list[str]):
  """Returns a figure of the mistakes, and their numbers."""
  model, images, labels, logits = _answers(config)
  found, names = mistakes.find(logits, labels), model.class_names
  if not found:
    raise UserError('no mistakes: nothing to show')
  titles = [f'{names[m.truth]}→{names[m.answer]}' for m in found]
  figure = drawing.sheet(images[[m.number for m in found]], _PER_ROW, titles)
  counts = mistakes.by_truth(found, len(names))
  pairs = ', '.join(
    f'{names[t]}→{names[a]} {n}' for (t, a), n in mistakes.confusions(found)[:5]
  )
  return figure, [
    f'{len(found)} of {len(labels):,} wrong ({len(found) / len(labels):.2%})',
    'by class: ' + ', '.join(f'{n} {c}' for n, c in zip(names, counts)),
    f'commonest: {pairs}',
    'numbers: ' + ', '.join(str(m.number) for m in found),
  ]


def reject(config: ConfigDict, _: list[str]):
  """Returns a figure of error against rejection, and what is needed."""
  *_, labels, logits = _answers(config)
  rejected, error = rejection.curve(logits, labels)
  need = rejection.needed(rejected, error, _TARGET.value)
  shown = rejected <= max(4 * need, 0.1)
  figure = drawing.lines(
    [
      (
        'rejected, %',
        'error of the rest, %',
        {'': (100 * rejected[shown], error[shown])},
      )
    ],
    hline=_TARGET.value,
  )
  return figure, [
    f'{need:.2%} rejected for an error of {_TARGET.value:.2%}; '
    f'{error[0]:.2%} with none rejected'
  ]


def draw_maps(config: ConfigDict, files: list[str]):
  """Returns a figure of layers' states, and the answers with their scores."""
  model = _network(config)
  network = model.networks[0]
  inputs = _inputs(config, network, model, files)
  images = np.stack([image for _, image in inputs])
  try:
    states = maps.states(network, images, tuple(filter(None, _LAYERS.value)))
  except ValueError as error:
    raise UserError(f'--layers: {error}') from None
  logits = answers.Reader(network, len(images)).logits(images)
  rows, said = [], []
  for i, (title, image) in enumerate(inputs):
    first, second = (int(c) for c in (-logits[i]).argsort()[:2])
    name = model.class_names[first]
    mosaics = {layer: maps.mosaic(state[i]) for layer, state in states.items()}
    rows.append((f'{title}: {name}', image, mosaics))
    said.append(
      f'{title}: {name}, score {logits[i, first]:.1f}; then '
      f'{model.class_names[second]}, {logits[i, second]:.1f}'
    )
  return drawing.states(rows), said


def _inputs(config, network, model, files) -> list[tuple[str, np.ndarray]]:
  """Returns (title, uint8 image of the network's size), changed as asked."""
  if files:
    protocol = protocols.create(config, protocols.natural(config))
    plain = []
    for name, read in predict.find(files):
      try:
        views = inference.views(read(), protocol, network, model.image_shape)
      except Exception as error:  # libraries raise many kinds
        raise UserError(predict.why(name, error)) from error
      plain.append((name, views[0][0]))
  else:
    source = experiment.create_source(config, 'test')
    chosen = _numbers(_EXAMPLES.value, len(source))
    batch = source.batch(np.array(chosen))['image']
    plain = [(str(i), image) for i, image in zip(chosen, batch)]
  size = config.data.image_size
  return [
    (title + said, change(answers.bordered(image[None], size))[0])
    for title, image in plain
    for said, change in map(parse_change, _CHANGES.value)
  ]


def _numbers(words, count):
  if bad := [w for w in words if not w.isdecimal() or int(w) >= count]:
    raise UserError(f"--examples '{bad[0]}': numbers from 0 to {count - 1}")
  return [int(w) for w in words]


def parse_change(word: str) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
  """Returns (what to say of it, the function) of a word of --changes.

  Raises:
    UserError: unknown, or without a number.
  """
  if word == 'none':
    return '', lambda images: images
  name, _, value = word.partition('=')
  if name not in changes.CHANGES:
    raise UserError(f"--changes '{word}':{closest(name, changes.CHANGES)}")
  try:
    amount = float(value)
  except ValueError:
    raise UserError(f"--changes '{word}' needs a number: {name}=1.2") from None
  return f', {word}', lambda images: changes.CHANGES[name](images, amount)


def sweep(config: ConfigDict, _: list[str]):
  """Returns a figure of error against each kind of change, and a table."""
  model = _network(config)
  source = experiment.create_source(config, 'test')
  images, labels = answers.whole(source, config.data.image_size)
  reader = answers.Reader(model.networks[0])
  total = sum(map(len, changes.SWEEPS.values()))
  panels, said = [], []
  with Progress(total * len(images)) as progress:
    for name, values in changes.SWEEPS.items():
      errors = []
      for value in values:
        changed = changes.CHANGES[name](images, value)
        wrong = reader.logits(changed, progress).argmax(1) != labels
        errors.append(wrong.mean())
      unit = changes.UNITS[name]
      panels.append((f'{name}, {unit}', 'error, %', {'': (values, errors)}))
      pairs = ', '.join(f'{v:g}: {e:.2%}' for v, e in zip(values, errors))
      said.append(f'{name} ({unit}): {pairs}')
  return drawing.lines(panels), said


KINDS = {
  'samples': samples,
  'distortions': distortions,
  'mistakes': find_mistakes,
  'rejection': reject,
  'maps': draw_maps,
  'robustness': sweep,
}


def main(config: ConfigDict, arguments: list[str]) -> None:
  """Writes the picture and prints its numbers."""
  kind, *files = arguments or ['']
  if kind not in KINDS:
    raise UserError(f"KIND is '{kind}'.{closest(kind, KINDS)}")
  if files and kind != 'maps':
    raise UserError(f'{kind} takes no files, but {files[0]!r} is given')
  if not command.OUT.value:
    raise UserError('--out=FILE.png is missing')
  command.check(config)
  compile_cache.enable()
  with usage.needs('matplotlib'):
    import matplotlib  # noqa: PLC0415, F401
  figure, said = KINDS[kind](config, files)
  try:
    figure.savefig(command.OUT.value, dpi=110)
  except (OSError, ValueError) as error:
    raise UserError(f'--out {command.OUT.value}: {error}') from None
  print('\n'.join(said))
  print(f'written to {command.OUT.value}')


if __name__ == '__main__':
  options = [
    command_line.WORKDIR, command.OUT, command.CLASSES, _NUMBER, _SEED,
    _EXAMPLES, _CHANGES, _LAYERS, _TARGET,
  ]  # fmt: skip
  command.run(main, options, stray='KIND')
