"""A network as ONNX, by jax2onnx, and checked by onnxruntime before it is kept.

What jax2onnx 0.17 has no form of, or a wrong one, is given to it in another:
XLA's choice by platform, maxima over windows of four axes, and those with a
padding, which its form of flax's `max_pool` passes over without a word.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax

from errors import UserError, one_line
from evaluation.inference import Model
from tools import usage

PACKAGE = 'jax2onnx'  # brings onnx and onnxruntime
OPSET = 18  # not jax2onnx's own 23: more programs read it
INPUT, OUTPUT = 'images', 'probabilities'
# Scores differ by some 1e-6 of their deviation where the graph is right.
_LIMIT = 1e-4
_LEAST = 1e-6  # probabilities below are equal
_reduce_window = lax.reduce_window


def check_packages() -> None:
  """Raises UserError where jax2onnx is not installed."""
  with usage.needs(PACKAGE):
    import jax2onnx  # noqa: F401, PLC0415
    import onnxruntime  # noqa: F401, PLC0415


def in_float32(model: Model) -> Model:
  """Returns the same that computes in float32: few runtimes have bfloat16."""
  return model._replace(
    networks=[
      n._replace(module=n.module.clone(dtype=jnp.float32))
      if hasattr(n.module, 'dtype')
      else n
      for n in model.networks
    ]
  )


def convert(
  probabilities: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]
) -> bytes:
  """Returns the graph: `INPUT` uint8 [batch, *shape] -> `OUTPUT`.

  Args:
    probabilities: uint8 [batch, *shape] -> float32 [batch, classes].
    shape: of an image.

  Raises:
    UserError: there is no form of an operation, or what it gives is not what
      the network gives.
  """
  import jax2onnx  # noqa: PLC0415

  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
  logging.getLogger('onnx_ir').setLevel(logging.ERROR)  # of shapes it guesses
  try:
    with _forms():
      graph = jax2onnx.to_onnx(
        probabilities,
        [images],
        opset=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
      )
    content = graph.SerializeToString()
  except Exception as error:
    raise UserError(
      f'--format=onnx: jax2onnx {version(PACKAGE)} cannot convert the '
      f'network: {one_line(error)}'
    ) from error
  check(content, probabilities, shape)
  return content


@contextlib.contextmanager
def _forms() -> Iterator[None]:
  def platform_dependent(*arguments: Any, default: Callable, **others: Any):
    del others
    return default(*arguments)

  def reduce_window(x, start, operation, window, strides, padding, **more):
    # Flax's own call, by jax2onnx, has a text for the padding.
    plain = not isinstance(padding, str) and not more
    if operation is not lax.max or not plain or len(window) != 4:
      return _reduce_window(
        x, start, operation, window, strides, padding, **more
      )
    if any(map(any, padding)):
      x = jnp.pad(x, padding, constant_values=-jnp.inf)
    return nn.max_pool(x, window_shape=window[1:3], strides=strides[1:3])

  with (
    mock.patch.object(lax, 'platform_dependent', platform_dependent),
    mock.patch.object(lax, 'reduce_window', reduce_window),
  ):
    yield


def check(
  content: bytes,
  probabilities: Callable[[jax.Array], jax.Array],
  shape: tuple[int, ...],
) -> None:
  """Compares a graph with the network, on two images of noise.

  Args:
    content: of the graph.
    probabilities: as in `convert`.
    shape: of an image.

  Raises:
    UserError: onnxruntime does not run it, or the logarithms of the
      probabilities are off by 1e-4 of their deviation.
  """
  import onnxruntime  # noqa: PLC0415

  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors
  images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
  try:
    session = onnxruntime.InferenceSession(
      content, options, providers=['CPUExecutionProvider']
    )
    found = session.run([OUTPUT], {INPUT: images})[0]
  except Exception as error:
    raise UserError(
      f'--format=onnx: onnxruntime cannot run the graph: {one_line(error)}'
    ) from error
  expected = np.asarray(jax.jit(probabilities)(images))
  a, b = (np.log(np.maximum(p, _LEAST)) for p in (found, expected))
  off = np.abs(a - b).max() / max(b.std(), 0.1)
  if not off < _LIMIT:
    raise UserError(
      f'--format=onnx: the graph says other than the network, by {off:.1e} of '
      'the deviation of its scores; nothing is written. jax2onnx has a form of '
      'an operation in it that is wrong'
    )
