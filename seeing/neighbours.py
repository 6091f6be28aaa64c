"""The images that a layer finds alike: AlexNet's Figure 4, right.

Distances are Euclidean. Features of the set come in batches and are not kept:
of each query only the nearest so far are, and of the pixels one distance an
image, to rank by.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from evaluation.features import Batch, Item


class Nearest:
  """The nearest of a set to each query, batch by batch.

  Of equal distances the lower number comes first.

  Args:
    queries: float32 [Q, ...], their features.
    most: how many are kept.
    without: of each query its own number in the set, which is passed over; -1:
      it is not in it.

  Attributes:
    numbers: int64 [Q, at most `most`], the nearest first.
    distances: float64, theirs.
  """

  def __init__(self, queries: np.ndarray, most: int, without: Iterable[int]):
    self._queries = queries.reshape(len(queries), -1).astype('d')
    self._most, self._without = most, list(without)
    self.numbers = np.empty((len(queries), 0), np.int64)
    self.distances = np.empty((len(queries), 0))

  def add(self, features: np.ndarray, numbers: np.ndarray) -> None:
    """Compares a batch.

    Args:
      features: float32 [N, ...].
      numbers: int [N], of the images in the set, rising from call to call.
    """
    rows = features.reshape(len(features), -1)
    # Differences, since |a|^2 - 2ab + |b|^2 cancels; a query at a time, since
    # all of them would be Q times the batch.
    found = np.array([_distances(rows, query) for query in self._queries])
    for distance, own in zip(found, self._without):
      distance[numbers == own] = np.inf
    distances = np.concatenate([self.distances, found], 1)
    seen = np.broadcast_to(numbers, found.shape)
    every = np.concatenate([self.numbers, seen], 1)
    order = np.argsort(distances, 1, kind='stable')[:, : self._most]
    self.distances = np.take_along_axis(distances, order, 1)
    self.numbers = np.take_along_axis(every, order, 1)


def _distances(rows, query):
  difference = rows - query
  return np.sqrt(np.einsum('ij,ij->i', difference, difference))


class Pixels:
  """Distances of the pixels of a set to those of queries, image by image.

  Args:
    queries: uint8 [H, W, C], each; of any sizes.
    count: images in the set.

  Attributes:
    distances: float64 [Q, count]; NaN: not seen, or of another size.
  """

  def __init__(self, queries: Iterable[np.ndarray], count: int):
    self._queries = [query.astype('d') for query in queries]
    self.distances = np.full((len(self._queries), count), np.nan, 'd')

  def see(self, number: int, image: np.ndarray) -> None:
    """Compares an image of the set, uint8 [H, W, C]; safe in threads."""
    for row, query in zip(self.distances, self._queries):
      if image.shape == query.shape:
        difference = (image - query).ravel()
        row[number] = np.sqrt(difference @ difference)

  def ranks(self, query: int, numbers: np.ndarray, own: int = -1) -> np.ndarray:
    """Returns the places of images by pixels, int [N]; 1 is the nearest.

    Args:
      query: its number.
      numbers: of images in the set.
      own: number of the query in the set, which has no place; -1: not in it.
    """
    row = self.distances[query]
    others = np.delete(row, own) if own >= 0 else row
    return np.array([1 + (others < row[n]).sum() for n in numbers])

  def nearest(self, query: int, most: int, own: int = -1) -> np.ndarray:
    """Returns the numbers of the nearest by pixels, the nearest first."""
    order = np.argsort(self.distances[query], kind='stable')  # NaN last
    return order[order != own][:most]


class Found(NamedTuple):
  """What is near to the queries in a set.

  Args:
    numbers: int64 [Q, k], in the set, the nearest by the layer first.
    distances: float64 [Q, k].
    ranks: int [Q, k], places by pixels; 0: images are not of one size.
    by_pixels: int [Q, k], numbers of the nearest by pixels; -1: as above.
    labels: int32 [N], of all images of the set; -1: not read.
    bad: names of images that could not be read, and why.
  """

  numbers: np.ndarray
  distances: np.ndarray
  ranks: np.ndarray
  by_pixels: np.ndarray
  labels: np.ndarray
  bad: list[tuple[str, Exception]]


class Watch:
  """Reads the items of a set, and sees their pixels on the way.

  Args:
    read: number -> item, as `features.of_source` has it.
    pixels: that are told.
  """

  def __init__(self, read, pixels: Pixels):
    self._read, self._pixels = read, pixels
    self.unread: set[int] = set()

  def __call__(self, number: int) -> Item:
    """Returns an item; see `features.stream`."""
    item = self._read(number)
    if isinstance(item.view, Exception):
      self.unread.add(number)
    else:
      self._pixels.see(number, item.view)
    return item


def search(
  batches: Iterable[Batch],
  layer: str,
  queries: np.ndarray,
  watch: Watch,
  pixels: Pixels,
  most: int,
  own: list[int],
) -> Found:
  """Returns the nearest images of a set to each query.

  Args:
    batches: features of the whole set, read by `watch`.
    layer: that counts.
    queries: float32 [Q, ...], their features.
    watch: what reads the set.
    pixels: of the queries.
    most: how many of each are wanted; the set has as many.
    own: number of each query in the set; -1: it is not in it.
  """
  nearest = Nearest(queries, most, own)
  labels = np.full(pixels.distances.shape[1], -1, np.int32)
  bad: list[tuple[str, Exception]] = []
  start = 0
  for batch in batches:
    end = start + len(batch.keys) + len(batch.bad)
    numbers = [i for i in range(start, end) if i not in watch.unread]
    labels[numbers] = batch.labels
    if numbers:
      nearest.add(batch.features[layer], np.array(numbers))
    bad += batch.bad
    start = end
  ranks = np.zeros_like(nearest.numbers)
  by_pixels = np.full_like(nearest.numbers, -1)
  seen = np.isfinite(pixels.distances).any(1)
  for q in np.flatnonzero(seen).tolist():
    ranks[q] = pixels.ranks(q, nearest.numbers[q], own[q])
    by_pixels[q] = pixels.nearest(q, ranks.shape[1], own[q])
  return Found(
    nearest.numbers, nearest.distances, ranks, by_pixels, labels, bad
  )
