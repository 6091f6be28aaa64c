"""Features: what layers of a network say of many images, batch by batch.

Of each image one view, that of the natural protocol (`protocols.natural`).
"""

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import zoo
from data.ahead import ahead
from data.photos import Cropped
from data.sources import Source
from evaluation import inference, scoring
from evaluation.inference import Model
from evaluation.protocols import Protocol
from evaluation.scoring import Network
from runtime.mesh import AXIS, batch_sharding

_IN_FLIGHT = 2  # batches


class Item(NamedTuple):
  """An image by its name; `view` is uint8 [H, W, C], or why there is none."""

  key: str
  view: np.ndarray | Exception
  label: int = -1  # -1: not known


class Batch(NamedTuple):
  """Features of the images that could be read, and why others could not."""

  keys: list[str]
  labels: list[int]
  features: dict[str, np.ndarray]  # float32, [N, ...] of `Extractor.shapes`
  bad: list[tuple[str, Exception]]


class Extractor:
  """A network up to some of its layers, on the devices of this process.

  Args:
    network: with its variables.
    layers: as of `zoo.activations`.
  """

  def __init__(self, network: Network, layers: Sequence[str]):
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    self.devices = mesh.size
    self._sharding = batch_sharding(mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    self._variables = jax.device_put(network.variables, everywhere)

    def forward(variables, images):
      seen = zoo.activations(
        network.module, variables, network.prepare(images), layers
      )
      return {name: _plain(x) for name, x in seen.items()}

    self._layers, self._traced = layers, forward
    self._forward = jax.jit(forward, out_shardings=self._sharding)

  def shapes(self, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of a feature by layer; computes nothing.

    (h, w, channels), or (channels,) where h = w = 1.

    Args:
      image_shape: (height, width, channels) of an image before preprocessing.

    Raises:
      ValueError: the network does not take such images.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.uint8)
    found = jax.eval_shape(self._traced, self._variables, images)
    return {name: found[name].shape[1:] for name in self._layers}

  def __call__(self, images: np.ndarray) -> dict[str, jax.Array]:
    """uint8 [N, H, W, C] -> float32 [N, ...] by layer.

    N is a multiple of `devices`.
    """
    images = jax.device_put(images, self._sharding)
    return self._forward(self._variables, images)


def _plain(x):
  """Without the map of single units."""
  x = x.astype(jnp.float32)
  return x[:, 0, 0] if x.shape[1:3] == (1, 1) else x


def of_files(
  files: Sequence[tuple[str, Callable[[], bytes]]],
  model: Model,
  protocol: Protocol,
) -> Callable[[int], Item]:
  """Returns number -> item for files: names, and what reads them.

  A position in EXIF is applied, as in prediction.
  """
  network = model.networks[0]

  def read(number):
    name, content = files[number]
    try:
      view = inference.views(content(), protocol, network, model.image_shape)
    except Exception as error:  # noqa: BLE001  libraries raise many kinds
      return Item(name, error)
    return Item(name, view[0][0])

  return read


def of_source(
  source: Source, protocol: Protocol, size: int
) -> Callable[[int], Item]:
  """Returns number -> item for a split, with labels.

  Photographs have their key in the data set, and pixels as they are stored, as
  in evaluation; other images their number.

  Args:
    source: whole or `Cropped`, whose own geometry is not applied.
    protocol: natural, of the config.
    size: of the network's input.
  """

  def read_photo(number):
    assert isinstance(source, Cropped)
    key = f'photograph {number}'
    try:
      (photo,) = source.photos.read(np.array([number]))
      key = photo.key
      view = scoring.cut(photo.encoded, protocol, size)
    except Exception as error:  # noqa: BLE001  libraries raise many kinds
      return Item(key, error)
    return Item(key, view[0][0], photo.label)

  def read_image(number):
    batch = source.batch(np.array([number]))
    return Item(str(number), batch['image'][0], int(batch['label'][0]))

  return read_photo if isinstance(source, Cropped) else read_image


def stream(
  extractor: Extractor,
  read: Callable[[int], Item],
  count: int,
  *,
  batch_size: int,
  threads: int = 0,
) -> Iterator[Batch]:
  """Yields the features of images 0 to `count` - 1, in their order.

  Holds a few batches, however many there are.

  Args:
    extractor: of the network.
    read: from `of_files` or `of_source`.
    count: of images; at least 1.
    batch_size: any; changes no result.
    threads: that read and decode ahead.
  """
  devices = extractor.devices
  size = -(-min(batch_size, count) // devices) * devices
  running: collections.deque = collections.deque()

  def fetch(start):
    return [read(i) for i in range(start, min(start + size, count))]

  with contextlib.closing(ahead(fetch, range(0, count, size), threads)) as all_:
    for items in all_:
      running.append((items, _start(extractor, items, size)))
      if len(running) == _IN_FLIGHT:
        yield _finish(*running.popleft())
  while running:
    yield _finish(*running.popleft())


def _start(extractor, items, size) -> dict[str, Any]:
  views = [i.view for i in items if not isinstance(i.view, Exception)]
  if not views:
    return {}
  images = np.zeros((size, *views[0].shape), np.uint8)
  np.stack(views, out=images[: len(views)])
  return extractor(images)


def _finish(items, features) -> Batch:
  good = [i for i in items if not isinstance(i.view, Exception)]
  return Batch(
    [i.key for i in good],
    [i.label for i in good],
    {name: np.asarray(x)[: len(good)] for name, x in features.items()},
    [(i.key, i.view) for i in items if isinstance(i.view, Exception)],
  )
