"""Writes a trained network as one file, for others to run or to read.

    python -m tools.export --workdir=DIR --out=vgg.bin
    python -m tools.export --workdir=DIR --out=vgg.safetensors

    --format=     has                  is read by
    stablehlo     network and weights  JAX alone: CPU, CUDA, TPU
    onnx          network and weights  onnxruntime and its like
    safetensors   weights              PyTorch, by torchvision's names where it
                                       has the network; init_from
    npz           weights              NumPy, init_from, zoo.weights.load

Without --format the end of --out says it: .safetensors, .npz, .onnx, else it is
stablehlo. Where a run has averaged parameters, they are what is written.

With a network its preprocessing is inside: uint8 [batch, H, W, C] in, of any
batch, probabilities float32 [batch, classes] out. Beside it, FILE.json has the
shape, the names of the classes, and what image it expects. To use stablehlo,
pip install jax flatbuffers, and nothing of this codebase:

    import json, jax, numpy as np
    model = jax.export.deserialize(open('vgg.bin', 'rb').read())
    about = json.load(open('vgg.bin.json'))
    images = np.zeros((5, *about['image_shape']), np.uint8)  # RGB
    probabilities = model.call(images)
    names = [about['class_names'][i] for i in probabilities.argmax(-1)]

`eval.members` makes it an ensemble of networks of one input size. Writing onnx
needs pip install jax2onnx (jax 0.8.1 or newer), and onnxruntime has to say what
the network says before the file is written.

With weights, a folder beside the file, of its name without the end, has
config.json and classes.json, and --config.init_from=FILE needs no --config.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import export
from ml_collections import ConfigDict

from errors import UserError, closest
from evaluation import inference, networks, protocols, scoring
from evaluation.inference import Model
from runtime import command_line, storage
from runtime import workdir as workdir_lib
from tools import command, export_onnx, export_weights

PLATFORMS = ('cpu', 'cuda', 'tpu')
FORMATS = ('stablehlo', 'onnx', 'safetensors', 'npz')
_FORMAT = flags.DEFINE_string(
  'format', '', f'of the file: {", ".join(FORMATS)}'
)
_PACKAGES = {
  'onnx': export_onnx.check_packages,
  'safetensors': export_weights.check_packages,
}


def image_shape(model: Model, protocol_name: str) -> tuple[int, int, int]:
  """Returns the shape of an image as the artifact takes it.

  Raises:
    UserError: members with other input sizes.
  """
  if protocol_name == 'single':
    return model.image_shape
  sizes = sorted({n.image_size for n in model.networks})
  if len(sizes) > 1:
    raise UserError(
      f'eval.members have inputs of {", ".join(map(str, sizes))} pixels: one '
      'file takes images of one size, export them one by one'
    )
  return (sizes[0], sizes[0], 3)


def probabilities_of(model: Model) -> Callable[[jax.Array], jax.Array]:
  """Returns uint8 [batch, H, W, C] -> float32 [batch, classes]."""
  forwards = [
    (scoring.make_forward(n), jax.tree.map(np.asarray, n.variables))
    for n in model.networks
  ]

  def probabilities(images):
    found = [f(v, images[:, None], False) for f, v in forwards]
    return jnp.stack(found).mean(0)

  return probabilities


def serialize(model: Model, shape: tuple[int, ...]) -> bytearray:
  """Returns the artifact: uint8 [batch, *shape] -> probabilities."""
  (batch,) = export.symbolic_shape('batch')
  arguments = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
  function = jax.jit(probabilities_of(model))
  return export.export(function, platforms=PLATFORMS)(arguments).serialize()


def about(config: Any, model: Model, shape: tuple[int, ...]) -> dict[str, Any]:
  """Returns what FILE.json holds."""
  geometry = config.data.eval_geometry.to_dict()
  return {
    'networks': [n.path for n in model.networks],
    'model': workdir_lib.as_json(config)['model'],
    'image_shape': list(shape),
    'image': 'uint8, RGB' if shape[-1] == 3 else 'uint8, grey',
    'geometry': geometry,
    'class_names': list(model.class_names),
    'versions': workdir_lib.versions(),
  }


def _write_program(
  config: ConfigDict, model: Model, file: pathlib.Path, kind: str
) -> list[str]:
  """Writes a network with its weights, and FILE.json; returns what to say."""
  shape = image_shape(model, protocols.natural(config))
  description = about(config, model, shape)
  if kind == 'onnx':
    model = export_onnx.in_float32(model)
    content = export_onnx.convert(probabilities_of(model), shape)
    runs = f'ONNX, opset {export_onnx.OPSET}'
    description |= {
      'input': export_onnx.INPUT,
      'output': export_onnx.OUTPUT,
      'opset': export_onnx.OPSET,
    }
  else:
    content = serialize(model, shape)
    runs = f'for {", ".join(PLATFORMS)}'
    description['platforms'] = list(PLATFORMS)
  text = json.dumps(description, indent=1)
  try:
    storage.write(file.with_name(file.name + '.json'), text + '\n')
    storage.write(file, content)
  except OSError as error:
    raise UserError(
      f'--out {file} cannot be written: {error.strerror}'
    ) from None
  return [
    f'{file}: {len(content):,} bytes, uint8 [batch, '
    f'{", ".join(map(str, shape))}] -> float32 [batch, '
    f'{len(model.class_names)}], {runs}'
  ]


def format_of(given: str, file: pathlib.Path) -> str:
  """Returns one of `FORMATS`: as given, or as the end of a file says.

  Raises:
    UserError: unknown; the file ends as one of another format does, or it
      cannot be one.
  """
  if file.is_dir():
    raise UserError(f'--out {file} is a folder: name a file in it')
  if not file.parent.is_dir():
    raise UserError(f'--out {file}: there is no folder {file.parent}')
  by_end = {f'.{name}': name for name in ('safetensors', 'npz', 'onnx')}
  meant = by_end.get(file.suffix, 'stablehlo')
  if given and given not in FORMATS:
    raise UserError(f"--format '{given}' is unknown.{closest(given, FORMATS)}")
  if given in ('', meant):
    return meant
  way = f'name it {file.with_suffix(f".{given}").name}'
  if given == 'stablehlo':
    way = f'{file.suffix} is of --format={meant}'
  raise UserError(f'--format={given} --out={file}: {way}')


def main(config: ConfigDict, _: list[str]) -> None:
  """Writes the file and what is beside it."""
  command.check(config)
  if not command.OUT.value:
    raise UserError('--out is missing: the file to write')
  file = storage.local(command.OUT.value)
  kind = format_of(_FORMAT.value, file)
  if kind in _PACKAGES:
    _PACKAGES[kind]()
  workdir = command_line.WORKDIR.value
  model = inference.load(config, workdir, command.CLASSES.value)
  if kind in ('safetensors', 'npz'):
    config = networks.as_trained(config, config.init_from or workdir)
    place = '' if config.init_from else workdir
    lines = export_weights.write(config, model, file, place)
  else:
    lines = _write_program(config, model, file, kind)
  print('\n'.join(lines))


if __name__ == '__main__':
  command.run(
    main, [command_line.WORKDIR, command.OUT, _FORMAT, command.CLASSES]
  )
