"""ImageNet networks, a train step and a forward pass: ours against PyTorch.

    pip install torch torchvision            # the CPU builds will do
    python -m benchmarks.step                # all; or: alexnet resnet50_v1_5
    python -m benchmarks.step --batch=16 --rounds=5

Both sides: the same network (AlexNet, VGG and GoogLeNet built in PyTorch from
our tables, ResNet torchvision's), softmax loss, momentum SGD, float32, one
fixed batch in memory, PyTorch in channels_last. Rounds take turns in one
process; the ratio is the median over pairs of rounds, above 1 where ours is
faster.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torchvision
from torch import nn
from torch.nn import functional

import zoo
from zoo import chain, googlenet

# Ours: options, and the peer.
RESNET = {'shortcut': 'B', 'padded_pool': True}
NETWORKS = {
  'alexnet': ({}, None),
  'vgg_d': ({}, None),
  'googlenet': ({}, None),
  'resnet18': (RESNET, 'resnet18'),
  'resnet50_v1_5': ({}, 'resnet50'),
}


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


def torch_rounds(name, peer, batch):
  """Returns functions that take one train step, and one forward pass."""
  if peer:
    network = torchvision.models.get_model(peer)
  elif name == 'googlenet':
    network = TorchGoogLeNet()
  else:
    network = from_rows(zoo.create(name).rows)
  network = network.to(memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
  images = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
  labels = torch.randint(0, 1000, (batch,))

  def train():
    network.train()
    optimizer.zero_grad(set_to_none=True)
    out = network(images)
    first, *heads = out if isinstance(out, tuple) else (out,)
    loss = functional.cross_entropy(first, labels)
    loss += 0.3 * sum(functional.cross_entropy(h, labels) for h in heads)
    loss.backward()
    optimizer.step()

  def forward():
    network.eval()
    with torch.inference_mode():
      network(images)

  return train, forward


def our_rounds(name, options, batch):
  """Returns functions that take one train step, and one forward pass."""
  network = zoo.create(name, **options)
  images = jax.random.normal(jax.random.key(0), (batch, 224, 224, 3))
  labels = jnp.arange(batch)
  variables = dict(jax.jit(network.init)(jax.random.key(0), images[:1]))
  variables.pop('aux_logits', None)
  optimizer = optax.sgd(1e-3, momentum=0.9)
  cross_entropy = optax.softmax_cross_entropy_with_integer_labels

  def loss_of(params, rest, images, key):
    logits, new = network.apply(
      {'params': params, **rest}, images, train=True, rngs={'dropout': key},
      mutable=[*rest, 'aux_logits'],
    )  # fmt: skip
    new = dict(new)
    heads = jax.tree.leaves(new.pop('aux_logits', {}))
    loss = cross_entropy(logits, labels).mean()
    return loss + 0.3 * sum(cross_entropy(h, labels).mean() for h in heads), new

  def step(state, images, key):
    params, rest, momentum = state
    grads, rest = jax.grad(loss_of, has_aux=True)(params, rest, images, key)
    updates, momentum = optimizer.update(grads, momentum)
    return optax.apply_updates(params, updates), rest, momentum

  step = jax.jit(step, donate_argnums=0)
  apply = jax.jit(network.apply)
  params = variables.pop('params')
  state = params, variables, optimizer.init(params)

  def train():
    nonlocal state
    state = step(state, images, jax.random.key(1))
    jax.block_until_ready(state)

  def forward():
    params, rest, _ = state
    jax.block_until_ready(apply({'params': params, **rest}, images))

  return train, forward


def compare(ours, theirs, rounds) -> tuple[float, float, np.ndarray]:
  """Returns median seconds of both, and the ratios theirs / ours."""
  seconds: list[list[float]] = [[], []]
  for i in range(rounds + 1):
    for side, run in zip(seconds, (ours, theirs)):
      began = time.perf_counter()
      run()
      if i:  # the first round compiles and warms up
        side.append(time.perf_counter() - began)
  mine, other = (np.array(s) for s in seconds)
  return statistics.median(mine), statistics.median(other), other / mine


def main() -> None:
  """Prints a table."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('names', nargs='*', default=list(NETWORKS))
  parser.add_argument('--batch', type=int, default=16)
  parser.add_argument('--rounds', type=int, default=5)
  args = parser.parse_args()
  print(
    f'batch {args.batch}, {torch.get_num_threads()} threads, '
    f'jax {jax.__version__}, torch {torch.__version__}'
  )
  print('| network | what | ours, s | PyTorch, s | ratio | over rounds |')
  print('|---|---|---:|---:|---:|---|')
  for name in args.names:
    options, peer = NETWORKS[name]
    ours = our_rounds(name, options, args.batch)
    theirs = torch_rounds(name, peer, args.batch)
    for what, mine, other in zip(('train step', 'forward'), ours, theirs):
      a, b, ratios = compare(mine, other, args.rounds)
      print(
        f'| {name} | {what} | {a:.3f} | {b:.3f} | {np.median(ratios):.2f} | '
        f'{ratios.min():.2f} to {ratios.max():.2f} |',
        flush=True,
      )


if __name__ == '__main__':
  main()
