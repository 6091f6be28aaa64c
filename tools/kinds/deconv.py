r"""What maps respond to, projected to pixels: ZFNet, Figures 2 and 4.

    python -m tools.visualize deconv --workdir=RUN --layer=C3 --out=c3.png
    python -m tools.visualize deconv --workdir=RUN --layer=C3 --maps=3,7 \
        --split=train --steps=all --out=steps.png

The nine images of the test split, of --split=train, or of PHOTOS to which a map
responds most: each as the deconvnet projects it (seeing/deconv.py has its
rules), beside what the unit sees of the image. With --steps a row a map: the
strongest image's projection at each of these checkpoints of the run.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict

import experiment
import zoo
from errors import UserError
from evaluation import features, networks
from evaluation.inference import Model
from runtime import checkpoints
from runtime.progress import Progress
from seeing import deconv, strongest
from seeing.deconv import Deconvnet, Seen
from seeing.drawn import deconv as drawing_deconv
from seeing.strongest import Peaks, Strongest
from tools import predict
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_MAPS = flags.DEFINE_list(
  'maps', None, 'numbers of maps, as 3,17; else --number (16) drawn by --seed'
)
_STEPS = flags.DEFINE_list(
  'steps', None, "of the run's checkpoints, as 100,200; or all"
)
_NUMBER = 16
_NINE = 9  # images of a map: Figure 2
_BATCH = 32


class _Set(NamedTuple):
  """Images, and what is said of them."""

  read: Callable[[int], features.Item]
  total: int
  said: str
  threads: int


def draw(config: ConfigDict, files: list[str]) -> Drawn:
  """Returns Figure 2, or 4 with --steps, and what each map responds to."""
  layer = _one_layer()
  if options.SPLIT.value and files:
    raise UserError(
      f"--split={options.SPLIT.value} is of the config's own data: give it, or "
      f'{files[0]}, not both'
    )
  places = _checkpoints(config) if _STEPS.value else []
  model = inputs.network(config)
  network = model.networks[0]
  shape = (network.image_size,) * 2 + (model.image_shape[-1],)
  try:
    (state,) = zoo.layer_shapes(network.module, shape, (layer,)).values()
  except ValueError as error:
    raise UserError(f'--layer: {error}') from None
  try:
    deconv.check(network.module, shape)
  except ValueError as error:
    raise UserError(f'deconv of {config.model.name}: {error}') from None
  maps = _maps(state[-1], layer)
  images = _images(config, files, model)
  look = _Look(network, layer, maps, images)
  said = [
    f'{config.model.name} of {network.path}, layer {layer}, '
    f'{"x".join(map(str, state))}; {images.said}, {images.total:,}',
    'each projection is scaled by its own largest value, 0 is grey; of equal '
    'maxima the first has the switch, shared ones add; normalisation is passed',
  ]
  if places:
    return _over_checkpoints(config, model, places, look, said)
  return _of_one(look, network.variables, said)


class _Look:
  """Finds and projects, with one network compiled once."""

  def __init__(self, network, layer, maps, images: _Set):
    self.layer, self.maps, self.images = layer, maps, images
    self._peaks = Peaks(network, layer)
    self._deconvnet = Deconvnet(network, layer)

  def __call__(
    self, variables: dict[str, Any], most: int, progress: Progress
  ) -> tuple[Strongest, Seen]:
    images = self.images
    if images.total < most:
      raise UserError(
        f'{images.said}: {images.total}, but a map is shown by its {most} '
        'strongest: give more'
      )
    try:
      found = strongest.find(
        self._peaks, variables, images.read, images.total, self.maps, most,
        batch_size=_BATCH, threads=images.threads, progress=progress,
      )  # fmt: skip
    except ValueError as error:
      raise UserError(f'{error}, and a map is shown by {most}') from None
    return found, deconv.see(
      self._deconvnet, variables, found, images.read, progress
    )

  def work(self, most: int) -> int:
    """Returns how many images pass in one call, up or down."""
    return self.images.total + most * len(self.maps)


def _of_one(look, variables, said) -> Drawn:
  with Progress(look.work(_NINE)) as progress:
    found, seen = look(variables, _NINE, progress)
  titles = []
  for number, values, keys in zip(found.maps, found.values, seen.keys):
    on = [key for key, value in zip(keys, values) if value]
    what = f'{values[0]:.3g} to {values[-1]:.3g}' if on else '0 for all images'
    titles.append(f'map {number}: {what}')
    said.append(titles[-1] + f'; {", ".join(on)}' * bool(on))
  said.append(f'receptive field: {seen.patches.shape[2]} pixels a side')
  said += _unread(found)
  side = seen.patches.shape[2]
  title = (
    f'{look.layer}: projections of the nine strongest units, and the '
    f'{side} x {side} pixels that they see'
  )
  return Drawn(drawing_deconv.blocks(seen, titles, title), said)


def _over_checkpoints(config, model, places, look, said) -> Drawn:
  every: list[Seen] = []
  rows: list[list[str]] = [[] for _ in look.maps]
  with Progress(len(places) * look.work(1)) as progress:
    for place in places:
      member = networks.load(config, str(place), len(model.class_names))
      found, seen = look(member.variables, 1, progress)
      every.append(seen)
      for row, value, keys in zip(rows, found.values, seen.keys):
        row.append(f'{int(place.name)}: {value[0]:.3g}, {keys[0]}')
  names = [f'map {number}' for number in look.maps]
  said += [f'{name}: {"; ".join(row)}' for name, row in zip(names, rows)]
  said += _unread(found)
  steps = [f'{int(place.name):,}' for place in places]
  title = f'{look.layer}: strongest projection after so many steps'
  return Drawn(drawing_deconv.evolution(every, steps, names, title), said)


def _unread(found) -> list[str]:
  return [f'left out: {predict.why(*bad)}' for bad in found.bad]


def _one_layer() -> str:
  layers = list(filter(None, options.LAYER.value))
  if len(layers) != 1:
    raise UserError(
      f'--layer is {",".join(layers) or "missing"}: one of docs/layers.md'
    )
  return layers[0]


def _maps(count: int, layer: str) -> np.ndarray:
  if _MAPS.value:
    words = list(dict.fromkeys(_MAPS.value))
    bad = [w for w in words if not w.isdecimal() or int(w) >= count]
    if bad:
      raise UserError(f"--maps '{bad[0]}': {layer} has maps 0 to {count - 1}")
    return np.array([int(word) for word in words])
  number = inputs.number(count, _NUMBER)
  rng = np.random.default_rng(options.SEED.value)
  return np.sort(rng.choice(count, number, replace=False))


def _images(config, files, model: Model) -> _Set:
  protocol = inputs.natural(config)
  if files:
    found = predict.find(files)
    read = features.of_files(found, model, protocol)
    return _Set(read, len(found), 'images', 0)
  split = options.SPLIT.value or 'test'
  source = experiment.create_source(config, split)
  read = features.of_source(source, protocol, model.networks[0].image_size)
  said = f'images of {config.data.name} {split}'
  return _Set(read, len(source), said, config.data.threads)


def _checkpoints(config) -> Sequence[Any]:
  """Returns the directories of --steps, oldest first."""
  path = options.WORKDIR.value
  if config.init_from or not path:
    raise UserError('--steps are of a run: it needs --workdir=RUN')
  asked = _STEPS.value or []
  there = {int(place.name): place for place in checkpoints.saved(path)}
  if not there:
    raise UserError(f'--workdir {path} holds no checkpoint')
  if asked == ['all']:
    return list(there.values())
  for word in asked:
    if not word.isdecimal():
      raise UserError(f"--steps '{word}': numbers, as 100,200; or all")
    if int(word) not in there:
      near = min(there, key=lambda step: abs(step - int(word)))
      raise UserError(
        f'--steps {word}: {path} has no such checkpoint, but {near}; more stay '
        'with --config.checkpoint.keep'
      )
  return [there[step] for step in sorted(set(map(int, asked)))]


KIND = Kind(
  draw,
  (
    *options.NETWORK, options.LAYER, _MAPS, options.NUMBER, options.SEED,
    options.SPLIT, _STEPS,
  ),
  takes='PHOTOS',
)  # fmt: skip
