"""Networks with their shapes: the architecture figures of all six papers.

    python -m tools.visualize architecture resnet34 --out=FILE.svg
    python -m tools.visualize architecture vgg_e plain34 resnet34 --out=FILE.svg
    python -m tools.visualize architecture --config=configs/FILE.py --out=...

LeNet-5's Figure 2, AlexNet's and ZFNet's Figures 2 and 3, GoogLeNet's and
ResNet's Figure 3; several networks stand side by side, as in the last. NAME is
of the zoo; the network of --config, or of the run --workdir, comes first, with
its options and its size of image. A network of another kind is a column of its
layers. In a browser, a layer that is pointed at tells its name, shape and
parameters. Nothing is computed, and no data are read.
"""

from ml_collections import ConfigDict

import zoo
from errors import UserError
from evaluation import networks
from runtime import storage
from seeing import architecture
from seeing.architecture import Architecture
from seeing.svg import forms
from tools.kinds import options
from tools.kinds.kind import Drawn, Kind


def draw(config: ConfigDict | None, names: list[str]) -> Drawn:
  """Returns the text of an SVG; parameters and depth of each network."""
  workdir = options.WORKDIR.value
  if workdir and not storage.path(workdir).exists():
    raise UserError(f'--workdir {workdir} does not exist')
  if config is None and workdir:
    raise UserError(f'--workdir {workdir} has no config.json: not of a run')
  if config is None and not names:
    raise UserError(
      f'architecture needs a NAME: {", ".join(zoo.names())}; or '
      '--config=configs/FILE.py'
    )
  drawn = [] if config is None else [_of_config(config)]
  for name in names:
    try:
      drawn.append(architecture.of_name(name))
    except ValueError as error:
      raise UserError(f'NAME: {error}') from None
  return Drawn(forms.draw(drawn), [said(each) for each in drawn])


def _of_config(config) -> Architecture:
  """Returns the network of a config; reads the classes of a run, no data."""
  model = dict(config.model)
  name = model.pop('name')
  place = config.init_from or options.WORKDIR.value
  record = networks.trained_classes(place) if place else None
  classes = len(record[0]) if record else 0
  size = config.data.image_size
  try:
    channels = (record[1] if record else zoo.image_shape(name))[-1]
    return architecture.of_name(name, (size, size, channels), classes, model)
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None


def said(network: Architecture) -> str:
  """Returns a line: what one would compare with the paper."""
  depth = f'depth {network.depth}'
  if network.form == 'layers':
    depth = f'{network.depth} layers with weights'
  heads = [b for b in network.boxes if b.name.startswith('aux')]
  own = sum(box.parameters for box in heads)
  of_heads = f' ({own:,} of them in auxiliary heads)' if own else ''
  return (
    f'{network.title}: {network.parameters:,} parameters{of_heads}, {depth}'
  )


KIND = Kind(
  draw, (options.WORKDIR,), takes='NAME', config=False, endings=('.svg',)
)
