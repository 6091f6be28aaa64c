"""Standard deviations of the responses of layers: ResNet's Figure 7.

A response is what comes out of the batch normalisation of a convolution, before
the ReLU or the addition; in a block of every convolution, but not of shortcuts.
Over which images and whether channels are pooled the paper does not say: here
one deviation a layer over images, positions and channels, in evaluation.
"""

from collections.abc import Callable, Iterator, Sequence

import flax.linen as nn
import jax
import numpy as np

from errors import UserError
from evaluation.features import Item
from evaluation.scoring import Network
from runtime.progress import Progress
from zoo.batch_norm import BatchNorm

_SHORTCUT = 'proj'
_BATCH = 100  # images at once


def check(network: Network, name: str) -> None:
  """Refuses a network that has no such responses.

  Raises:
    UserError: it has no batch normalisation.
  """
  if 'batch_stats' not in network.variables:
    raise UserError(
      f'{name} has no batch normalisation, whose output a response is (ResNet, '
      'Figure 7). Networks that have it: those of configs/resnet.py and '
      'configs/resnet_cifar.py'
    )


def is_plain(network: Network) -> bool:
  """Whether it is one without shortcuts."""
  return getattr(network.module, 'shortcut', '') == 'none'


def deviations(
  network: Network,
  read: Callable[[int], Item],
  numbers: Sequence[int] | np.ndarray,
  progress: Progress | None = None,
) -> dict[str, float]:
  """Returns the standard deviation by layer, in the order of the network.

  Mean and variance are taken image by image, so that few are held at once and
  no large sums cancel.

  Args:
    network: with its variables.
    read: number -> item, from `evaluation.features`.
    numbers: of the images.
    progress: counts them.

  Raises:
    UserError: no image, or one that cannot be read.
  """
  if not len(numbers):
    raise UserError('no images: responses are of at least one')
  names: list[str] = []

  def forward(variables, images):
    found = _moments(network, variables, images)
    names[:] = found  # filled by tracing: what JAX returns, it sorts by name
    return [found[name] for name in names]

  step = jax.jit(forward)
  means, variances = [], []
  for images in _batches(read, numbers):
    missing = min(_BATCH, len(numbers)) - len(images)  # as compiled
    filled = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
    found = np.array(jax.device_get(step(network.variables, filled)), 'd')
    means.append(found[:, 0, : len(images)])
    variances.append(found[:, 1, : len(images)])
    if progress:
      progress.add(len(images))
  # Images have as many values each: the variance is that within, and between.
  total = np.concatenate(variances, 1).mean(1) + np.concatenate(means, 1).var(1)
  return dict(zip(names, np.sqrt(total).tolist(), strict=True))


def _batches(read, numbers) -> Iterator[np.ndarray]:
  for start in range(0, len(numbers), _BATCH):
    items = [read(int(n)) for n in numbers[start : start + _BATCH]]
    for item in items:
      if isinstance(item.view, Exception):
        raise UserError(f'{item.key} cannot be read: {item.view}')
    yield np.stack([item.view for item in items])


def _moments(network, variables, images):
  """Returns the (means, variances) of single images by layer."""
  module, found = network.module, {}
  if getattr(module, 'scan', False):  # equal blocks are one loop, unnamed
    module = module.clone(scan=False)

  def note(call, args, kwargs, context):
    out = call(*args, **kwargs)
    path = context.module.path
    is_norm = isinstance(context.module, BatchNorm) and _SHORTCUT not in path
    if is_norm and context.method_name == '__call__':
      x = out.astype('float32')
      found['/'.join(path[:-1])] = x.mean((1, 2, 3)), x.var((1, 2, 3))
    return out

  with nn.intercept_methods(note):
    module.apply(variables, network.prepare(images), train=False)
  return found


def of_weights(network: Network, layers: Sequence[str]) -> np.ndarray:
  """Returns sqrt(mean gamma^2 + var beta) over channels of each layer.

  What the deviation is where the population statistics are those of the images:
  a normalised channel times gamma, plus beta.

  Args:
    network: with its variables.
    layers: as `deviations` names them.
  """
  found = []
  for name in layers:
    params = network.variables['params']
    for part in (*name.split('/'), 'bn'):
      params = params[part]
    gamma, beta = (np.asarray(params[k], 'd') for k in ('scale', 'bias'))
    found.append(np.sqrt((gamma**2).mean() + beta.var()))
  return np.array(found)
