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
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

import zoo
from benchmarks import sides
from runtime import memory
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


def our_step(name, options, batch):
  """Returns a jitted step, the state and images that it takes, and `apply`."""
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

  params = variables.pop('params')
  state = params, variables, optimizer.init(params)
  step = jax.jit(step, donate_argnums=0)
  return step, state, images, jax.jit(network.apply)


def our_rounds(name, options, batch):
  """Returns functions that take one train step, and one forward pass."""
  step, state, images, apply = our_step(name, options, batch)

  def train():
    nonlocal state
    state = step(state, images, jax.random.key(1))
    jax.block_until_ready(state)

  def forward():
    params, rest, _ = state
    jax.block_until_ready(apply({'params': params, **rest}, images))

  return train, forward


def ours(name: str, batch: str) -> tuple[Callable[[], None], ...]:
  """Returns `our_rounds` in a process that is set up as that of a run."""
  memory.keep()
  return our_rounds(name, NETWORKS[name][0], int(batch))


def theirs(name: str, batch: str) -> tuple[Callable[[], None], ...]:
  """Returns the same of PyTorch."""
  from benchmarks import torch_imagenet  # noqa: PLC0415

  return torch_imagenet.make_rounds(name, NETWORKS[name][1], int(batch))


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
    import torchvision  # noqa: F401, PLC0415
  print(
    f'batch {args.batch}, {torch.get_num_threads()} threads, '
    f'jax {jax.__version__}, torch {torch.__version__}'
  )
  print(
    '| network | what | ours, s | PyTorch, s | ratio | memory kept, s | ratio '
    '|\n|---|---|---:|---:|---:|---:|---:|'
  )
  with usage.errors():
    for name in args.names or NETWORKS:
      rows(name, args.batch, args.rounds)


def rows(name: str, batch: int, rounds: int) -> None:
  """Prints the rows of a network."""
  arguments = name, str(batch)
  both = [
    sides.Side('benchmarks.step:ours', *arguments),
    sides.Side('benchmarks.step:theirs', *arguments),
    sides.Side('benchmarks.step:theirs', *arguments, **memory.KEPT),
  ]
  for which, what in enumerate(('train step', 'forward')):
    times = sides.compare(both, rounds, which)
    mine, default, kept = (f'{statistics.median(t):.3f}' for t in times)
    print(
      f'| {name} | {what} | {mine} | {default} | '
      f'{sides.ratio(times[0], times[1])} | {kept} | '
      f'{sides.ratio(times[0], times[2])} |',
      flush=True,
    )
  for side in both:
    side.end()


if __name__ == '__main__':
  main()
