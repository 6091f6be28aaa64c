"""The images of a set to which maps of a layer respond most."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import zoo
from data.ahead import ahead
from evaluation.features import Item
from evaluation.scoring import Network
from runtime.progress import Progress


class Strongest(NamedTuple):
  """Of each map K different images, the strongest first."""

  maps: np.ndarray  # int [maps], their numbers
  values: np.ndarray  # float32 [maps, K], the largest activation of each image
  numbers: np.ndarray  # int [maps, K], of the images
  rows: np.ndarray  # int [maps, K], of the unit in its map
  columns: np.ndarray  # int [maps, K]
  bad: list[tuple[str, Exception]]  # images that cannot be read


class Peaks:
  """The largest activation of each map for an image; compiles once.

  Args:
    network: whose variables are given with each call.
    layer: of `zoo.activations`.
  """

  def __init__(self, network: Network, layer: str):
    def peaks(variables, images, maps):
      images = network.prepare(images)
      seen = zoo.activations(network.module, variables, images, (layer,))
      state = seen[layer][..., maps]
      height, width = state.shape[1:3]
      state = state.reshape(len(state), height * width, -1)
      place = state.argmax(1)  # the first of equal ones
      return state.max(1), place // width, place % width

    self._peaks = jax.jit(peaks)

  def __call__(
    self, variables: dict[str, Any], images: np.ndarray, maps: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns float32 values, int rows and columns, [N, maps] each.

    Args:
      variables: of the network.
      images: uint8 [N, H, W, C], with or without their border.
      maps: int [maps], their numbers in the layer.
    """
    found = jax.device_get(self._peaks(variables, images, maps))
    return found[0].astype(np.float32), found[1], found[2]


def find(
  peaks: Peaks,
  variables: dict[str, Any],
  read: Callable[[int], Item],
  count: int,
  maps: np.ndarray,
  most: int,
  *,
  batch_size: int = 32,
  threads: int = 0,
  progress: Progress | None = None,
) -> Strongest:
  """Returns the images with the largest peaks; holds a batch at a time.

  Of equal values those of the lower number.

  Args:
    peaks: of the network and the layer.
    variables: of the network.
    read: image by number, as `features.of_source` and `of_files` return it.
    count: of images.
    maps: int [maps], their numbers in the layer.
    most: images of each map.
    batch_size: any; changes no result.
    threads: that read and decode ahead.
    progress: counts images.

  Raises:
    ValueError: fewer than `most` images can be read.
  """
  size = min(batch_size, count)
  best = [np.zeros((len(maps), 0), t) for t in (np.float32, int, int, int)]
  bad: list[tuple[str, Exception]] = []

  def fetch(start):
    return [(n, read(n)) for n in range(start, min(start + size, count))]

  with contextlib.closing(ahead(fetch, range(0, count, size), threads)) as all_:
    for items in all_:
      good = [
        (n, i.view) for n, i in items if not isinstance(i.view, Exception)
      ]
      bad += [
        (i.key, i.view) for _, i in items if isinstance(i.view, Exception)
      ]
      if good:
        numbers = np.array([n for n, _ in good])
        images = np.zeros((size, *good[0][1].shape), np.uint8)
        np.stack([view for _, view in good], out=images[: len(good)])
        peak = [a[: len(good)].T for a in peaks(variables, images, maps)]
        numbers = np.broadcast_to(numbers, peak[0].shape)
        best = _merge(best, [peak[0], numbers, *peak[1:]], most)
      if progress:
        progress.add(len(items))
  values, number, rows, columns = best
  if number.shape[1] < most:
    raise ValueError(f'{number.shape[1]} of {count:,} images can be read')
  return Strongest(maps, values, number, rows, columns, bad)


def _merge(best, more, most):
  """The strongest of both, arrays [maps, ...] that begin with the values."""
  both = [np.concatenate(pair, 1) for pair in zip(best, more)]
  order = (-both[0]).argsort(1, kind='stable')[:, :most]
  return [np.take_along_axis(a, order, 1) for a in both]
