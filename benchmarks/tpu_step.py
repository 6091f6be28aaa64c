"""ResNet-50's train step for TPU: ours against Flax's imagenet example.

    pip install libtpu      # the release that pip install 'jax[tpu]' would take
    python -m benchmarks.tpu_step [--topology=v5e:4x4] [ours32 ours128 flax]

Compiled, not run: no chip is needed. The peer is written here after
google/flax, examples/imagenet: its network (stride in the 3x3, `flax_resnet`)
in bfloat16, batch statistics over the global batch, momentum SGD with Nesterov,
L2 in the loss. Ours is `resnet50_v1_5`, the same network, with batch statistics
of 32 and of 128 images. 128 images a chip.
"""

from tools import compile_for  # first: it sets the environment

import jax  # isort: skip
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.flax_resnet import STAGES, Example
from configs import resnet
from tools import usage

BATCH = 128


def flax_example(topology: str) -> compile_for.Report:
  """Compiles the example's train step."""
  devices = compile_for.chips(topology)
  mesh = Mesh(np.array(devices), ('data',))
  everywhere = NamedSharding(mesh, PartitionSpec())
  network = Example(STAGES[50], jnp.bfloat16)
  optimizer = optax.sgd(0.1, momentum=0.9, nesterov=True)
  shape = (BATCH * len(devices), 224, 224, 3)

  def init():
    variables = network.init(jax.random.key(0), jnp.zeros((1, *shape[1:])))
    params = variables['params']
    return params, variables['batch_stats'], optimizer.init(params)

  def loss_of(params, stats, images, labels):
    logits, new = network.apply(
      {'params': params, 'batch_stats': stats},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    labels = jax.nn.one_hot(labels, 1000)
    loss = optax.softmax_cross_entropy(logits, labels).mean()
    kernels = [x for x in jax.tree.leaves(params) if x.ndim > 1]
    squares = sum(jnp.square(x).sum() for x in kernels)
    return loss + 0.5e-4 * squares, (new['batch_stats'], loss, logits)

  def step(state, images, labels):
    params, stats, moments = state
    gradient = jax.grad(loss_of, has_aux=True)
    grads, (stats, loss, logits) = gradient(params, stats, images, labels)
    updates, moments = optimizer.update(grads, moments, params)
    accuracy = (logits.argmax(-1) == labels).mean()
    params = optax.apply_updates(params, updates)
    return (params, stats, moments), {'loss': loss, 'accuracy': accuracy}

  rows = NamedSharding(mesh, PartitionSpec('data'))
  jitted = jax.jit(
    step,
    in_shardings=(everywhere, rows, rows),
    out_shardings=everywhere,
    donate_argnums=0,
  )
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
    jax.eval_shape(init),
  )
  images = jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=rows)
  labels = jax.ShapeDtypeStruct(shape[:1], jnp.int32, sharding=rows)
  return compile_for.report(
    jitted, (state, images, labels), len(devices), shape[0]
  )


def ours(topology: str, group: int) -> compile_for.Report:
  """Compiles the train step of resnet50_v1_5."""
  config = resnet.get_config('variant=resnet50_v1_5')
  config.model.bn_group = group
  config.model.dtype = 'bfloat16'
  return compile_for.compile_step(config, topology, BATCH)


def main() -> None:
  """Prints a report of each."""
  sides = {
    'ours32': lambda topology: ours(topology, 32),
    'ours128': lambda topology: ours(topology, 128),
    'flax': flax_example,
  }
  parser = usage.parser(__name__)
  parser.add_argument(
    'sides', nargs='*', metavar='SIDE', help=f'{", ".join(sides)}; all'
  )
  parser.add_argument(
    '--topology', default='v5e:4x4', help='CHIP:SHAPE of the pod (%(default)s)'
  )
  args = parser.parse_args()
  with usage.errors():
    for side in args.sides or sides:
      print(f'== {side}, jax {jax.__version__}')
      report = sides[side](args.topology)
      print(compile_for.describe(report, args.topology), flush=True)


if __name__ == '__main__':
  main()
