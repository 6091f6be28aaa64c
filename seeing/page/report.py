"""The page of a run: its record, and what its network says of test images."""

import importlib.util
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from data.sources import Source
from errors import UserError
from evaluation import inference, networks
from evaluation.scoring import Network
from experiment import Experiment, Trained, create_source
from runtime import storage
from runtime import workdir as workdir_lib
from seeing import filters
from seeing.page import about, figures, fragments, outcome, record
from seeing.page import network as network_lib
from seeing.page.fragments import Markup, join, note
from seeing.page.network import Counted, Sample
from seeing.page.record import Run

NAME = 'index.html'
FOLDER = 'report'  # of a workdir, with the page that training writes
_SAMPLE = 0  # number of the image whose states are shown


class Seen(NamedTuple):
  """What needs the network and the images; and why some of it is not there."""

  network: Network | None = None
  names: tuple[str, ...] = ()  # of the classes, in words
  channels: int = 0  # of an image
  counted: Counted | None = None
  sample: Sample | None = None
  missing: str = ''


def check(field: str) -> None:
  """Raises UserError where pictures cannot be drawn.

  Args:
    field: or command that asks for them.
  """
  if importlib.util.find_spec('matplotlib') is None:
    raise UserError(f'{field} draws pictures: pip install matplotlib')


def look(config: ConfigDict, workdir: str, classes: str = '') -> Seen:
  """Returns what the network of a workdir or of `init_from` says.

  Args:
    config: of the run; its `data` say where the images are.
    workdir: with checkpoints, or '' with `init_from`.
    classes: as `inference.load` has it.

  Raises:
    UserError: a photograph cannot be decoded; names it.
  """
  path = config.init_from or workdir
  alone = config.copy_and_resolve_references()
  alone.eval.members = ''
  try:
    model = inference.load(alone, workdir, classes)
  except UserError as error:
    return Seen(missing=f'The network cannot be read: {error}.')
  (network,) = model.networks
  seen = Seen(network, model.class_names, model.image_shape[-1])
  known = networks.trained_classes(path)
  trained = known and Trained(path, known[0], 'Take its own data')
  try:
    config = networks.with_parts(config, path)
    source = create_source(config, 'test', trained)
  except UserError as error:
    said = (
      f'The test images are not at hand ({error}): --config.data.dir=DIR says '
      'where they are.'
    )
    return seen._replace(missing=said)
  return of_source(network, config, source)


def of_source(network: Network, config: ConfigDict, source: Source) -> Seen:
  """Returns what a network says of a split; all processes come here together.

  On others than the first, nothing.

  Raises:
    UserError: a photograph cannot be decoded; names it.
  """
  counted = network_lib.count(network, config, source)
  if jax.process_index() != 0:
    return Seen()
  return Seen(
    network,
    inference.as_words(source.class_names),
    source.image_shape[-1],
    counted,
    network_lib.sample(network, source, _SAMPLE),
  )


def of_training(
  experiment: Experiment, variables: dict[str, Any], workdir: str
) -> pathlib.Path:
  """Writes the page of a run that has ended; all processes come here together.

  Args:
    experiment: of the run.
    variables: of its network at the end, whole on every device.
    workdir: as it was typed.

  Returns:
    The page, which process 0 has written.

  Raises:
    OSError: it cannot be written.
  """
  config, place = experiment.config, storage.path(workdir)
  network = Network(
    str(place),
    experiment.module,
    jax.tree.map(lambda x: x.addressable_data(0), variables),
    experiment.prepare,
    config.data.image_size,
    experiment.train_source.num_classes,
    networks.scale_of(config, str(place)),
  )
  seen = of_source(network, config, experiment.eval_source)
  if jax.process_index() == 0:
    run = record.read(workdir)
    write(page(run, config, seen, [f'--workdir={workdir}']), place / FOLDER)
  return place / FOLDER / NAME


def write(text: str, out: pathlib.Path) -> pathlib.Path:
  """Writes index.html into a folder, which is made; returns its path.

  Raises:
    OSError: it cannot be written.
  """
  storage.open_directory(out)
  storage.write(out / NAME, text)
  return out / NAME


def page(run: Run, config: ConfigDict, seen: Seen, named: Sequence[str]) -> str:
  """Returns the page of a run.

  Args:
    run: its record.
    config: of the run; as `look` takes it.
    seen: as `look` returns it.
    named: flags that name the run in a command.
  """
  if not run.config:
    run = run._replace(config=workdir_lib.as_json(config))
  result = seen.counted.result if seen.counted else None
  sections = [
    ('run', 'What ran', about.ran(run, _parameters(seen))),
    ('result', 'Result', outcome.results(run, result)),
    ('curves', 'Curves', outcome.curves(run)),
    ('classes', 'Confusions and worst classes', _classes(config, seen)),
    (
      'mistakes',
      'Most confident mistakes',
      _of(seen, 'counted', figures.mistakes),
    ),
    ('filters', 'Filters of the first layer', _filters(config, seen)),
    ('maps', 'Maps of a test image', _of(seen, 'sample', figures.maps)),
    ('time', 'Time and waiting', outcome.times(run)),
    ('commands', 'Commands', about.how_to(run.path, named)),
  ]
  title = f'{about.network_name(run)} on {about.data_name(run)}: {run.name}'
  made = time.strftime('Made on %Y-%m-%d, %H:%M UTC.', time.gmtime())
  header = join([outcome.headline(run, result), note(made)])
  return fragments.page(title, header, sections)


def _parameters(seen):
  if seen.network is None:
    return 0
  leaves = jax.tree.leaves(seen.network.variables['params'])
  return sum(leaf.size for leaf in leaves)


def _of(seen: Seen, what: str, draw: Callable) -> Markup:
  """Draws a field of what is seen, or says why it is not there."""
  found = getattr(seen, what)
  return note(seen.missing) if found is None else draw(found, seen.names)


def _classes(config, seen):
  def draw(counted, names):
    return figures.classes(
      counted, names, figures.title(config, counted.result)
    )

  return _of(seen, 'counted', draw)


def _filters(config, seen):
  if seen.network is None:
    return note(seen.missing)
  order = networks.as_trained(config, seen.network.path).data.order
  try:
    found = filters.of_network(seen.network, order, seen.channels)
  except ValueError as error:
    return note(f'{error}.')
  return figures.filters(found)
