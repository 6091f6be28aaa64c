r"""Compiles a config's train step for TPU chips that are not there.

    pip install libtpu      # the release that pip install 'jax[tpu]' would take
    python -m tools.compile_for --topology=v5e:4x4 \
        --config=configs/resnet.py --batch_per_chip=128 \
        --config.model.dtype=bfloat16

It is the very step that `main.py` runs, through the TPU compiler, on noise of
the network's own image size. Reported a chip: memory, traffic, arithmetic, the
time that the published peak rates allow (no measurement), and what chips
exchange. Topologies: v5e:4x4, v5e:16x16, v5p:2x2x2, v6e:4x4, ...
"""

import dataclasses
import math
import os
import re
import time
from typing import NamedTuple

from runtime.mesh import AXIS

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')  # else it waits for a cloud

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.experimental import topologies
from jax.sharding import Mesh
from ml_collections import ConfigDict

from errors import UserError, one_line
from experiment import create_experiment
from tools import command, steps
from training.state import abstract_state
from training.train_step import make_train_step

_TOPOLOGY = flags.DEFINE_string('topology', 'v5e:4x4', 'CHIP:SHAPE of the pod')
_BATCH = flags.DEFINE_integer(
  'batch_per_chip', 0, "images; 0: the config's batch"
)


class Chip(NamedTuple):
  """Published rates: cloud.google.com/tpu/docs, 'System architecture'."""

  memory: float  # bytes
  bandwidth: float  # bytes/s of it
  flops: float  # bfloat16, a second


CHIPS = {
  'v5e': Chip(16e9, 819e9, 197e12),
  'v5p': Chip(95e9, 2765e9, 459e12),
  'v6e': Chip(32e9, 1640e9, 918e12),
}
_BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 'f32': 4, 's32': 4}
_COLLECTIVE = re.compile(
  r'= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|'
  r'collective-permute)(?:-start)?\('
)


@dataclasses.dataclass
class Report:
  """What the compiler says of one step, a chip."""

  chips: int
  images: int
  seconds: float
  memory: int
  traffic: float
  flops: float
  collectives: list[tuple[str, int]]  # kind and bytes of the result


def compile_step(config: ConfigDict, topology: str, batch: int) -> Report:
  """Compiles the train step of a config; reads no data.

  Args:
    config: of `configs/`; its data are replaced by noise.
    topology: as 'v5e:4x4'.
    batch: images a chip; 0 for the config's global batch.

  Raises:
    UserError: no such topology, no TPU compiler, or a config that is wrong.
  """
  devices = chips(topology)
  steps.replace_data(config)
  if batch:
    config.train.batch_size = batch * len(devices)
  experiment = create_experiment(config, Mesh(np.array(devices), (AXIS,)))
  images = config.train.batch_size
  arrays = {
    'image': ((images, *experiment.train_source.image_shape), jnp.uint8),
    'label': ((images,), jnp.int32),
  }
  abstract = {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=experiment.batch_sharding)
    for name, (shape, dtype) in arrays.items()
  }
  step = make_train_step(experiment)
  return report(
    step, (abstract_state(experiment), abstract), len(devices), images
  )


def chips(topology: str) -> list[jax.Device]:
  """Returns the devices of a topology. Raises UserError as `compile_step`."""
  try:
    described = topologies.get_topology_desc(
      platform='tpu', topology_name=topology
    )
  except Exception as error:  # of libtpu and of its absence
    raise UserError(
      f"--topology '{topology}': {one_line(error)}. It needs the TPU compiler, "
      "pip install libtpu, and a name such as 'v5e:4x4'"
    ) from error
  return list(described.devices)


def report(step, arguments: tuple, devices: int, images: int) -> Report:
  """Compiles a jitted step.

  Args:
    step: jitted.
    arguments: its own, as jax.ShapeDtypeStruct with the devices' shardings.
    devices: how many.
    images: of the global batch.
  """
  start = time.perf_counter()
  compiled = step.lower(*arguments).compile()
  seconds = time.perf_counter() - start
  cost = compiled.cost_analysis()
  return Report(
    chips=devices,
    images=images // devices,
    seconds=seconds,
    memory=steps.memory_of(compiled),
    traffic=cost['bytes accessed'],
    flops=cost['flops'],
    collectives=collectives(compiled.as_text()),
  )


def collectives(text: str) -> list[tuple[str, int]]:
  """Returns kind and bytes of each collective in a program's text (HLO)."""
  found = []
  for shapes, kind in _COLLECTIVE.findall(text):
    sizes = [
      math.prod(int(n) for n in dims.split(',') if n) * _BYTES.get(dtype, 4)
      for dtype, dims in re.findall(r'(\w+)\[([\d,]*)\]', shapes)
    ]
    found.append((kind, sum(sizes)))
  return found


def _short(number):
  """Three digits, or all of those before the point."""
  return f'{number:,.0f}' if number >= 100 else f'{number:.3g}'


def describe(report: Report, topology: str) -> str:
  """Returns the report as lines."""
  kind = topology.partition(':')[0]
  lines = [
    f'{topology}: {report.chips} chips, {report.images} images a chip, '
    f'traced and compiled in {report.seconds:.0f} s',
    f'traffic     {_short(report.traffic / 1e9)} GB a chip, '
    f'{_short(report.traffic / report.images / 1e6)} MB an image',
    f'arithmetic  {_short(report.flops / 1e12)} TFLOP a chip, '
    f'{_short(report.flops / report.images / 1e9)} GFLOP an image',
  ]
  if kind in CHIPS:
    chip = CHIPS[kind]
    moving, computing = (
      1e3 * report.traffic / chip.bandwidth,
      1e3 * report.flops / chip.flops,
    )
    slower = max(moving, computing)
    lines += [
      f'at best     {_short(slower)} ms a step ({_short(moving)} for the '
      f'traffic, {_short(computing)} for the arithmetic), '
      f'{1e3 * report.images / slower:,.0f} images/s a chip',
      f'memory      {_short(report.memory / 1e9)} of {chip.memory / 1e9:.0f} GB'
      + ('' if report.memory < chip.memory else ': DOES NOT FIT'),
    ]
  else:
    lines.append(f'memory      {_short(report.memory / 1e9)} GB')
  kinds = sorted({kind for kind, _ in report.collectives})
  for name in kinds:
    sizes = [size for kind, size in report.collectives if kind == name]
    lines.append(
      f'{name:11} {len(sizes)}, {_short(sum(sizes) / 1e6)} MB a step'
    )
  return '\n'.join(lines if kinds else [*lines, 'no collectives'])


def main(config: ConfigDict, _: list[str]) -> None:
  """See the module's docstring."""
  report = compile_step(config, _TOPOLOGY.value, _BATCH.value)
  print(describe(report, _TOPOLOGY.value))


if __name__ == '__main__':
  command.run(main, [_TOPOLOGY, _BATCH])
