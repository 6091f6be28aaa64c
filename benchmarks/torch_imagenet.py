"""Networks for ImageNet in PyTorch: the other side of `step`."""

import functools
from collections.abc import Callable

import torch
import torchvision
from torch import nn
from torch.nn import functional

import zoo
from zoo import chain, googlenet


class AsymmetricPad(nn.Module):
  """Zeros around [N, C, H, W]: as `zoo.layers.Padding`."""

  def __init__(self, padding):
    super().__init__()
    (top, bottom), (left, right) = padding
    self.sides = (left, right, top, bottom)

  def forward(self, x):
    """See the class."""
    return functional.pad(x, self.sides)


class GroupedLRN(nn.Module):
  """AlexNet's response normalisation inside each tower."""

  def __init__(self, row):
    super().__init__()
    self.groups = row.groups
    self.norm = nn.LocalResponseNorm(5, alpha=5 * row.alpha, k=row.k)

  def forward(self, x):
    """See the class."""
    return torch.cat([self.norm(p) for p in x.chunk(self.groups, 1)], 1)


def from_rows(rows) -> nn.Sequential:
  """Returns a `zoo.chain` table in PyTorch."""
  modules, channels = [], 3
  for row in rows:
    if row == chain.RELU:
      modules.append(nn.ReLU(inplace=True))
    elif row == chain.DROPOUT:
      modules.append(nn.Dropout())
    elif isinstance(row, chain.MaxPool):
      modules.append(nn.MaxPool2d(row.size, row.stride, ceil_mode=row.ceil))
    elif isinstance(row, chain.LRN):
      modules.append(GroupedLRN(row))
    else:
      features = row.features or 1000
      modules += [
        AsymmetricPad(row.padding),
        nn.Conv2d(channels, features, row.size, row.stride, groups=row.groups),
      ]
      channels = features
  return nn.Sequential(*modules, nn.Flatten())


class TorchGoogLeNet(nn.Module):
  """Table 1 with the auxiliary heads, in PyTorch."""

  def __init__(self):
    super().__init__()
    conv, lrn = self._conv, nn.LocalResponseNorm(5, alpha=5e-4, k=2.0)
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    self.stem = nn.Sequential(
      conv(3, 64, 7, 2, 3), pool, lrn, conv(64, 64, 1),
      conv(64, 192, 3, 1, 1), lrn, pool,
    )  # fmt: skip
    self.pool, self.inner_pool = pool, nn.MaxPool2d(3, 1, 1)
    self.parts, channels = nn.ModuleDict(), 192
    for name, m in googlenet.TABLE_1.items():
      self.parts[f'm{name}'] = nn.ModuleList(
        [
          conv(channels, m.c1x1, 1),
          nn.Sequential(
            conv(channels, m.reduce3x3, 1), conv(m.reduce3x3, m.c3x3, 3, 1, 1)
          ),
          nn.Sequential(
            conv(channels, m.reduce5x5, 1), conv(m.reduce5x5, m.c5x5, 5, 1, 2)
          ),
          nn.Sequential(self.inner_pool, conv(channels, m.pool_proj, 1)),
        ]
      )
      channels = m.c1x1 + m.c3x3 + m.c5x5 + m.pool_proj
      if name in googlenet.AUX_AFTER:
        self.parts[f'aux{name}'] = nn.Sequential(
          nn.AvgPool2d(5, 3), conv(channels, 128, 1), nn.Flatten(),
          nn.Linear(2048, 1024), nn.ReLU(), nn.Dropout(0.7),
          nn.Linear(1024, 1000),
        )  # fmt: skip
    self.head = nn.Sequential(
      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4),
      nn.Linear(channels, 1000),
    )  # fmt: skip

  @staticmethod
  def _conv(*arguments):
    return nn.Sequential(nn.Conv2d(*arguments), nn.ReLU(inplace=True))

  def forward(self, x):
    """Images [N, 3, 224, 224] -> logits, and those of the heads in training."""
    x, heads = self.stem(x), []
    for name in googlenet.TABLE_1:
      x = torch.cat([branch(x) for branch in self.parts[f'm{name}']], 1)
      if name in googlenet.POOL_AFTER:
        x = self.pool(x)
      if self.training and name in googlenet.AUX_AFTER:
        heads.append(self.parts[f'aux{name}'](x))
    return (self.head(x), *heads) if heads else self.head(x)


def make_rounds(
  name: str,
  peer: str | None,
  batch: int,
  *,
  device: str = 'cpu',
  half: bool = False,
  compiled: bool = False,
) -> tuple[Callable[[], None], Callable[[], None]]:
  """Returns functions that take one train step, and one forward pass.

  On a GPU they return before it is done: `torch.cuda.synchronize` waits.

  Args:
    name: of the network in the zoo.
    peer: of torchvision's model; None builds it from our table.
    batch: images a step.
    device: 'cpu' or 'cuda'.
    half: autocast to bfloat16, parameters in float32 (AMP).
    compiled: by torch.compile.
  """
  if peer:
    network = torchvision.models.get_model(peer)
  elif name == 'googlenet':
    network = TorchGoogLeNet()
  else:
    network = from_rows(zoo.create(name).rows)
  network = network.to(device, memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
  images = torch.randn(batch, 3, 224, 224, device=device)
  images = images.to(memory_format=torch.channels_last)
  labels = torch.randint(0, 1000, (batch,), device=device)
  called = torch.compile(network) if compiled else network
  cast = functools.partial(torch.autocast, device, torch.bfloat16, half)

  def train():
    network.train()
    optimizer.zero_grad(set_to_none=True)
    with cast():
      out = called(images)
      first, *heads = out if isinstance(out, tuple) else (out,)
      loss = functional.cross_entropy(first, labels)
      loss += 0.3 * sum(functional.cross_entropy(h, labels) for h in heads)
    loss.backward()
    optimizer.step()

  def forward():
    network.eval()
    with torch.inference_mode(), cast():
      called(images)

  return train, forward
