"""Probabilities of images by a network and a protocol of `protocols`.

Each process scores its own images on its own devices, without a word to the
others, since the sizes of photographs decide which programs run; sums meet at
the end. Views of equal size share a batch, and a size that does not fill one
is padded by rows that nobody reads: no image is padded.
"""

import collections
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data import crops, label_sets
from data.ahead import ahead
from data.arrays import check_labels
from data.photos import Cropped
from data.sources import Source
from errors import UserError, one_line
from evaluation import exact, predictions, protocols
from evaluation.protocols import Protocol
from recipe import losses
from runtime.mesh import AXIS, batch_sharding
from runtime.progress import Progress

_CHUNK = 16  # images that a thread reads at once
_PENDING_BYTES = 1 << 30  # of views that wait for others of their size
_IN_FLIGHT = 2  # batches


class Network(NamedTuple):
  """What turns uint8 images into scores."""

  path: str  # where its variables are from
  module: nn.Module
  variables: dict[str, Any]
  prepare: Callable[[jax.Array], jax.Array]
  image_size: int
  num_classes: int
  scale: float = 1.0  # of the scores in the softmax, as in the loss


def make_forward(network: Network) -> Callable:
  """Returns (variables, uint8 [N, K, H, W, C], flips) -> float32 [N, classes].

  The mean over K views, and their mirrors if `flips`, of softmax scores, each
  times `network.scale`. Those of a map are averaged before.
  """

  def forward(variables, images, flips):
    if flips:
      images = jnp.concatenate([images, images[:, :, :, ::-1]], 1)
    n, k, *shape = images.shape
    images = network.prepare(images.reshape(n * k, *shape))
    scores = network.module.apply(variables, images, train=False)
    assert isinstance(scores, jax.Array)  # a tuple only with mutable=...
    scores = scores.reshape(n, k, -1, scores.shape[-1]).mean(2)
    return jax.nn.softmax(network.scale * scores).mean(1)

  return forward


class Scorer:
  """Collects views by their size, runs full batches, adds up.

  Args:
    network: to run.
    protocol: that the views are of.
    count: number of images.
    batch_size: images of the network's input size on the devices at once;
      larger views count for more. Changes no result.
  """

  def __init__(
    self, network: Network, protocol: Protocol, count: int, batch_size: int
  ):
    protocols.check_scales(protocol, network.image_size)
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    self._sharding = batch_sharding(mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    self._variables = jax.device_put(network.variables, everywhere)
    self._forward = jax.jit(
      make_forward(network),
      static_argnums=2,
      in_shardings=(everywhere, self._sharding),
      out_shardings=self._sharding,
    )
    self._pixels = batch_size * network.image_size**2
    self._smallest = network.image_size**2
    self._parts = protocol.parts
    # Sums in float64 do not depend on the order in which batches fill up.
    self._sums = np.zeros((count, network.num_classes))
    self._waiting: dict[tuple, list] = collections.defaultdict(list)
    self._pending = 0
    self._full: set[tuple] = set()
    self._running: collections.deque = collections.deque()

  def add(self, row: int, views: Sequence[np.ndarray]) -> None:
    """Takes the views of image `row`, uint8 [K, h, w, C] for each part."""
    for part, images in zip(self._parts, views):
      key = (images.shape, part.flips)
      self._waiting[key].append((row, part.weight, images))
      self._pending += images.nbytes
      if len(self._waiting[key]) == self._capacity(key):
        self._full.add(key)
        self._run(key)
    if self._pending > _PENDING_BYTES:
      self._run(max(self._waiting, key=lambda k: len(self._waiting[k])))

  def finish(self) -> np.ndarray:
    """Runs what waits; returns float32 [count, classes], and begins anew."""
    for key in list(self._waiting):
      self._run(key)
    while self._running:
      self._collect()
    found = self._sums.astype(np.float32)
    self._sums[:] = 0
    return found

  def _capacity(self, key):
    (k, height, width, _), flips = key
    used = max(k * (1 + flips) * height * width, self._smallest)
    devices = self._sharding.mesh.size
    return -(-max(self._pixels // used, 1) // devices) * devices

  def _run(self, key):
    entries = self._waiting.pop(key)
    rows, weights, images = zip(*entries)
    self._pending -= sum(i.nbytes for i in images)
    # The shape that is compiled already, or else the smallest.
    devices = self._sharding.mesh.size
    size = -(-len(rows) // devices) * devices
    if key in self._full:
      size = self._capacity(key)
    batch = np.zeros((size, *key[0]), np.uint8)
    np.stack(images, out=batch[: len(rows)])
    batch = jax.device_put(batch, self._sharding)
    scores = self._forward(self._variables, batch, key[1])
    self._running.append((list(rows), np.array(weights), scores))
    if len(self._running) > _IN_FLIGHT:
      self._collect()

  def _collect(self):
    rows, weights, scores = self._running.popleft()
    values = np.asarray(scores)[: len(rows)] * weights[:, None]
    np.add.at(self._sums, rows, values)  # a row may be there twice


def cut(
  encoded: bytes, protocol: Protocol, size: int, upright: bool = False
) -> list[np.ndarray]:
  """Decodes a photograph and returns its views, part by part.

  `upright` is that of `decoding.decode`.

  Raises:
    ValueError: it cannot be decoded.
  """
  images = crops.resized_to(encoded, protocol.sides, protocol.resize, upright)
  return protocols.views(protocol, dict(zip(protocol.sides, images)), size)


def _reader(source, protocol, size):
  """Returns indices -> (labels, views of each)."""

  def read_photos(indices):
    labels, found = [], []
    for index in indices.tolist():
      name = f'photograph {index}'
      try:
        (photo,) = source.photos.read(np.array([index]))
        name = f'{photo.key} (index {index})'
        found.append(cut(photo.encoded, protocol, size))
      except Exception as error:  # libraries raise many kinds
        raise UserError(
          f'{name} cannot be decoded: {one_line(error)}. Every image of an '
          'evaluation counts: mend it'
        ) from error
      labels.append(photo.label)
    return np.array(labels), found

  def read_images(indices):
    batch = source.batch(indices)
    return batch['label'], [[image[None]] for image in batch['image']]

  return read_photos if isinstance(source, Cropped) else read_images


def _chunks(read, indices, threads) -> Iterator[tuple]:
  """Yields (rows, labels, views), read ahead by threads."""

  def fetch(chunk):
    rows = np.arange(chunk, min(chunk + _CHUNK, len(indices)))
    return (rows, *read(indices[rows]))

  return ahead(fetch, range(0, len(indices), _CHUNK), threads)


def probabilities(
  network: Network,
  protocol: Protocol,
  source: Source,
  indices: np.ndarray,
  *,
  batch_size: int,
  threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns float32 [N, classes] and the labels int32 [N] of images.

  Args:
    network: to run.
    protocol: from `protocols.create`.
    source: a split.
    indices: of the images in it.
    batch_size: as of `Scorer`.
    threads: that read and decode ahead.

  Raises:
    UserError: a photograph cannot be decoded; names it.
  """
  scorer = Scorer(network, protocol, len(indices), batch_size)
  labels = np.empty(len(indices), np.int32)
  read = _reader(source, protocol, network.image_size)
  # The first process has a share as large as any, so it tells for all.
  with Progress(len(indices), quiet=jax.process_index() != 0) as progress:
    for rows, found, views in _chunks(read, indices, threads):
      labels[rows] = found
      for row, view in zip(rows.tolist(), views):
        scorer.add(row, view)
      progress.add(len(rows))
  check_labels(labels, source.num_classes, 'the test split')
  return scorer.finish(), labels


def evaluate(
  networks: Sequence[Network],
  protocol: Protocol,
  source: Source,
  *,
  batch_size: int,
  threads: int = 0,
  take: Callable[[predictions.Rows], None] | None = None,
) -> dict[str, Any]:
  """Evaluates a split: the mean of the probabilities of all networks.

  Args:
    networks: to run.
    protocol: from `protocols.create`.
    source: a split.
    batch_size: as of `Scorer`.
    threads: that read and decode ahead.
    take: gets what is said of every image, in order, on all processes.

  Returns:
    As `exact.evaluate`; 'loss' is the cross-entropy of the mean. With
    'passes', forward passes an image, and 'images_per_second', of all processes
    and with reading and compilation.

  Raises:
    UserError: a photograph cannot be decoded; names it.
    RuntimeError: the examples seen are not exactly those of the split.
  """
  started = time.monotonic()
  processes = jax.process_count()
  indices = np.arange(jax.process_index(), len(source), processes)
  sums = np.zeros((len(indices), source.num_classes))
  labels = np.zeros(len(indices), np.int32)
  for network in networks:
    found, labels = probabilities(
      network, protocol, source, indices, batch_size=batch_size, threads=threads
    )
    sums += found
  mean = (sums / len(networks)).astype(np.float32)
  if sets := label_sets.of(source):
    labels = label_sets.best_of(mean, [sets[i] for i in indices])
  counts, loss = _count(mean, labels)
  if take is not None:
    take(predictions.gathered(mean, labels, len(source)))
  if processes > 1:
    counts = multihost_utils.process_allgather(counts).sum(0)
    loss = multihost_utils.process_allgather(np.float32(loss)).sum()
  count, top1, top5 = (int(c) for c in counts)
  if count != len(source):
    raise RuntimeError(f'evaluated {count} examples of {len(source)}')
  result = exact.as_result(
    {'count': count, 'top1': top1, 'top5': top5, 'loss': float(loss)},
    protocol.name,
    source.num_classes,
  )
  return {
    **result,
    'scales': list(protocol.scales),
    'passes': protocol.passes * len(networks),
    'images_per_second': count / (time.monotonic() - started),
  }


def _count(found, labels):
  """Returns int32 (count, top-1, top-5) and the sum of the cross-entropy."""
  if not len(labels):  # more processes than images
    return np.zeros(3, np.int32), 0.0
  rank = np.asarray(losses.rank_of_label(jnp.asarray(found), labels))
  tiny = np.finfo(np.float32).tiny
  own = np.maximum(found[np.arange(len(labels)), labels], tiny)
  counts = [len(labels), (rank < 1).sum(), (rank < 5).sum()]
  return np.array(counts, np.int32), float(-np.log(own.astype('d')).sum())
