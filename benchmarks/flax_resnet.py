"""ResNet against the model of Flax's imagenet example, on this machine.

    python -m benchmarks.flax_resnet                  # a train step, ResNet-50
    python -m benchmarks.flax_resnet --compile        # compiling, ResNet-152

The peer is written here after google/flax, examples/imagenet/models.py: its
convolutions and batch normalisation are Flax's, its stride is in the 3x3. Both
sides: softmax loss, momentum SGD with coupled decay, float32, one fixed batch.
Each in a process of its own, ours set up as `main.py` sets it up; they take
turns. The ratio is the median over pairs of rounds, above 1 where ours is
faster. 'memory kept': the example once more, told by glibc's variables to do
with memory what `main.py` does by itself (`runtime.memory`).
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

import zoo
from benchmarks import sides
from runtime import memory
from tools import usage

STAGES = {50: (3, 4, 6, 3), 152: (3, 8, 36, 3)}


class Bottleneck(nn.Module):
  """The example's BottleneckResNetBlock."""

  filters: int
  strides: int
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, train):
    """[N, H, W, C] -> [N, H / strides, W / strides, 4 filters]."""
    norm = functools.partial(
      nn.BatchNorm,
      use_running_average=not train,
      momentum=0.9,
      epsilon=1e-5,
      dtype=self.dtype,
    )
    conv = functools.partial(nn.Conv, use_bias=False, dtype=self.dtype)
    strides = (self.strides,) * 2
    y = nn.relu(norm()(conv(self.filters, (1, 1))(x)))
    y = nn.relu(norm()(conv(self.filters, (3, 3), strides)(y)))
    y = norm(scale_init=nn.initializers.zeros)(
      conv(4 * self.filters, (1, 1))(y)
    )
    if x.shape != y.shape:
      x = norm()(conv(4 * self.filters, (1, 1), strides)(x))
    return nn.relu(x + y)


class Example(nn.Module):
  """The example's ResNet."""

  stages: tuple[int, ...]
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x, train=False):
    """[N, H, W, 3] -> float32 [N, 1000]."""
    x = nn.Conv(
      64, (7, 7), (2, 2), [(3, 3), (3, 3)], use_bias=False, dtype=self.dtype
    )(x)
    norm = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype)
    x = nn.max_pool(nn.relu(norm(x)), (3, 3), (2, 2), 'SAME')
    for i, count in enumerate(self.stages):
      for j in range(count):
        strides = 2 if i and j == 0 else 1
        x = Bottleneck(64 * 2**i, strides, self.dtype)(x, train)
    logits = nn.Dense(1000, dtype=self.dtype)(x.mean((1, 2)))
    return logits.astype(jnp.float32)


def make_step(network, images, labels):
  """Returns a jitted step and its first state."""
  variables = network.lazy_init(
    jax.random.key(0), jax.ShapeDtypeStruct((1, *images.shape[1:]), 'float32')
  )
  optimizer = optax.chain(
    optax.add_decayed_weights(1e-4), optax.sgd(0.1, momentum=0.9)
  )

  def loss_of(params, stats):
    logits, new = network.apply(
      {'params': params, 'batch_stats': stats},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return loss.mean(), new['batch_stats']

  @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
  def step(params, stats, moments):
    grads, stats = jax.grad(loss_of, has_aux=True)(params, stats)
    updates, moments = optimizer.update(grads, moments, params)
    return optax.apply_updates(params, updates), stats, moments

  params = variables['params']
  return step, (params, variables['batch_stats'], optimizer.init(params))


def ours(batch: str) -> tuple[Callable[[], None]]:
  """Returns a function that takes a step of our ResNet-50."""
  memory.keep()
  network = zoo.create('resnet50_v1_5', bn_group=int(batch))
  return _steps(network, int(batch))


def theirs(batch: str) -> tuple[Callable[[], None]]:
  """Returns a function that takes a step of the example's."""
  return _steps(Example(STAGES[50]), int(batch))


def _steps(network, batch):
  images = jax.random.normal(jax.random.key(1), (batch, 224, 224, 3))
  step, state = make_step(network, images, jnp.zeros(batch, jnp.int32))

  def run():
    nonlocal state
    state = jax.block_until_ready(step(*state))

  return (run,)


def seconds_of_steps(batch: int, rounds: int) -> None:
  """Prints seconds a step of both, and ratios over rounds."""
  make, text = 'benchmarks.flax_resnet:', str(batch)
  mine, default, kept = sides.compare(
    [
      sides.Side(f'{make}ours', text),
      sides.Side(f'{make}theirs', text),
      sides.Side(f'{make}theirs', text, **memory.KEPT),
    ],
    rounds,
  )
  print(
    f'batch {batch}, jax {jax.__version__}: ours {statistics.median(mine):.2f} '
    f's, the example {statistics.median(default):.2f} s, ratio '
    f'{sides.ratio(mine, default)}; memory kept '
    f'{statistics.median(kept):.2f} s, ratio {sides.ratio(mine, kept)}'
  )


def seconds_to_compile(networks, batch, directory):
  """Prints seconds to trace and to compile a train step of each network.

  Twice: the second time the program is in the cache, as after a restart.
  """
  jax.config.update('jax_compilation_cache_dir', directory)
  images = jnp.zeros((batch, 224, 224, 3))
  labels = jnp.zeros(batch, jnp.int32)
  for name, network in networks.items():
    step, state = make_step(network, images, labels)
    for what in ('compiled', 'read from the cache'):
      jax.clear_caches()
      start = time.perf_counter()
      lowered = step.lower(*state)
      traced = time.perf_counter()
      lowered.compile()
      print(
        f'{name}: traced in {traced - start:.1f} s, {what} in '
        f'{time.perf_counter() - traced:.1f} s',
        flush=True,
      )


def main():
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--batch', type=int, default=16, help='images a step (%(default)s)'
  )
  parser.add_argument(
    '--rounds', type=int, default=3, help='steps of each side (%(default)s)'
  )
  parser.add_argument(
    '--compile', action='store_true', help='seconds to compile instead'
  )
  args = parser.parse_args()
  group = {'bn_group': args.batch}
  if args.compile:
    networks = {
      'the example, ResNet-152': Example(STAGES[152]),
      'resnet152_v1_5': zoo.create('resnet152_v1_5', **group),
      'resnet152_v1_5, scan': zoo.create('resnet152_v1_5', scan=True, **group),
    }
    with tempfile.TemporaryDirectory() as directory:
      seconds_to_compile(networks, args.batch, directory)
    return
  with usage.errors():
    seconds_of_steps(args.batch, args.rounds)


if __name__ == '__main__':
  main()
