r"""Writes what layers of a trained network say of images: features.

    python -m tools.features --workdir=DIR --layer=fc7 --out=fc7.npz PHOTOS
    python -m tools.features --config=configs/vgg.py:data=folder \
        --config.data.dir=DATA --config.init_from=vgg16.pth \
        --layer=pool5,fc7 --split=train --out=train.npz
    python -m tools.features --config=configs/resnet.py --list

Images are files and folders, as tools.predict takes them, or a split of the
config's own data, with labels. --out=NAME.npz is one file; NAME a folder of
.npy files, for numpy.load(..., mmap_mode='r'). It holds, N images in order,

    a layer      float32 [N, h, w, channels], or [N, channels] where h = w = 1
    keys         of each image: its path, or its name or number in the data
    labels       int32 [N], of a split
    class_names  of the labels, or else of the network's own classes
    about        JSON: network, weights, protocol, preprocessing, data

A layer's features are its units after the ReLU where the paper has one; the
names are the papers': --list, docs/layers.md. An image that cannot be read is
named, and has no row; the exit code is 1 then. It is 2, and nothing is written,
where something else fails.
"""

import json
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tqdm
from absl import flags
from ml_collections import ConfigDict

import experiment
import zoo
from errors import UserError
from evaluation import features, inference, networks, protocols
from evaluation.inference import Model
from runtime import (
  array_files,
  command_line,
  compile_cache,
  console,
  memory,
  storage,
)
from runtime.progress import Progress
from tools import command, predict
from zoo import intermediates

_LIST = flags.DEFINE_bool('list', False, 'print the layers, and no more')
_BATCH = 64  # images at once, at most
_SOME_BAD = 1  # exit code


class Images(NamedTuple):
  """What features are of."""

  said: str
  read: Callable[[int], features.Item]
  number: int
  shape: tuple[int, ...]
  class_names: tuple[str, ...]
  labelled: bool = False


def shapes(
  config: ConfigDict, layers: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
  """Returns (h, w, channels) by layer of a config's network; reads nothing.

  Raises:
    UserError: no such layer, names the close ones; or a bad network.
  """
  model = dict(config.model)
  name = model.pop('name')
  size = config.data.image_size
  try:
    side, _, channels = zoo.image_shape(name)
    classes = 1000 if side > 32 else 10  # as the papers': names need none
    network = zoo.create(name, num_classes=classes, **model)
    every = zoo.layer_shapes(network, (size, size, channels))
  except ValueError as error:
    raise UserError(f'model or data.image_size: {error}') from None
  try:
    intermediates.check_layers(layers, every)
  except ValueError as error:
    raise UserError(f'--layer: {error}') from None
  return {layer: every[layer] for layer in layers or every}


def listing(found: Mapping[str, tuple[int, ...]]) -> str:
  """Returns a line a layer, with the shape of its features."""
  wide, last = max(map(len, found)), list(found)[-1]
  return '\n'.join(
    f'{name:{wide}}  '
    + ('[classes]' if name == last else str(list(_plain(shape))))
    for name, shape in found.items()
  )


def _plain(shape):
  """As `features.Extractor` has it."""
  return shape[2:] if shape[:2] == (1, 1) else shape


def target(text: str) -> pathlib.Path:
  """Returns the path of --out.

  Raises:
    UserError: missing, of another kind, in no folder, or a folder in its place.
  """
  if not text:
    raise UserError('--out is missing: NAME.npz, or NAME for a folder of .npy')
  path = storage.local(text).absolute()
  if path.suffix not in ('', '.npz'):
    raise UserError(
      f'--out {text}: NAME.npz for one file, NAME for a folder of .npy files'
    )
  if not path.parent.is_dir():
    raise UserError(f'--out {text}: there is no folder {path.parent}')
  if path.is_dir() or (path.exists() and not array_files.is_archive(path)):
    raise UserError(f'--out {text} is there already: take another name')
  return path


def check_room(
  out: pathlib.Path, count: int, found: Mapping[str, tuple[int, ...]]
) -> None:
  """Refuses what does not fit on the disk.

  Raises:
    UserError: names both sizes.
  """
  sizes = [4 * count * int(np.prod(shape)) for shape in found.values()]
  # An archive is made of files, one after the other.
  needed = sum(sizes) + max(sizes) * array_files.is_archive(out)
  free = shutil.disk_usage(out.parent).free
  if needed > free:
    way = ', or a folder in place of .npz' * array_files.is_archive(out)
    raise UserError(
      f'--out {out}: {count:,} images need {needed / 1e9:,.1f} GB there, '
      f'{free / 1e9:,.1f} GB are free: take fewer layers or images{way}'
    )


def _images(config, files, model, protocol) -> Images:
  network = model.networks[0]
  if not command.SPLIT.value:
    shape = (network.image_size,) * 2 + (3,)
    if protocol.name == 'single':
      shape = model.image_shape
    read = features.of_files(files, model, protocol)
    return Images('images', read, len(files), shape, model.class_names)
  source = experiment.create_source(config, command.SPLIT.value)
  return Images(
    f'images of {config.data.name} {command.SPLIT.value}',
    features.of_source(source, protocol, network.image_size),
    len(source),
    source.image_shape,
    source.class_names,
    True,
  )


def _about(config, model: Model, protocol, images) -> str:
  path = model.networks[0].path
  data = networks.as_trained(config, path).data
  return json.dumps(
    {
      'network': config.model.name,
      'weights': path,
      'images': images.said,
      'protocol': protocol.name,
      'image_size': data.image_size,
      'mean': data.mean_image or list(data.mean),
      'std': list(data.std),
      'order': data.order,
    }
  )


def write(
  out: pathlib.Path,
  images: Images,
  extractor: features.Extractor,
  about: str,
  **more: int,
) -> tuple[int, int]:
  """Writes the file or folder; returns how many rows, and how many bad images.

  Args:
    out: from `target`.
    images: what is read.
    extractor: of the network.
    about: text that is kept with them.
    **more: of `features.stream`.

  Raises:
    UserError: none of the images can be read.
    OSError: it cannot be written.
  """
  keys: list[str] = []
  labels: list[int] = []
  bad = 0
  with array_files.Writer(out) as writer, Progress(images.number) as progress:
    for batch in features.stream(extractor, images.read, images.number, **more):
      for layer, rows in batch.features.items():
        writer.add(layer, rows)
      keys += batch.keys
      labels += batch.labels
      bad += len(batch.bad)
      for name, error in batch.bad:
        said = f'error: {predict.why(name, error)}'
        tqdm.tqdm.write(said, file=sys.stderr)
      progress.add(len(batch.keys) + len(batch.bad))
    if not keys:
      raise UserError('no image can be read')
    writer.put('keys', np.array(keys))
    if images.labelled:
      writer.put('labels', np.array(labels, np.int32))
    writer.put('class_names', np.array(images.class_names))
    writer.put('about', np.array(about))
  return len(keys), bad


def main(config: ConfigDict, arguments: list[str]) -> int:
  """Writes the features; returns the exit code."""
  layers = tuple(filter(None, command.LAYER.value))
  # Of one view; what a run was evaluated by is of no matter.
  config.eval.protocol, config.eval.scales = protocols.natural(config), ()
  command.check(config)
  compile_cache.enable()
  memory.keep()
  known = shapes(config, layers)
  if _LIST.value:
    print(listing(known))
    return 0
  if not layers:
    raise UserError('--layer is missing: one or more of those that --list has')
  if config.eval.members:
    raise UserError('eval.members: features are of one network, without them')
  out = target(command.OUT.value)
  protocol = protocols.create(config, config.eval.protocol)
  files = _files(arguments)
  model = inference.load(
    config, command_line.WORKDIR.value, command.CLASSES.value, other_data=True
  )
  images = _images(config, files, model, protocol)
  extractor = features.Extractor(model.networks[0], layers)
  try:
    found = extractor.shapes(images.shape)
  except ValueError as error:
    raise UserError(f'model or data: {error}') from None
  check_room(out, images.number, found)
  console.say(
    f'{config.model.name} of {model.networks[0].path}, protocol '
    f'{protocol.name}: {images.said}, {images.number:,}'
  )
  try:
    rows, bad = write(
      out, images, extractor, _about(config, model, protocol, images),
      batch_size=min(config.eval.batch_size, _BATCH),
      threads=config.data.threads,
    )  # fmt: skip
  except OSError as error:
    raise UserError(
      f'--out {out} cannot be written: {error.strerror or error}'
    ) from None
  what = [f'{name} {[rows, *shape]}' for name, shape in found.items()]
  if images.labelled:
    what.append(f'labels of {len(images.class_names):,} classes')
  console.say(f'{command.OUT.value}: {", ".join(what)}')
  return _SOME_BAD if bad else 0


def _files(arguments):
  if command.SPLIT.value and arguments:
    raise UserError(
      f"--split={command.SPLIT.value} is of the config's own data: give it, or "
      f'{arguments[0]}, not both'
    )
  if not command.SPLIT.value and not arguments:
    raise UserError(
      "no images: name files or folders, or --split=train for the config's data"
    )
  return predict.find(arguments) if arguments else []


if __name__ == '__main__':
  options = [
    command_line.WORKDIR, command.OUT, command.CLASSES, command.LAYER,
    command.SPLIT, _LIST,
  ]  # fmt: skip
  command.run(main, options, stray='PHOTOS')
