"""Standard deviation of the responses of layers by depth: ResNet, Figure 7.

    python -m tools.visualize responses --out=responses.png RUN RUN ...
    python -m tools.visualize responses --out=responses.png --workdir=RUN \
        --config.data.dir=DIR RUN ...

RUNS are workdirs, or files of weights that tools.publish wrote. A response is
what comes out of the batch normalisation of a convolution, before the ReLU or
the addition. All networks see the same images: of the first one's data, from
its test split or --split, evenly spread. Networks without shortcuts are dashed.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

import experiment
from configs import recorded
from errors import UserError
from evaluation import features, inference
from evaluation.scoring import Network
from runtime import workdir
from runtime.progress import Progress
from seeing import responses
from seeing.drawn import responses as drawing_responses
from tools import check_data, command
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_IMAGES = 1000


class _Run(NamedTuple):
  name: str
  config: ConfigDict
  network: Network
  channels: int  # of the images that it was trained on

  @property
  def sees(self) -> str:
    side = self.network.image_size
    return f'{side}x{side}x{self.channels}'


def draw(config: ConfigDict | None, paths: list[str]) -> Drawn:
  """Returns curves by depth, and their numbers."""
  runs = _runs(config, paths)
  for run in runs:
    responses.check(run.network, f'{run.name} ({run.config.model.name})')
    if run.sees != runs[0].sees:
      raise UserError(
        f'{run.name} sees images of {run.sees}, {runs[0].name} of '
        f'{runs[0].sees}: all are given the same'
      )
  first = runs[0].config
  split = options.SPLIT.value or 'test'
  source = experiment.create_source(first, split)
  numbers = check_data.spread(source, inputs.number(len(source), _IMAGES))
  natural = inputs.natural(first)
  read = features.of_source(source, natural, first.data.image_size)
  found, said = {}, [f'{len(numbers):,} {split} images of {first.data.name}']
  with Progress(len(numbers) * len(runs)) as progress:
    for run in runs:
      by_layer = responses.deviations(run.network, read, numbers, progress)
      found[run.name] = list(by_layer.values())
      said.append(_numbers(run, by_layer))
  plain = [run.name for run in runs if responses.is_plain(run.network)]
  return Drawn(drawing_responses.responses(found, plain), said)


def _runs(config: ConfigDict | None, paths: Sequence[str]) -> list[_Run]:
  """Returns the networks: that of --workdir or init_from, then RUNS.

  Raises:
    UserError: none, one that is no run, or as `inference.load`.
  """
  given = []
  if config is not None:
    path = config.init_from or options.WORKDIR.value
    given.append((path or config.model.name, config))
  for path in paths:
    file = workdir.record_of(path) / 'config.json'
    if not file.exists():
      raise UserError(f'{path} is no run: there is no {file}')
    given.append((path, recorded.read_trained(str(file))))
  if not given:
    raise UserError('no runs: name workdirs of networks with shortcuts or none')
  if twice := [p for i, (p, _) in enumerate(given) if p in dict(given[:i])]:
    raise UserError(f'{twice[0]} is given twice')
  last = [pathlib.PurePath(path).name for path, _ in given]
  return [
    _loaded(path, config, name if last.count(name) == 1 else path)
    for name, (path, config) in zip(last, given)
  ]


def _loaded(path: str, config: ConfigDict, name: str) -> _Run:
  command.check(config)
  model = inference.load(config, path, options.CLASSES.value, other_data=True)
  return _Run(name, config, model.networks[0], model.image_shape[-1])


def _numbers(run: _Run, by_layer: dict[str, float]) -> str:
  values = np.array(list(by_layer.values()))
  expected = responses.of_weights(run.network, list(by_layer))
  return (
    f'{run.name}: {len(values)} layers of {run.config.model.name}, mean '
    f'{values.mean():.3f}, median {np.median(values):.3f}, largest '
    f'{values.max():.3f} ({list(by_layer)[values.argmax()]}); at most '
    f'{abs(values / expected - 1).max():.1%} from what the weights say'
  )


KIND = Kind(
  draw, (*options.NETWORK, options.SPLIT, options.NUMBER), 'RUNS', config=False
)
