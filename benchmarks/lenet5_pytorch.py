"""LeNet-5 of the paper, a train step at batch 64: ours against PyTorch.

    pip install torch            # the CPU build will do
    python -m benchmarks.lenet5_pytorch

Both sides: the same network (Table I as a masked convolution in PyTorch), loss
(eq. 9), momentum SGD, float32, one fixed batch already in memory. Rounds take
turns in one process; the ratio is the median over pairs of rounds. PyTorch
runs in both memory layouts and the faster one counts.
"""

import statistics
import time

import jax
import numpy as np

import input_pipeline
from configs import lenet5 as lenet5_config
from experiment import create_experiment
from tools import usage
from training.state import create_state
from training.train_step import make_train_step

BATCH, STEPS = 64, 150


def our_round():
  """Returns a function that takes STEPS steps with the trainer's own step."""
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

  return run


def main() -> None:
  """Prints images/s of each and the ratio."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--rounds', type=int, default=9, help='of each side (%(default)s)'
  )
  rounds = parser.parse_args().rounds
  with usage.errors(), usage.needs('torch'):
    import torch  # noqa: PLC0415

    from benchmarks.torch_lenet5 import make_round  # noqa: PLC0415
  sides = {
    'ours': our_round(),
    'torch, contiguous': make_round(torch.contiguous_format, BATCH, STEPS),
    'torch, channels_last': make_round(torch.channels_last, BATCH, STEPS),
  }
  rates: dict[str, list[float]] = {name: [] for name in sides}
  for i in range(rounds + 1):
    for name, run in sides.items():
      began = time.perf_counter()
      run()
      if i:  # the first round warms up
        rates[name].append(BATCH * STEPS / (time.perf_counter() - began))
  for name, values in rates.items():
    print(
      f'{name:22s}{statistics.median(values):8,.0f} images/s '
      f'({min(values):,.0f} to {max(values):,.0f})'
    )
  best = np.max([rates[n] for n in sides if n != 'ours'], axis=0)
  ratios = np.array(rates['ours']) / best
  print(
    f'ratio ours / PyTorch  {np.median(ratios):.2f} '
    f'({ratios.min():.2f} to {ratios.max():.2f} over {rounds} pairs), '
    f'{torch.get_num_threads()} threads, jax {jax.__version__}, '
    f'torch {torch.__version__}'
  )


if __name__ == '__main__':
  main()
