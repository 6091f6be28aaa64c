r"""Compiles a config's train step for TPU chips that are not there.

    pip install libtpu      # the release that pip install 'jax[tpu]' would take
    python -m tools.compile_for --topology=v5e:4x4 \
        --config=configs/resnet.py --batch_per_chip=128 \
        --config.model.dtype=bfloat16

It is the very step that `main.py` runs, through the TPU compiler, on noise of
the network's own image size. Reported a chip: memory, traffic, arithmetic, the
time that the published peak rates allow (no measurement), and what chips
exchange; then the traffic by kind of operation, and with --largest=10 what
moves most. Topologies: v5e:4x4, v5e:16x16, v5p:2x2x2, v6e:4x4, ...

Two counts of traffic. HBM: what is read from and written to the chip's main
memory; the time is reckoned from it. Counted: the compiler's own 'bytes
accessed', with what lies in VMEM, on the chip, and with copies several times:
copy-start as four times its bytes, slice-start as two. The table is read from
the program's text; its sum of the counted is the compiler's, or up to 4 % less
where slices are read, and in loops more: the compiler counts a body once, the
table as often as it runs.
"""

import dataclasses
import os
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
from tools import command, hlo_traffic, steps
from training.state import abstract_state
from training.train_step import make_train_step

_TOPOLOGY = flags.DEFINE_string('topology', 'v5e:4x4', 'CHIP:SHAPE of the pod')
_BATCH = flags.DEFINE_integer(
  'batch_per_chip', 0, "images; 0: the config's batch"
)
_LARGEST = flags.DEFINE_integer(
  'largest', 0, 'operations to list, those that move most', lower_bound=0
)
_WIDTH = max(map(len, hlo_traffic.KINDS))


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


@dataclasses.dataclass
class Report:
  """What the compiler says of one step, a chip."""

  chips: int
  images: int
  seconds: float
  memory: int
  counted: float  # bytes: the compiler's 'bytes accessed'
  flops: float
  operations: list[hlo_traffic.Op]

  @property
  def hbm(self) -> float:
    """Bytes read from and written to HBM."""
    return sum(op.hbm for op in self.operations)


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
    counted=cost['bytes accessed'],
    flops=cost['flops'],
    operations=hlo_traffic.operations(compiled.as_text()),
  )


def collectives(
  operations: list[hlo_traffic.Op],
) -> dict[str, tuple[int, int]]:
  """Returns how many collectives a step makes, and the bytes of their results.

  Of each kind that there is; one in a loop counts in every turn.
  """
  found: dict[str, tuple[int, int]] = {}
  for op in operations:
    kind = op.op.removesuffix('-start')
    if kind in hlo_traffic.COLLECTIVES:
      number, size = found.get(kind, (0, 0))
      size += op.turns * sum(shape.bytes for shape in op.shapes)
      found[kind] = number + op.turns, size
  return found


def _short(number):
  """Three digits, or all of those before the point."""
  return f'{number:,.0f}' if number >= 100 else f'{number:.3g}'


def describe(report: Report, topology: str, largest: int = 0) -> str:
  """Returns the report as lines, with the `largest` operations if asked for."""
  kind = topology.partition(':')[0]
  # The compiler's own numbers do not know how often a loop turns.
  loops = any(op.turns > 1 for op in report.operations)
  once = ', the body of a loop once' if loops else ''
  lines = [
    f'{topology}: {report.chips} chips, {report.images} images a chip, '
    f'traced and compiled in {report.seconds:.0f} s',
    f'HBM         {_short(report.hbm / 1e9)} GB a chip, '
    f'{_short(report.hbm / report.images / 1e6)} MB an image',
    f'counted     {_short(report.counted / 1e9)} GB a chip, '
    f'{_short(report.counted / report.images / 1e6)} MB an image by the '
    "compiler's 'bytes accessed': VMEM too, copies several times" + once,
    f'arithmetic  {_short(report.flops / 1e12)} TFLOP a chip, '
    f'{_short(report.flops / report.images / 1e9)} GFLOP an image{once}',
  ]
  if kind in CHIPS:
    chip = CHIPS[kind]
    moving, computing = (
      1e3 * report.hbm / chip.bandwidth,
      1e3 * report.flops / chip.flops,
    )
    slower = max(moving, computing)
    lines += [
      f'at best     {_short(slower)} ms a step ({_short(moving)} for '
      f'HBM, {_short(computing)} for the arithmetic), '
      f'{1e3 * report.images / slower:,.0f} images/s a chip',
      f'memory      {_short(report.memory / 1e9)} of {chip.memory / 1e9:.0f} GB'
      + ('' if report.memory < chip.memory else ': DOES NOT FIT'),
    ]
  else:
    lines.append(f'memory      {_short(report.memory / 1e9)} GB')
  exchanged = sorted(collectives(report.operations).items())
  for name, (number, size) in exchanged:
    lines.append(f'{name:11} {number}, {_short(size / 1e6)} MB a step')
  if not exchanged:
    lines.append('no collectives')
  lines += ['', *_by_kind(report)]
  if largest:
    lines += ['', *_largest(report, largest)]
  return '\n'.join(lines)


def _by_kind(report):
  """A table: MB an image, and operations of the program, of each kind."""
  lines = [
    f'{"MB an image":{_WIDTH}} {"HBM":>8} {"counted":>8} {"operations":>11}'
  ]
  for kind in (*hlo_traffic.KINDS, 'all'):
    ops = [op for op in report.operations if kind in (op.kind, 'all')]
    if ops:
      counted = sum(op.counted for op in ops)
      hbm = sum(op.hbm for op in ops)
      lines.append(
        f'{kind:{_WIDTH}} {_megabytes(report, hbm, counted)} {len(ops):11,}'
      )
  return lines


def _largest(report, number):
  """The operations that move most from and to HBM."""
  lines = [f'{"HBM":>8} {"counted":>8}  {"kind":{_WIDTH}} layer: results']
  ops = sorted(report.operations, key=lambda op: op.hbm, reverse=True)
  for op in ops[:number]:
    shapes = ' '.join(map(str, op.shapes))
    turns = f' in {op.turns} turns' if op.turns > 1 else ''
    lines.append(
      f'{_megabytes(report, op.hbm, op.counted)}  {op.kind:{_WIDTH}} '
      f'{op.layer or op.op}: {shapes}{turns}'
    )
  return lines


def _megabytes(report, hbm, counted):
  megabyte = 1e6 * report.images
  return f'{hbm / megabyte:8.2f} {counted / megabyte:8.2f}'


def main(config: ConfigDict, _: list[str]) -> None:
  """See the module's docstring."""
  report = compile_step(config, _TOPOLOGY.value, _BATCH.value)
  print(describe(report, _TOPOLOGY.value, _LARGEST.value))


if __name__ == '__main__':
  command.run(main, [_TOPOLOGY, _BATCH, _LARGEST])
