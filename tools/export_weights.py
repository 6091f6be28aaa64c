"""The weights of a network as a file, with what it is in a folder beside it."""

import contextlib
import pathlib
from collections.abc import Iterator

import jax
from ml_collections import ConfigDict

from data import mean_image
from errors import UserError, one_line
from evaluation.inference import Model
from evaluation.scoring import Network
from runtime import storage
from runtime import workdir as workdir_lib
from tools import record, usage
from zoo import weight_files, weights


def check_packages() -> None:
  """Raises UserError where safetensors is not installed."""
  with usage.needs('safetensors'):
    import safetensors  # noqa: F401, PLC0415


def write(
  config: ConfigDict, model: Model, file: pathlib.Path, workdir: str
) -> list[str]:
  """Writes .npz or .safetensors, by the file's suffix, and `record`'s folder.

  Args:
    config: of the network, `networks.as_trained`.
    model: of one network.
    file: to write.
    workdir: that the network is from; '': none.

  Returns:
    Lines for a person.

  Raises:
    UserError: several networks; it cannot be written; or the folder beside it
      is something else.
  """
  if len(model.networks) > 1:
    raise UserError(
      f'{file.suffix} has the weights of one network, and eval.members adds '
      f'{len(model.networks) - 1}: export them one by one, or all in one file '
      'of --format=stablehlo'
    )
  (network,) = model.networks
  folder = file.with_suffix('')
  # The workdir RUN beside RUN.npz is its own record.
  own = bool(workdir) and _same(folder, workdir_lib.containing(workdir))
  mean = mean_image.of_config(config)
  texts = record.contents(
    {**workdir_lib.as_json(config), 'init_from': ''},
    model.class_names,
    model.image_shape,
  )
  if not own:
    record.check(folder, texts)
  with _replacing(file) as temporary:
    said = _save(config, model, network, temporary)
    if not own:
      record.write(folder, texts, mean)
  return [
    f'{file}: {file.stat().st_size:,} bytes, {said}',
    _input(config, model, folder),
    f'{folder}: {" and ".join(sorted(texts))}, so that '
    f'--config.init_from={file} needs no --config',
  ]


def _save(config, model, network: Network, file) -> str:
  """Writes the file; returns how many arrays, and by whose names."""
  options = dict(config.model)
  name, _ = options.pop('name'), options.pop('dtype')
  if file.suffix == '.npz':
    weights.save(str(file), network.variables)
    return f'{len(jax.tree.leaves(network.variables))} arrays by our own names'
  about = {
    'class_names': list(model.class_names),
    'image_size': config.data.image_size,
    'image_shape': list(model.image_shape),
    'order': config.data.order,
    'mean': list(config.data.mean),
    'std': list(config.data.std),
    'mean_image': mean_image.NAME if config.data.mean_image else '',
    'versions': workdir_lib.versions(),
  }
  count = len(
    weight_files.save(str(file), name, network.variables, about, **options)
  )
  if theirs := weight_files.torchvision_name(name, **options):
    return f'{count} arrays, the state_dict of torchvision.models.{theirs}'
  return f'{count} arrays by our own names: torchvision has no such network'


def _same(folder, place) -> bool:
  return storage.is_local(place) and folder.resolve() == place.resolve()


def _input(config, model, folder) -> str:
  """Returns how the network takes its images."""
  data = config.data
  order = 'grey' if model.image_shape[-1] == 1 else data.order.upper()
  mean = folder / mean_image.NAME if data.mean_image else _tuple(data.mean)
  height, width, _ = model.image_shape
  size = f'{data.image_size}x{data.image_size}'
  if max(height, width) < data.image_size:  # `preprocess.pad_to`
    size = f'{height}x{width} in a border of 0 to {size}'
  return (
    f'images: {size}, {order}, '
    f'(pixels of 0 to 255 - {mean}) / {_tuple(data.std)}'
  )


def _tuple(values) -> str:
  found = [f'{v:.8g}' for v in values]
  return found[0] if len(found) == 1 else f'({", ".join(found)})'


@contextlib.contextmanager
def _replacing(file: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a path that becomes the file at the end, or is taken away."""
  temporary = file.with_name(f'.{file.stem}.tmp{file.suffix}')
  try:
    yield temporary
    temporary.replace(file)
  except OSError as error:
    reason = error.strerror or one_line(error)
    raise UserError(f'--out {file} cannot be written: {reason}') from error
  finally:
    temporary.unlink(missing_ok=True)
