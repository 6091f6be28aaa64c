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
import torch
from torch import nn
from torch.nn import functional

import input_pipeline
from configs import lenet5 as lenet5_config
from experiment import create_experiment
from training.state import create_state
from training.train_step import make_train_step
from zoo import lenet5

BATCH, STEPS, ROUNDS = 64, 150, 9


class TorchLeNet5(nn.Module):
  """The same network in PyTorch's terms."""

  def __init__(self):
    super().__init__()
    self.c1, self.c3 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
    self.c5, self.f6 = nn.Linear(400, 120), nn.Linear(120, 84)
    for name, maps in (('s2', 6), ('s4', 16)):
      for part in ('coefficient', 'bias'):
        value = nn.Parameter(torch.full((maps, 1, 1), 0.3))
        self.register_parameter(f'{name}_{part}', value)
    table = [[c == 'X' for c in row] for row in lenet5.TABLE_I]
    mask = torch.tensor(table).T[:, :, None, None].float()
    self.register_buffer('mask', mask)
    self.register_buffer('codes', torch.from_numpy(lenet5.codes()))

  def forward(self, x):
    """Images [N, 1, 32, 32] -> penalties [N, 10]."""

    def squash(a):
      return 1.7159 * torch.tanh(a * (2 / 3))

    def pool(x):  # the mean: the factor 4 is the coefficient's
      return functional.avg_pool2d(x, 2)

    x = squash(self.c1(x))
    x = squash(pool(x) * self.s2_coefficient + self.s2_bias)
    kernel = self.c3.weight * self.mask
    x = squash(functional.conv2d(x, kernel, self.c3.bias))
    x = squash(pool(x) * self.s4_coefficient + self.s4_bias)
    x = squash(self.f6(squash(self.c5(x.flatten(1)))))
    return (x[:, None] - self.codes).square().sum(-1)


def torch_round(layout):
  """Returns a function that takes STEPS steps in PyTorch."""
  network = TorchLeNet5().to(memory_format=layout)
  optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
  images = torch.rand(BATCH, 1, 32, 32).to(memory_format=layout)
  labels = torch.randint(0, 10, (BATCH,))
  rest = torch.full((BATCH, 1), -10.0)

  def run():
    for _ in range(STEPS):
      optimizer.zero_grad(set_to_none=True)
      y = network(images)
      own = y.gather(1, labels[:, None])[:, 0]
      loss = (own + torch.cat([-y, rest], 1).logsumexp(1)).mean()
      loss.backward()
      optimizer.step()

  return run


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


def main():
  """Prints images/s of each and the ratio."""
  sides = {
    'ours': our_round(),
    'torch, contiguous': torch_round(torch.contiguous_format),
    'torch, channels_last': torch_round(torch.channels_last),
  }
  rates: dict[str, list[float]] = {name: [] for name in sides}
  for i in range(ROUNDS + 1):
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
    f'({ratios.min():.2f} to {ratios.max():.2f} over {ROUNDS} pairs), '
    f'{torch.get_num_threads()} threads, jax {jax.__version__}, '
    f'torch {torch.__version__}'
  )


if __name__ == '__main__':
  main()
