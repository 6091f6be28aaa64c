"""Delta of Table 1 against loops over pairs and features."""

import numpy as np
import pytest
from conftest import random_variables

import zoo
from data import preprocess, sources
from evaluation.scoring import Network
from seeing import correspondence

BOXES = [(4, 8, 9, 7), (5, 9, 9, 7), (10, 3, 9, 7)]


@pytest.fixture(scope='module')
def network():
  module = zoo.create('lenet5_modern', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  prepare = preprocess.make_prepare(32, (20.0,), (200.0,))
  return Network('', module, variables, prepare, 32, 10)


def changed(network, image, box, layer):
  """The change of features of one image, by single predictions."""
  x = (image.astype('f') - 20) / 200
  covered = x.copy()
  top, left, height, width = box
  covered[top : top + height, left : left + width] = 0
  one, other = (
    zoo.activations(network.module, network.variables, y[None])[layer]
    for y in (x, covered)
  )
  return np.asarray(one - other, 'd').ravel()


def sign(value):
  return 0 if abs(value) < 1e-5 else 1 if value > 0 else -1


def loop(network, images, boxes, layer):
  """Shares of all ordered pairs, as the paper sums them."""
  eps = [changed(network, i, b, layer) for i, b in zip(images, boxes)]
  signs = [[sign(v) for v in e] for e in eps]
  shares = []
  for i, a in enumerate(signs):
    for j, b in enumerate(signs):
      if i != j:
        shares.append(sum(u != v for u, v in zip(a, b)) / len(a))
  zero = sum(v == 0 for s in signs for v in s) / sum(map(len, signs))
  return shares, zero


def test_delta_is_the_mean_over_pairs_of_single_predictions(network):
  source = sources.create('mnist5k', 'test')
  images = np.pad(source.images[:3], ((0, 0), (2, 2), (2, 2), (0, 0)))
  others = [BOXES[::-1], [(0, 0, 5, 5)] * 3]
  columns = {'part': [BOXES], 'random': others}
  table = correspondence.measure(network, images, ('C3', 'F6'), columns)
  assert list(table) == ['part', 'random']
  for name, lists in columns.items():
    for layer in ('C3', 'F6'):
      each = [loop(network, images, boxes, layer) for boxes in lists]
      shares = np.concatenate([s for s, _ in each])
      found = table[name][layer]
      np.testing.assert_allclose(found.mean, np.mean(shares), atol=1e-3)
      np.testing.assert_allclose(found.spread, np.std(shares), atol=1e-3)
      zeros = np.mean([z for _, z in each])
      np.testing.assert_allclose(found.unchanged, zeros, atol=1e-3)
  assert 0.1 < table['part']['F6'].mean < 0.9
  assert table['part']['C3'].unchanged > 0.3


def test_signs_are_of_three_kinds_and_any_two_differ():
  plain = np.array([[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 4.0, 1e-7]])
  covered = np.array([[2.0, 1.0, 3.0, 0.0], [0.0, 0.0, 3.0, 0.0]])
  found = correspondence.signs(plain, covered)
  assert found.tolist() == [[-1, 1, 0, 0], [0, 0, 1, 0]]
  assert correspondence.differing(found).tolist() == [0.75]
  three = np.array([[1, 1], [1, -1], [0, -1]])
  assert correspondence.differing(three).tolist() == [0.5, 1.0, 0.5]


def test_random_places_are_inside_of_the_parts_sizes_and_of_the_seed():
  parts = {'a': [(0, 0, 3, 9), (5, 1, 10, 2)], 'b': [(1, 1, 1, 1)] * 2}
  draws = correspondence.random_boxes(parts, (10, 12, 1), 60, seed=1)
  for number, boxes in enumerate(draws):
    assert [b[2:] for b in boxes] == [b[2:] for b in parts['ab'[number % 2]]]
    for top, left, height, width in boxes:
      assert 0 <= top <= 10 - height
      assert 0 <= left <= 12 - width
  assert {b[0][:2] for b in draws[1::2]} != {b[1][:2] for b in draws[1::2]}
  assert max(b[0][0] for b in draws[::2]) == 7  # the last that is inside
  assert draws == correspondence.random_boxes(parts, (10, 12, 1), 60, seed=1)
  assert draws != correspondence.random_boxes(parts, (10, 12, 1), 60, seed=2)
