"""LeNet-5 of the paper, a train step at batch 64: ours against PyTorch.

    pip install torch            # the CPU build will do
    python -m benchmarks.lenet5_pytorch

Both sides: the same network (Table I as a masked convolution in PyTorch), loss
(eq. 9), momentum SGD, float32, one fixed batch already in memory. Each in a
process of its own; they take turns. The ratio is the median over pairs of
rounds. PyTorch runs in both memory layouts and the faster one counts.
"""

import statistics
from collections.abc import Callable

import jax
import numpy as np

import input_pipeline
from benchmarks import sides
from configs import lenet5 as lenet5_config
from experiment import create_experiment
from runtime import memory
from tools import usage
from training.state import create_state
from training.train_step import make_train_step

BATCH, STEPS = 64, 150


def ours() -> tuple[Callable[[], None]]:
  """Returns a function that takes STEPS steps with the trainer's own step."""
  memory.keep()
  config = lenet5_config.get_config('data=fake')
  experiment = create_experiment(config)
  step = make_train_step(experiment)
  batches = input_pipeline.train_batches(
    experiment.train_source,
    BATCH,
    seed=0,
    start=0,
    stop=1,
    sharding=experiment.batch_sharding,
  )
  batch = next(batches)
  state = create_state(experiment)

  def run():
    nonlocal state
    for _ in range(STEPS):
      state, metrics = step(state, batch)
    jax.block_until_ready(metrics)

  return (run,)


def theirs(layout: str) -> tuple[Callable[[], None]]:
  """Returns the same of PyTorch, in one of its memory layouts."""
  import torch  # noqa: PLC0415

  from benchmarks import torch_lenet5  # noqa: PLC0415

  return (torch_lenet5.make_round(getattr(torch, layout), BATCH, STEPS),)


def main() -> None:
  """Prints images/s of each and the ratio."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--rounds', type=int, default=9, help='of each side (%(default)s)'
  )
  rounds = parser.parse_args().rounds
  with usage.errors(), usage.needs('torch'):
    import torch  # noqa: PLC0415
  make = 'benchmarks.lenet5_pytorch:'
  layouts = 'contiguous_format', 'channels_last'
  both = [sides.Side(f'{make}ours')]
  both += [sides.Side(f'{make}theirs', n) for n in layouts]
  with usage.errors():
    seconds = np.array(sides.compare(both, rounds))
  names = 'ours', *(f'torch, {n}' for n in layouts)
  rates = dict(zip(names, BATCH * STEPS / seconds, strict=True))
  for name, values in rates.items():
    print(
      f'{name:25s}{statistics.median(values):8,.0f} images/s '
      f'({min(values):,.0f} to {max(values):,.0f})'
    )
  print(
    f'ratio ours / PyTorch  {sides.ratio(seconds[0], seconds[1:].min(0))} over '
    f'{rounds} pairs, {torch.get_num_threads()} threads, jax '
    f'{jax.__version__}, torch {torch.__version__}'
  )


if __name__ == '__main__':
  main()
