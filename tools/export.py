"""Writes a trained network as one file of StableHLO, to run with JAX alone.

    python -m tools.export --config=configs/vgg.py --workdir=DIR --out=vgg.bin

The file has weights and preprocessing inside, for CPU, CUDA and TPU: uint8
[batch, H, W, C] in, of any batch, probabilities float32 [batch, classes] out.
Beside it, FILE.json has the shape, the names of the classes, and what image the
network expects. To use it, pip install jax flatbuffers, and nothing of this
codebase:

    import json, jax, numpy as np
    model = jax.export.deserialize(open('vgg.bin', 'rb').read())
    about = json.load(open('vgg.bin.json'))
    images = np.zeros((5, *about['image_shape']), np.uint8)  # RGB
    probabilities = model.call(images)
    names = [about['class_names'][i] for i in probabilities.argmax(-1)]

`eval.members` makes it an ensemble of networks of one input size.
"""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from ml_collections import ConfigDict

from errors import UserError
from evaluation import inference, protocols, scoring
from evaluation.inference import Model
from runtime import command_line, storage
from runtime import workdir as workdir_lib
from tools import command

PLATFORMS = ('cpu', 'cuda', 'tpu')


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


def serialize(model: Model, shape: tuple[int, ...]) -> bytearray:
  """Returns the artifact: uint8 [batch, *shape] -> probabilities."""
  forwards = [
    (scoring.make_forward(n), jax.tree.map(np.asarray, n.variables))
    for n in model.networks
  ]

  def probabilities(images):
    found = [f(v, images[:, None], False) for f, v in forwards]
    return jnp.stack(found).mean(0)

  (batch,) = export.symbolic_shape('batch')
  arguments = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
  exported = export.export(jax.jit(probabilities), platforms=PLATFORMS)
  return exported(arguments).serialize()


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
    'platforms': list(PLATFORMS),
    'versions': workdir_lib.versions(),
  }


def main(config: ConfigDict, _: list[str]) -> None:
  """Writes the artifact and its description."""
  command.check(config)
  if not command.OUT.value:
    raise UserError('--out is missing: the file to write')
  model = inference.load(
    config, command_line.WORKDIR.value, command.CLASSES.value
  )
  shape = image_shape(model, protocols.natural(config))
  file = storage.local(command.OUT.value)
  content = serialize(model, shape)
  text = json.dumps(about(config, model, shape), indent=1)
  try:
    storage.write(file.with_name(file.name + '.json'), text + '\n')
    storage.write(file, content)
  except OSError as error:
    raise UserError(
      f'--out {file} cannot be written: {error.strerror}'
    ) from None
  print(
    f'{file}: {len(content):,} bytes, uint8 [batch, '
    f'{", ".join(map(str, shape))}] -> float32 [batch, '
    f'{len(model.class_names)}], for {", ".join(PLATFORMS)}'
  )


if __name__ == '__main__':
  command.run(main, [command_line.WORKDIR, command.OUT, command.CLASSES])
