"""Convolutions on CPU: XLA's gradients against those of zoo/cpu_gradients.py.

    python -m benchmarks.convolutions
    python -m benchmarks.convolutions --rounds=9

The convolutions of VGG and ResNet that take most of a train step, one by one,
in float32: billions of floating-point operations a second of XLA's forward
pass, and of each form of the gradients with respect to input and kernel. Forms
take turns; medians. A form that is faster here can still be slower in a
network: `python -m benchmarks.step` has the last word.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from tools import usage
from zoo import cpu_gradients
from zoo.cpu_gradients import Padding


class Shape(NamedTuple):
  """A convolution: of [images, side, side, ins] to outs."""

  images: int
  side: int
  ins: int
  outs: int
  kernel: int = 3
  stride: int = 1

  @property
  def padding(self) -> Padding:
    """As much as keeps the side at stride 1."""
    around = (self.kernel // 2, self.kernel // 2)
    return around, around

  def __str__(self):
    return (
      f'{self.images}x{self.side}x{self.side}, {self.ins} to {self.outs}, '
      f'{self.kernel}x{self.kernel}/{self.stride}'
    )


SHAPES = (
  Shape(4, 224, 64, 64),
  Shape(8, 112, 128, 128),
  Shape(16, 56, 256, 256),
  Shape(16, 28, 512, 512),
  Shape(16, 56, 64, 64),
  Shape(16, 28, 128, 128),
  Shape(16, 14, 256, 256),
  Shape(16, 7, 512, 512),
  Shape(16, 56, 128, 128, stride=2),
  Shape(16, 14, 512, 512, stride=2),
  Shape(16, 224, 3, 64, kernel=7, stride=2),
)
NAMES = (
  'forward',
  'input, XLA',
  'input, ours',
  'kernel, XLA',
  'kernel, ours',
)


def forms(shape: Shape) -> tuple[dict[str, Callable], float]:
  """Returns functions that compute once each, and the operations of one."""
  keys = jax.random.split(jax.random.key(0), 3)
  size = (shape.images, shape.side, shape.side, shape.ins)
  x = jax.random.normal(keys[0], size)
  kernel = jax.random.normal(
    keys[1], (shape.kernel, shape.kernel, shape.ins, shape.outs)
  )
  stride, padding = shape.stride, shape.padding
  forward = functools.partial(
    cpu_gradients.conv2d_of_xla, stride=stride, padding=padding
  )
  y = jax.jit(forward)(x, kernel)
  gradient = jax.random.normal(keys[2], y.shape)

  def input_of_xla(x, kernel, d):
    return jax.vjp(lambda x: forward(x, kernel), x)[1](d)

  def kernel_of_xla(x, kernel, d):
    return jax.vjp(lambda kernel: forward(x, kernel), kernel)[1](d)

  def input_of_ours(x, kernel, d):
    return cpu_gradients.input_gradient(d, kernel, stride, padding, x.shape)

  def kernel_of_ours(x, kernel, d):
    return cpu_gradients.kernel_gradient(x, d, kernel.shape, stride, padding)

  functions = (
    lambda x, kernel, d: forward(x, kernel),
    input_of_xla,
    input_of_ours if stride > 1 else None,
    kernel_of_xla,
    kernel_of_ours,
  )
  return {
    name: functools.partial(jax.jit(function), x, kernel, gradient)
    for name, function in zip(NAMES, functions)
    if function
  }, 2.0 * y.size * kernel[..., 0].size


def rates(shape: Shape, rounds: int) -> dict[str, float]:
  """Returns operations a second of each form."""
  functions, operations = forms(shape)
  seconds: dict[str, list[float]] = {name: [] for name in functions}
  for i in range(rounds + 1):
    for name, function in functions.items():
      began = time.perf_counter()
      jax.block_until_ready(function())
      if i:  # the first round compiles
        seconds[name].append(time.perf_counter() - began)
  return {
    name: operations / statistics.median(values)
    for name, values in seconds.items()
  }


def main() -> None:
  """Prints a table."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--rounds', type=int, default=5, help='of each form (%(default)s)'
  )
  rounds = parser.parse_args().rounds
  print(f'GFLOP/s, jax {jax.__version__}')
  print(f'| shape | {" | ".join(NAMES)} |')
  print('|---|' + '---:|' * len(NAMES))
  for shape in SHAPES:
    found = rates(shape, rounds)
    cells = [f'{found[n] / 1e9:.0f}' if n in found else '' for n in NAMES]
    print(f'| {shape} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  main()
