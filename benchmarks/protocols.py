"""Dense evaluation against multi-crop, at equal scales: images a second.

    python -m benchmarks.protocols --network=vgg_d --scales=256 --images=2

Both through `evaluation.scoring.Scorer`, with decoding, flips and averages, on
photographs of 375x500 in memory, random weights; compiled before the clock
starts.
"""

import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np

import zoo
from configs import default
from data import preprocess
from evaluation import protocols, scoring
from evaluation.scoring import Network
from tools import usage


def make_network(name: str, width: float) -> Network:
  """Returns a network with random weights."""
  module = zoo.create(name, width=width)
  shape = zoo.image_shape(name)
  image = jnp.zeros((1, *shape))
  variables = jax.jit(module.init)(jax.random.key(0), image)
  variables = {k: v for k, v in variables.items() if k != 'aux_logits'}
  prepare = preprocess.make_prepare(shape[0], (120.0,), (60.0,))
  return Network(name, module, variables, prepare, shape[0], 1000)


def photographs(count: int) -> list[bytes]:
  """Returns JPEG files of 375x500."""
  rng = np.random.default_rng(0)
  files = []
  for _ in range(count):
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(small, (500, 375), interpolation=cv2.INTER_CUBIC)
    files.append(cv2.imencode('.jpg', image)[1].tobytes())
  return files


def measure(
  network: Network,
  name: str,
  scales: tuple[int, ...],
  files: list[bytes],
  batch_size: int,
) -> tuple[int, float]:
  """Returns forward passes an image, and images a second."""
  config = default.get_config()
  config.data.eval_geometry = {'name': 'center'}
  config.eval.scales = scales
  protocol = protocols.create(config, name)
  scorer = scoring.Scorer(network, protocol, len(files), batch_size)
  seconds = 0.0
  for _ in range(2):  # the first compiles
    start = time.perf_counter()
    for row, encoded in enumerate(files):
      scorer.add(row, scoring.cut(encoded, protocol, network.image_size))
    scorer.finish()
    seconds = time.perf_counter() - start
  return protocol.passes, len(files) / seconds


def main() -> None:
  """Prints both and their ratio."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--network', default='vgg_d', help='of the zoo (%(default)s)'
  )
  parser.add_argument(
    '--width', type=float, default=1.0, help='of its channels (%(default)s)'
  )
  parser.add_argument(
    '--scales', default='256', help='with commas between (%(default)s)'
  )
  parser.add_argument(
    '--images', type=int, default=2, help='how many (%(default)s)'
  )
  parser.add_argument(
    '--batch_size', type=int, default=8, help='of a pass (%(default)s)'
  )
  args = parser.parse_args()
  scales = tuple(int(s) for s in args.scales.split(','))
  network = make_network(args.network, args.width)
  files = photographs(args.images)
  rates = []
  for name in ('dense', 'multi_crop'):
    passes, rate = measure(network, name, scales, files, args.batch_size)
    rates.append(rate)
    print(f'{name}: {passes} passes an image, {rate:.3f} images/s', flush=True)
  print(f'dense / multi_crop: {rates[0] / rates[1]:.1f}')


if __name__ == '__main__':
  main()
