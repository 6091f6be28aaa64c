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

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import zoo
from tools import usage

# Ours: options, and the peer.
RESNET = {'shortcut': 'B', 'padded_pool': True}
NETWORKS = {
  'alexnet': ({}, None),
  'vgg_d': ({}, None),
  'googlenet': ({}, None),
  'resnet18': (RESNET, 'resnet18'),
  'resnet50_v1_5': ({}, 'resnet50'),
}


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
  parser = usage.parser(__name__)
  parser.add_argument(
    'names', nargs='*', metavar='NETWORK', help=f'{", ".join(NETWORKS)}; all'
  )
  parser.add_argument(
    '--batch', type=int, default=16, help='images a step (%(default)s)'
  )
  parser.add_argument(
    '--rounds', type=int, default=5, help='of each side (%(default)s)'
  )
  args = parser.parse_args()
  with usage.errors(), usage.needs('torch torchvision'):
    import torch  # noqa: PLC0415

    from benchmarks import torch_imagenet  # noqa: PLC0415
  print(
    f'batch {args.batch}, {torch.get_num_threads()} threads, '
    f'jax {jax.__version__}, torch {torch.__version__}'
  )
  print('| network | what | ours, s | PyTorch, s | ratio | over rounds |')
  print('|---|---|---:|---:|---:|---|')
  for name in args.names or NETWORKS:
    options, peer = NETWORKS[name]
    ours = our_rounds(name, options, args.batch)
    theirs = torch_imagenet.make_rounds(name, peer, args.batch)
    for what, mine, other in zip(('train step', 'forward'), ours, theirs):
      a, b, ratios = compare(mine, other, args.rounds)
      print(
        f'| {name} | {what} | {a:.3f} | {b:.3f} | {np.median(ratios):.2f} | '
        f'{ratios.min():.2f} to {ratios.max():.2f} |',
        flush=True,
      )


if __name__ == '__main__':
  main()
