"""LeNet-5 of the paper in PyTorch: the other side of `lenet5_pytorch`."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from zoo import lenet5


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


def make_round(
  layout: torch.memory_format, batch: int, steps: int
) -> Callable[[], None]:
  """Returns a function that takes `steps` train steps of `batch` images."""
  network = TorchLeNet5().to(memory_format=layout)
  optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
  images = torch.rand(batch, 1, 32, 32).to(memory_format=layout)
  labels = torch.randint(0, 10, (batch,))
  rest = torch.full((batch, 1), -10.0)

  def run():
    for _ in range(steps):
      optimizer.zero_grad(set_to_none=True)
      y = network(images)
      own = y.gather(1, labels[:, None])[:, 0]
      loss = (own + torch.cat([-y, rest], 1).logsumexp(1)).mean()
      loss.backward()
      optimizer.step()

  return run
