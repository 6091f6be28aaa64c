"""Error against scale, shift, rotation and noise: LeNet-5, Figure 13."""

from ml_collections import ConfigDict

import experiment
from runtime.progress import Progress
from seeing import answers, changes, drawing
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns curves of error against each kind of change, and their values."""
  model = inputs.network(config)
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
  return Drawn(drawing.lines(panels), said)


KIND = Kind(draw, options.NETWORK)
