"""Exact evaluation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from configs import default
from data import arrays, preprocess, sources
from evaluation import exact
from recipe import losses
from runtime.mesh import all_devices, batch_sharding


@pytest.fixture(scope='module')
def parts():
  """A network, its variables, 101 digits, and the sharding."""
  net = zoo.create('lenet5_modern', num_classes=10)
  variables = jax.jit(net.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
  source = sources.create('mnist5k', 'test')
  images = source.batch(np.arange(101) * 9)
  source = arrays.ArraySource(
    images['image'], images['label'], source.class_names
  )
  sharding = batch_sharding(all_devices())
  return net, variables, source, sharding


def run(parts, batch_size):
  net, variables, source, sharding = parts
  step = exact.make_eval_step(
    net,
    losses.create('softmax'),
    preprocess.make_prepare(32, (20.0,), (200.0,)),
    sharding,
  )
  return exact.evaluate(
    step, variables, source,
    batch_size=batch_size, sharding=sharding, protocol='single',
  )  # fmt: skip


def test_counts_do_not_depend_on_the_batch_size(parts):
  results = [run(parts, b) for b in (1, 64, 150)]
  for r in results:
    assert r['count'] == 101
    assert r['protocol'] == 'single'
    for key in ('top1_error', 'top5_error', 'wrong'):
      assert r[key] == results[0][key]
    np.testing.assert_allclose(r['loss'], results[0]['loss'], rtol=1e-5)


def test_result_equals_a_plain_count(parts):
  net, variables, source, _ = parts
  batch = source.batch(np.arange(101))
  x = np.pad(batch['image'].astype('f'), ((0, 0), (2, 2), (2, 2), (0, 0)))
  logits = np.asarray(jax.jit(net.apply)(variables, (x - 20) / 200))
  order = np.argsort(-logits, axis=1)
  right = order == batch['label'][:, None]
  result = run(parts, 64)
  assert result['top1_error'] == 1 - right[:, 0].sum() / 101
  assert result['top5_error'] == pytest.approx(1 - right[:, :5].sum() / 101)


class Told(nn.Module):
  """Scores that lie in the pixels: the k-th pixel of a row is class k's."""

  def __call__(self, images, train=False):
    return images[:, 0, :, 0]


@pytest.mark.parametrize('last', ['first', 'fifth', 'last'])
def test_padding_is_counted_in_nothing(last):
  """The last example stands in the padding: by its rank it would show."""
  rank = {'first': 0, 'fifth': 4, 'last': 9}[last]
  scores = np.zeros((3, 1, 10, 1), np.uint8)
  labels = np.array([0, 0, 0])
  for row, better in enumerate((9, 9, rank)):
    scores[row, 0, 1 : 1 + better] = 9  # as many classes before the label
    scores[row, 0, 0] = 5
  source = arrays.ArraySource(scores, labels, tuple('abcdefghij'))
  sharding = batch_sharding(all_devices())
  step = exact.make_eval_step(
    Told(),
    losses.create('softmax'),
    lambda images: images.astype(jnp.float32),
    sharding,
  )
  found = [
    exact.evaluate(
      step, {}, source, batch_size=n, sharding=sharding, protocol='single'
    )
    for n in (2, 3)  # with a row of padding, and without
  ]
  logits = scores[:, 0, :, 0].astype(np.float64)
  loss = np.log(np.exp(logits).sum(1)) - logits[:, 0]
  for result in found:
    assert result['wrong'] == 3 - (rank == 0)
    assert result['top5_error'] == pytest.approx((3 - (rank < 5)) / 3)
    assert result['loss'] == pytest.approx(loss.mean(), rel=1e-6)


def test_rank_counts_ties_in_order_of_class_and_nan_as_wrong():
  nan = np.nan
  cases = [
    ([1, 2, 3], 2, 0),
    ([1, 2, 3], 0, 2),
    ([5, 5, 5], 0, 0),  # a constant network is right for class 0 only
    ([5, 5, 5], 2, 2),
    ([nan, 1, 0], 1, 1),
    ([nan, nan, nan], 0, 3),
    ([0, nan, 1], 1, 3),
  ]
  for logits, label, rank in cases:
    got = losses.rank_of_label(jnp.array([logits], 'f'), jnp.array([label]))
    assert got.tolist() == [rank], (logits, label)


def test_a_source_that_loses_examples_is_noticed(parts):
  net, variables, source, sharding = parts

  class Longer:
    num_classes, class_names = source.num_classes, source.class_names
    asked = 0

    def __len__(self):
      self.asked += 1
      return 101 if self.asked < 3 else 102

    batch = source.batch

  with pytest.raises(RuntimeError, match='evaluated 101 examples of 102'):
    run((net, variables, Longer(), sharding), 50)


def test_top5_is_left_out_where_it_says_nothing(parts):
  source = sources.create('fake', 'test', num_classes=5, examples=20)
  net = zoo.create('lenet5_modern', num_classes=5)
  variables = jax.jit(net.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
  result = run((net, variables, source, parts[3]), 8)
  assert 'top5_error' not in result
  config = default.get_config()
  config.data.name = 'fake'
  said = exact.describe(config, result)
  assert said.startswith('fake test, single: top-1 error ')
  config.data.update(name='tfds', options={'builder': 'food101'})
  assert exact.describe(config, result).startswith('tfds food101 test, single')
  assert f'({result["wrong"]} of 20)' in said
