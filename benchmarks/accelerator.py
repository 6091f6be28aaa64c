"""What this host and its accelerator do: speed, agreement, input, in one table.

    pip install torch torchvision              # the peer; left out if missing
    pip install scikit-learn                   # ships the photographs
    python -m benchmarks.accelerator           # some ten minutes on one GPU
    python -m benchmarks.accelerator --table=speed resnet50_v1_5 --minutes=3

- speed: the trainer's own step (uint8 images, augmentation, the paper's
  optimizer) and a forward pass, of noise in memory, at the largest of a few
  batches that fits, beside PyTorch with channels_last, in bfloat16 by AMP and
  torch.compile, in float32 (TF32 on both sides) without. Rounds take turns;
  the ratio is the median over pairs, above 1 where ours is faster. 'of peak':
  the share of the device's published rate, of the multiplications that the
  network needs, three times a forward pass in a train step. 'cold', 'cached':
  seconds to trace and compile, without and with JAX's cache of programs.
- agreement: losses of five steps against this host's CPU
- input: photographs read a second, and the share of the time in which float32
  training waits for them

Markdown, for docs/performance.md.
"""

import contextlib
import datetime
import gc
import importlib
import itertools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

# Before JAX is there: it would take three quarters of a GPU, the peer needs
# the other half.
os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', '0.45')

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

import experiment as experiment_lib
from benchmarks import input as input_benchmark
from data.ahead import cores
from errors import UserError
from runtime import chips
from runtime.mesh import AXIS, devices_by_name
from tools import steps, summarize, usage
from training.state import create_state
from training.train_step import make_train_step


class Case(NamedTuple):
  """A network: its config, and torchvision's name where it has the same."""

  file: str
  arg: str
  peer: str | None = None


CASES = {
  'resnet50_v1_5': Case('resnet', 'variant=resnet50_v1_5', 'resnet50'),
  'googlenet': Case('googlenet', ''),
  'alexnet': Case('alexnet', ''),
  'vgg_d': Case('vgg', 'variant=vgg_d,start=glorot'),
  'resnet18_v1_5': Case('resnet', 'variant=resnet18_v1_5', 'resnet18'),
  'lenet5': Case('lenet5', ''),
}
DTYPES = 'bfloat16', 'float32'
BATCHES = 256, 128, 64, 32, 16
ROUNDS = 5
TABLES = 'speed', 'agreement', 'input'
AGREE = {'lenet5': 64, 'alexnet': 8, 'resnet18_v1_5': 8}  # and images a step
WAITING = {'alexnet': 60, 'resnet': 30}  # and steps
HEADER = """
| network | dtype | what | batch | ours, images/s | of peak | PyTorch | ratio \
| over rounds | GB | cold, s | cached, s |
|---|---|---|---:|---:|---:|---:|---:|---|---:|---:|---:|"""


def make_experiment(name, batch, dtype, mesh=None, learning_rate=None):
  """Returns the experiment of a network's config, with noise for data.

  Batch statistics are those of the whole batch, as the peers'.
  """
  case = CASES[name]
  module = importlib.import_module(f'configs.{case.file}')
  config = module.get_config(','.join(filter(None, ['data=fake', case.arg])))
  steps.replace_data(config)
  config.train.batch_size, config.model.dtype = batch, dtype
  if 'bn_group' in config.model:
    config.model.bn_group = batch
  if learning_rate:
    config.optimizer.learning_rate = learning_rate
  return experiment_lib.create_experiment(config, mesh)


def make_batch(experiment, batch):
  """Returns noise on the experiment's devices, and labels."""
  rng, source = np.random.default_rng(0), experiment.train_source
  images = rng.integers(0, 256, (batch, *source.image_shape), np.uint8)
  labels = rng.integers(0, source.num_classes, batch, np.int32)
  arrays = {'image': images, 'label': labels}
  return jax.device_put(arrays, experiment.batch_sharding)


class Ours:
  """A compiled step or forward pass, and what it took to compile.

  `run(n)` does it n times and waits for the end.
  """

  _state: Any
  _data: Any

  def __init__(self, name: str, what: str, batch: int, dtype: str):
    experiment = make_experiment(name, batch, dtype)
    state, data = create_state(experiment), make_batch(experiment, batch)
    self._trains = what == 'train step'
    step: Any
    if self._trains:
      step, self._state, self._data = make_train_step(experiment), state, data
    else:
      step, self._state = jax.jit(experiment.module.apply), state.variables
      self._data = jax.jit(experiment.prepare)(data['image'])
    arguments = self._state, self._data
    self.cold, _ = _compile(step, arguments)
    jax.clear_caches()
    self.cached, self._step = _compile(step, arguments)
    self.gigabytes = steps.memory_of(self._step) / 1e9

  def run(self, count: int) -> None:
    """See the class."""
    out = None
    for _ in range(count):
      out = self._step(self._state, self._data)
      if self._trains:
        self._state, out = out
    jax.block_until_ready(out)


def _compile(step, arguments):
  began = time.perf_counter()
  compiled = step.lower(*arguments).compile()
  return time.perf_counter() - began, compiled


def largest(make: Callable[[int], Any], batches) -> tuple[int, Any]:
  """Returns the first of the batches that fits in memory, and what it made.

  Raises:
    jax.errors.JaxRuntimeError: the last does not fit either.
  """
  *others, last = batches
  for batch in others:
    try:
      return batch, make(batch)
    except jax.errors.JaxRuntimeError as error:
      if 'RESOURCE_EXHAUSTED' not in str(error):
        raise
  return last, make(last)


def theirs(name, what, batch, dtype) -> Callable[[int], None] | None:
  """Returns PyTorch's `run(n)`; None without PyTorch, or of LeNet-5."""
  try:
    import torch  # noqa: PLC0415

    from benchmarks import torch_imagenet  # noqa: PLC0415
  except ImportError:
    return None
  if name == 'lenet5':
    return None
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.backends.cuda.matmul.allow_tf32 = True  # as JAX's default does
  torch.backends.cudnn.allow_tf32 = True
  torch.backends.cudnn.benchmark = True
  half = dtype == 'bfloat16'
  train, forward = torch_imagenet.make_rounds(
    name, CASES[name].peer, batch,
    device=device, half=half, compiled=half and device == 'cuda',
  )  # fmt: skip
  once = train if what == 'train step' else forward

  def run(count):
    for _ in range(count):
      once()
    if device == 'cuda':
      torch.cuda.synchronize()

  return run


def count_for(run: Callable[[int], None], seconds: float) -> int:
  """Returns how often something fits in so many seconds, once it is warm."""
  run(1)
  began = time.perf_counter()
  run(2)
  return max(1, round(2 * seconds / (time.perf_counter() - began)))


def rounds_of(sides, seconds) -> list[np.ndarray]:
  """Returns seconds of one run in each round, for each side in turn."""
  counts = [count_for(side, seconds) for side in sides]
  found: list[list[float]] = [[] for _ in sides]
  for _ in range(ROUNDS):
    for side, count, times in zip(sides, counts, found):
      began = time.perf_counter()
      side(count)
      times.append((time.perf_counter() - began) / count)
  return [np.array(times) for times in found]


def speed(name, what, dtype, batches, seconds) -> str:
  """Returns a row of the table."""
  batch, ours = largest(lambda n: Ours(name, what, n, dtype), batches)
  peer = theirs(name, what, batch, dtype)
  times = rounds_of([ours.run, peer] if peer else [ours.run], seconds)
  rate = batch / statistics.median(times[0])
  macs = summarize.total(summarize.rows(name)).macs
  flops = rate * macs * 2 * (3 if what == 'train step' else 1)
  devices = jax.devices()
  peak = chips.peak(devices[0], dtype)
  share = f'{flops / len(devices) / peak:.1%}' if peak else ''
  cells = [name, dtype, what, f'{batch}', f'{rate:,.0f}', share]
  if peer:
    ratios = times[1] / times[0]
    cells += [
      f'{batch / statistics.median(times[1]):,.0f}',
      f'{np.median(ratios):.2f}',
      f'{ratios.min():.2f} to {ratios.max():.2f}',
    ]
  else:
    cells += [''] * 3
  cells += [f'{ours.gigabytes:.1f}', f'{ours.cold:.1f}', f'{ours.cached:.1f}']
  return f'| {" | ".join(cells)} |'


def losses_of(name: str, batch: int, devices: list, count: int = 5):
  """Returns the losses of the first steps [count] on some devices.

  Of noise, which has nothing to learn: at a rate so low that differences show
  the arithmetic, not the divergence of two trajectories.
  """
  mesh = Mesh(np.array(devices), (AXIS,))
  experiment = make_experiment(name, batch, 'float32', mesh, 1e-3)
  state, data = create_state(experiment), make_batch(experiment, batch)
  step, found = make_train_step(experiment), []
  for _ in range(count):
    state, metrics = step(state, data)
    found.append(float(metrics['loss']))
  return np.array(found)


def agreement() -> Iterator[str]:
  """Yields the table of losses against the CPU's."""
  yield '\n| network | images | float32 by default | `highest` precision |'
  yield '|---|---:|---:|---:|'
  here, cpu = jax.devices()[:1], jax.devices('cpu')[:1]
  for name, batch in AGREE.items():
    right = losses_of(name, batch, cpu)
    cells = []
    for precision in (None, 'highest'):
      with jax.default_matmul_precision(precision):
        off = losses_of(name, batch, here) / right - 1
      cells.append(f'{np.abs(off).max():.1e}')
    yield f'| {name} | {batch} | {" | ".join(cells)} |'


def feeding(batch: int) -> Iterator[str]:
  """Yields the tables of input."""
  every = cores()
  with tempfile.TemporaryDirectory() as root:
    input_benchmark.make_files(pathlib.Path(root))
    yield '\n| cores | photographs read, images/s | CPU, ms an image |'
    yield '|---:|---:|---:|'
    for some in sorted({1, max(every // 2, 1), every}):
      found = input_benchmark.in_process('ours', root, some, 3.0)
      yield f'| {some} | {found["rate"]:,.0f} | {found["cpu_ms"]:.2f} |'
    yield '\n| config | batch | images/s in training | waiting for data |'
    yield '|---|---:|---:|---:|'
    for name, count in WAITING.items():
      found = input_benchmark.step_and_wait(name, root, batch, count)
      yield (
        f'| {name} | {batch} | {found["time/images_per_second"]:,.1f} | '
        f'{found["time/data_wait_fraction"]:.1%} |'
      )


def _give_back():
  """Frees what a row has taken."""
  jax.clear_caches()
  gc.collect()
  with contextlib.suppress(ImportError):
    import torch  # noqa: PLC0415

    torch.cuda.empty_cache()


def _describe():
  devices = jax.devices()
  versions = f'jax {jax.__version__}'
  with contextlib.suppress(ImportError):
    import torch  # noqa: PLC0415

    versions += f', torch {torch.__version__}'
  return (
    f'{len(devices)} x {devices[0].device_kind}, '
    f'{cores()} cores of {input_benchmark.processor()}; '
    f'{versions}; {datetime.date.today():%d %B %Y}'
  )


def speeds(
  names: Sequence[str],
  batches: Sequence[int],
  seconds: float,
  left: Callable[[], float],
) -> Iterator[str]:
  """Yields the table of speed.

  Args:
    names: of `CASES`.
    batches: to try, the largest first.
    seconds: of a round of one side.
    left: seconds until no other row may begin.
  """
  yield HEADER
  with tempfile.TemporaryDirectory() as cache:
    jax.config.update('jax_compilation_cache_dir', cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    for dtype, what in itertools.product(DTYPES, ('train step', 'forward')):
      for name in names:
        if left() > 0:
          yield speed(name, what, dtype, batches, seconds)
          _give_back()
        else:
          yield f'left out, the time is over: {name}, {dtype}, {what}'
    jax.config.update('jax_compilation_cache_dir', None)
    compilation_cache.reset_cache()


def main() -> None:
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument(
    'names', nargs='*', metavar='NETWORK', help=f'{", ".join(CASES)}; all'
  )
  parser.add_argument(
    '--batch', type=int, action='append', default=[], metavar='N',
    help=f'images a step; may be repeated, the largest first {BATCHES}',
  )  # fmt: skip
  parser.add_argument(
    '--seconds', type=float, default=0.5, help='of a round (%(default)s)'
  )
  parser.add_argument(
    '--minutes', type=float, default=6.0,
    help='after which no other row is begun (%(default)s)',
  )  # fmt: skip
  parser.add_argument(
    '--table', choices=TABLES, action='append', help='only this; all'
  )
  args = parser.parse_args()
  end = time.monotonic() + 60 * args.minutes
  batches = args.batch or BATCHES
  with usage.errors(), devices_by_name():
    for name in args.names:
      if name not in CASES:
        raise UserError(f"no network '{name}' here: {', '.join(CASES)}")
    made = {
      'speed': lambda: speeds(
        args.names or list(CASES), batches, args.seconds,
        lambda: end - time.monotonic(),
      ),
      'agreement': agreement,
      'input': lambda: feeding(batches[0]),
    }  # fmt: skip
    print(_describe(), flush=True)
    for table in args.table or TABLES:
      for line in made[table]():
        print(line, flush=True)


if __name__ == '__main__':
  main()
