r"""Says what is on images, by a trained network.

    python -m tools.predict --config=configs/vgg.py --workdir=DIR IMAGE|DIR|-
    python -m tools.predict --config=configs/alexnet.py:variant=bvlc_alexnet \
        --config.init_from=bvlc_alexnet.onnx --protocol=ten_crop --json PHOTOS

A line an image: the five most probable classes. '-' reads one image from
standard input. The data set need not be there: a workdir records the names of
its classes, and ImageNet's words are at hand. An image that cannot be read is
named on standard error, the others are done, and the exit code is 2.
"""

import json
import sys

from absl import flags
from ml_collections import ConfigDict

from data import crops
from errors import UserError, one_line
from evaluation import inference, protocols
from runtime import command_line, compile_cache, storage
from tools import command

_PROTOCOL = flags.DEFINE_string('protocol', '', 'see evaluation/protocols.py')
_JSON = flags.DEFINE_bool('json', False, 'an object a line, for programs')
_EXTENSIONS = ('.jpg', '.jpeg', '.png')
_TOP = 5


def read_files(arguments: list[str]) -> dict[str, bytes]:
  """Returns the contents of files, folders and '-', by name.

  Raises:
    UserError: nothing given, not there, or a folder without images.
  """
  if not arguments:
    raise UserError('no images: name files, folders, or - for standard input')
  found = {}
  for argument in arguments:
    if argument == '-':
      found['-'] = sys.stdin.buffer.read()
      continue
    path = storage.local(argument)
    paths = [path]
    if path.is_dir():
      paths = sorted(
        p for p in path.iterdir() if p.suffix.lower() in _EXTENSIONS
      )
      if not paths:
        raise UserError(
          f'{path} holds no images ({", ".join(_EXTENSIONS)}); folders in it '
          'are not searched'
        )
    for file in paths:
      try:
        found[str(file)] = file.read_bytes()
      except OSError as error:
        raise UserError(f'{file} cannot be read: {error.strerror}') from None
  return found


def _readable(files):
  """Returns the files that can be decoded; names the others."""
  good = {}
  for name, content in files.items():
    try:
      crops.decode(content)
      good[name] = content
    except Exception as error:  # noqa: BLE001  libraries raise many kinds
      print(
        f'error: {name} cannot be decoded: {one_line(error)}', file=sys.stderr
      )
  return good


def lines(names, found, class_names, protocol, as_json) -> list[str]:
  """Returns a line an image.

  Args:
    names: of the images.
    found: float32 [N, classes].
    class_names: of the classes.
    protocol: its name.
    as_json: as objects.
  """
  result = []
  for name, row in zip(names, found):
    best = [int(i) for i in (-row).argsort(kind='stable')[:_TOP]]
    if as_json:
      top = [
        {'class': class_names[i], 'index': i, 'probability': float(row[i])}
        for i in best
      ]
      result.append(
        json.dumps({'image': name, 'protocol': protocol, 'top': top})
      )
    else:
      shown = ', '.join(f'{class_names[i]} {row[i]:.1%}' for i in best)
      result.append(f'{name}: {shown}')
  return result


def main(config: ConfigDict, arguments: list[str]) -> int:
  """Prints the predictions; returns the exit code."""
  compile_cache.enable()
  config.eval.protocol = _PROTOCOL.value or protocols.natural(config)
  command.check(config)
  protocol = protocols.create(config, config.eval.protocol)
  files = read_files(arguments)
  model = inference.load(
    config, command_line.WORKDIR.value, command.CLASSES.value
  )
  good = _readable(files)
  found = inference.predict(
    model, protocol, list(good.values()), config.eval.batch_size
  )
  if not _JSON.value:
    print(f'protocol: {protocol.name}', file=sys.stderr)
  said = lines(good, found, model.class_names, protocol.name, _JSON.value)
  print('\n'.join(said))
  return UserError.EXIT_CODE if len(good) < len(files) else 0


if __name__ == '__main__':
  options = [command_line.WORKDIR, command.CLASSES, _PROTOCOL, _JSON]
  command.run(main, options, stray='IMAGE|DIR|-')
