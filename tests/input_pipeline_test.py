"""Order, resume position, and the exactness of evaluation batches."""

import hashlib
import types

import jax
import numpy as np
import pytest

import input_pipeline
from data import sources
from errors import UserError
from runtime import mesh
from runtime.mesh import all_devices, batch_sharding


@pytest.fixture(scope='module')
def sharding():
  return batch_sharding(all_devices())


@pytest.fixture(scope='module')
def source():
  return sources.create('fake', 'train', examples=100)


def digests(batches):
  """Returns a digest of every global batch."""
  return [
    hashlib.sha256(
      np.asarray(b['image']).tobytes() + np.asarray(b['label']).tobytes()
    ).hexdigest()
    for b in batches
  ]


def train_digests(source, sharding, start, stop, seed=0, threads=0):
  batches = input_pipeline.train_batches(
    source, 24, seed=seed, start=start, stop=stop, sharding=sharding,
    threads=threads,
  )  # fmt: skip
  return digests(batches)


def test_each_epoch_is_another_permutation_of_the_split():
  order = input_pipeline.Order(100, seed=3)
  epochs = order(np.arange(400)).reshape(4, 100)
  for epoch in epochs:
    assert sorted(epoch) == list(range(100))
  assert len({tuple(e) for e in epochs}) == 4
  # The trap of seeds that are added: epoch 1 of seed 3 is not epoch 0 of 4.
  assert (
    epochs[1].tolist() != input_pipeline.Order(100, 4)(np.arange(100)).tolist()
  )


def test_order_is_a_function_of_position_alone():
  order = input_pipeline.Order(100, seed=3)
  late = order(np.arange(10**9, 10**9 + 50))
  scattered = np.array([250, 3, 99, 100, 0])
  expected = input_pipeline.Order(100, seed=3)(np.arange(300))[scattered]
  assert order(scattered).tolist() == expected.tolist()
  assert order(np.arange(10**9, 10**9 + 50)).tolist() == late.tolist()


def test_batches_start_anywhere_and_do_not_depend_on_threads(source, sharding):
  whole = train_digests(source, sharding, 0, 20)
  assert len(set(whole)) == 20
  assert train_digests(source, sharding, 13, 20) == whole[13:]
  for threads in (1, 3):
    assert train_digests(source, sharding, 5, 20, threads=threads) == whole[5:]
  assert train_digests(source, sharding, 0, 20, seed=1) != whole


@pytest.mark.parametrize('together', [1, 3])
def test_a_batch_is_its_part_of_the_order(source, sharding, together):
  """With the positions, of which crops are drawn."""
  asked = []

  class Asked:
    num_classes = 10

    def __len__(self):
      return 100

    def batch(self, indices, positions):
      asked.append((indices, positions))
      return source.batch(indices)

  batches = input_pipeline.train_batches(
    Asked(), 24, seed=3, start=2, stop=8, sharding=sharding, threads=0,
    together=together,
  )  # fmt: skip
  labels = np.concatenate([np.ravel(b['label']) for b in batches])
  positions = np.arange(2 * 24, 8 * 24)
  epochs = [np.random.default_rng([3, e]).permutation(100) for e in (0, 1)]
  order = np.concatenate(epochs)[positions]
  np.testing.assert_array_equal(np.concatenate([i for i, _ in asked]), order)
  np.testing.assert_array_equal(
    np.concatenate([p for _, p in asked]), positions
  )
  np.testing.assert_array_equal(labels, source.batch(order)['label'])


@pytest.mark.parametrize('batch_size', [1, 7, 100, 101, 128])
def test_evaluation_sees_each_example_once(source, sharding, batch_size):
  images, masks = [], []
  for batch in input_pipeline.eval_batches(
    source, batch_size, sharding=sharding
  ):
    assert batch['image'].shape == (batch_size, 28, 28, 1)
    images.append(np.asarray(batch['image']))
    masks.append(np.asarray(batch['mask']))
  seen = np.concatenate(images)[np.concatenate(masks)]
  expected = source.batch(np.arange(100))['image']
  np.testing.assert_array_equal(seen, expected)


def test_a_bad_record_stops_with_the_step(source, sharding):
  class Bad:
    num_classes = 10

    def __len__(self):
      return 100

    def batch(self, indices, positions=None):
      del positions
      return {**source.batch(indices), 'label': np.full(len(indices), 10)}

  with pytest.raises(UserError, match='batch of step 2: label 10'):
    train_digests(Bad(), sharding, 2, 3, threads=1)


def test_mesh_keeps_the_devices_of_a_process_together(monkeypatch):
  """JAX may list them otherwise: on TPU, by where they are."""

  def device(number):
    return types.SimpleNamespace(id=number, process_index=number % 2)

  monkeypatch.setattr(
    jax, 'devices', lambda: [device(i) for i in range(5, -1, -1)]
  )
  monkeypatch.setattr(mesh, 'Mesh', lambda devices, axes: (devices, axes))
  devices, axes = all_devices()
  assert [d.id for d in devices] == [0, 2, 4, 1, 3, 5]
  assert axes == ('data',)
