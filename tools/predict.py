r"""Says what is on images, by a trained network.

    python -m tools.predict --config=configs/vgg.py --workdir=DIR IMAGE|DIR|-
    python -m tools.predict --config=configs/alexnet.py:variant=bvlc_alexnet \
        --config.init_from=bvlc_alexnet.onnx --protocol=ten_crop --json PHOTOS

A line an image, as soon as it is known: the five most probable classes. Folders
are searched at any depth, but for what is hidden; '-' reads one image from
standard input. A position in EXIF is applied. The data set need not be there: a
workdir records the names of its classes, and ImageNet's words are at hand.

An image that cannot be read is named on standard error and the others are done;
the exit code is 1 then, and 2 where nothing is begun.
"""

import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tqdm
from absl import flags
from ml_collections import ConfigDict

from data import listing
from errors import UserError, one_line
from evaluation import inference, protocols
from runtime import command_line, compile_cache, memory, storage
from runtime.progress import Progress
from tools import command

_PROTOCOL = flags.DEFINE_string('protocol', '', 'see evaluation/protocols.py')
_JSON = flags.DEFINE_bool('json', False, 'an object a line, for programs')
_TOP = 5
_BAD = 1  # exit code: some could not be read


def find(arguments: Sequence[str]) -> list[tuple[str, Callable[[], bytes]]]:
  """Returns names of files, of those in folders, and of '-', and their readers.

  Raises:
    UserError: nothing given, not there, or a folder without images.
  """
  if not arguments:
    raise UserError('no images: name files, folders, or - for standard input')
  found: list[tuple[str, Callable[[], bytes]]] = []
  for argument in arguments:
    path = storage.local(argument)
    if argument == '-':
      found.append(('-', sys.stdin.buffer.read))
    elif os.path.isdir(path):
      found += [(str(file), file.read_bytes) for file in _in_folder(path)]
    elif os.path.lexists(path):
      found.append((str(path), path.read_bytes))
    else:
      raise UserError(f'{path} cannot be read: there is no such file')
  return found


def _in_folder(folder):
  """Returns the images at any depth, sorted; says what is left out."""
  found, left_out, seen = [], listing.LeftOut(), set()

  def closed(error):
    found.append(pathlib.Path(error.filename))  # to be named where it is read

  for place, folders, names in os.walk(
    folder, onerror=closed, followlinks=True
  ):
    real = os.path.realpath(place)
    if real in seen:  # a link to a folder around it
      folders.clear()
      continue
    seen.add(real)
    left_out.folders |= {n for n in folders if listing.is_of_system(n)}
    folders[:] = sorted(set(folders) - left_out.folders)
    for name in sorted(names):
      path = pathlib.Path(place, name)
      if kind := listing.kind_left_out(name):
        left_out.files[kind] += 1
      else:
        found.append(path)
  if not found:
    raise UserError(
      f'{folder} holds no images ({", ".join(listing.EXTENSIONS)})'
      + f', but {left_out}' * bool(left_out)
    )
  if left_out:
    print(f'{folder}: left out {left_out}', file=sys.stderr)
  return found


def line(
  name: str,
  row: np.ndarray,
  class_names: Sequence[str],
  protocol: str,
  as_json: bool,
) -> str:
  """Returns what is said of an image.

  Args:
    name: of the image.
    row: float32 [classes].
    class_names: of the classes.
    protocol: its name.
    as_json: as an object.
  """
  best = [int(i) for i in (-row).argsort(kind='stable')[:_TOP]]
  if as_json:
    top = [
      {'class': class_names[i], 'index': i, 'probability': float(row[i])}
      for i in best
    ]
    return json.dumps({'image': name, 'protocol': protocol, 'top': top})
  shown = ', '.join(f'{class_names[i]} {row[i]:.1%}' for i in best)
  return f'{name}: {shown}'


def why(name: str, error: Exception) -> str:
  """Returns what is said of an image that gives an error."""
  if isinstance(error, OSError):
    return f'{name} cannot be read: {error.strerror or error}'
  return f'{name} cannot be decoded: {one_line(error)}'


def main(config: ConfigDict, arguments: list[str]) -> int:
  """Prints the predictions; returns the exit code."""
  config.eval.protocol = _PROTOCOL.value or protocols.natural(config)
  command.check(config)
  protocol = protocols.create(config, config.eval.protocol)
  files = find(arguments)
  compile_cache.enable()
  memory.keep()
  model = inference.load(
    config, command_line.WORKDIR.value, command.CLASSES.value
  )
  if not _JSON.value:
    print(f'protocol: {protocol.name}', file=sys.stderr)
  found = inference.stream(
    model, protocol, (read for _, read in files), config.eval.batch_size
  )
  code = 0
  # Where the lines are seen they say how far it is.
  with Progress(len(files), quiet=sys.stdout.isatty()) as progress:
    for (name, _), row in zip(files, found):
      progress.add(1)
      if isinstance(row, Exception):
        code = _BAD
        tqdm.tqdm.write(f'error: {why(name, row)}', file=sys.stderr)
        continue
      said = line(name, row, model.class_names, protocol.name, _JSON.value)
      print(said, flush=True)
  return code


if __name__ == '__main__':
  options = [command_line.WORKDIR, command.CLASSES, _PROTOCOL, _JSON]
  command.run(main, options, stray='IMAGE|DIR|-')
