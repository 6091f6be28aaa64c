"""The networks against the paper's numbers and independent forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo import layers, lenet5


def _sizes(name, **options):
  net = zoo.create(name, num_classes=10, **options)
  images = jnp.zeros((1, 32, 32, 1))
  params = jax.eval_shape(net.init, jax.random.key(0), images)['params']
  return {
    layer: sum(leaf.size for leaf in jax.tree.leaves(tree))
    for layer, tree in params.items()
  }


def test_paper_parameter_counts():
  # Section II-B: trainable parameters a layer; 60,000 in all.
  assert _sizes('lenet5') == {
    'C1': 156,
    'S2': 12,
    'C3': 1516,
    'S4': 32,
    'C5': 48120,
    'F6': 10164,
  }
  assert sum(_sizes('lenet5').values()) == 60_000


def test_modern_parameter_count():
  assert sum(_sizes('lenet5_modern').values()) == 61_706


def test_table_i_fan_out_and_columns():
  table = np.array([[c == 'X' for c in row] for row in lenet5.TABLE_I])
  assert table.sum(1).tolist() == [10] * 6
  assert table.sum(0).tolist() == [3] * 6 + [4] * 9 + [6]
  # Contiguous triples, contiguous fours, and all six (paper, below Table I).
  columns = [tuple(np.flatnonzero(column)) for column in table.T]
  for i in range(6):
    assert set(columns[i]) == {i % 6, (i + 1) % 6, (i + 2) % 6}
    assert set(columns[6 + i]) == {(i + k) % 6 for k in range(4)}
  assert columns[15] == (0, 1, 2, 3, 4, 5)


def test_c3_equals_one_dense_convolution_a_map():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 14, 14, 6)).astype('f')
  kernel = rng.normal(size=(5, 5, 60)).astype('f')
  out = lenet5.convolve_table_i(x, kernel)
  pair = 0
  for o in range(16):
    expected = np.zeros((2, 10, 10))
    for i in range(6):
      if lenet5.TABLE_I[i][o] != 'X':
        continue
      for dy in range(5):
        for dx in range(5):
          expected += x[:, dy : dy + 10, dx : dx + 10, i] * kernel[dy, dx, pair]
      pair += 1
    np.testing.assert_allclose(out[..., o], expected, rtol=1e-4, atol=1e-4)
  assert pair == 60


def test_every_value_starts_within_the_fan_in_of_its_unit():
  """Appendix A: 2.4 / F; a subsampling unit has four inputs."""
  net = zoo.create('lenet5', num_classes=10)
  keys = jax.random.split(jax.random.key(0), 64)
  images = jnp.zeros((1, 32, 32, 1))
  drawn = jax.jit(jax.vmap(net.init, (0, None)))(keys, images)['params']
  inputs = {'C1': 25, 'S2': 4, 'S4': 4, 'C5': 400, 'F6': 120}
  for name, fan_in in inputs.items():
    for values in drawn[name].values():
      largest = np.abs(values).max()
      assert 0.97 * 2.4 / fan_in < largest <= 2.4 / fan_in
  biases = np.abs(drawn['C3']['bias']).max(0)  # Table I: 3, 4 or 6 maps
  maps = np.array([3] * 6 + [4] * 9 + [6])
  assert (biases <= 2.4 / (25 * maps)).all()
  assert (biases > 0.9 * 2.4 / (25 * maps)).all()


def test_initial_ranges_follow_the_fan_in_of_each_unit():
  net = zoo.create('lenet5', num_classes=10)
  images = jnp.zeros((1, 32, 32, 1))
  params = jax.jit(net.init)(jax.random.key(0), images)['params']
  kernel = np.abs(params['C3']['kernel'])
  for first, last, fan_in in ((0, 18, 75), (18, 54, 100), (54, 60, 150)):
    largest = kernel[..., first:last].max()
    assert 0.97 * 2.4 / fan_in < largest <= 2.4 / fan_in
  assert 0.97 * 2.4 / 400 < np.abs(params['C5']['kernel']).max() <= 2.4 / 400
  net = zoo.create('lenet5', num_classes=10, init_exponent=0.5)
  params = jax.jit(net.init)(jax.random.key(0), images)['params']
  assert 0.97 * 0.12 < np.abs(params['C5']['kernel']).max() <= 0.12
  net = zoo.create(
    'lenet5', num_classes=10, init_range=1.0, init_exponent=0.5,
    init_bias=False, init_coefficient=0.5,
  )  # fmt: skip
  params = jax.jit(net.init)(jax.random.key(0), images)['params']
  assert 0.97 * 0.05 < np.abs(params['C5']['kernel']).max() <= 0.05
  assert all((layer['bias'] == 0).all() for layer in params.values())
  assert (params['S2']['kernel'] == 0.5).all()
  assert (params['S4']['kernel'] == 0.5).all()


def test_squash_has_the_values_of_appendix_a():
  np.testing.assert_allclose(lenet5.squash(1.0), 0.9999973, rtol=1e-6)
  np.testing.assert_allclose(lenet5.squash_derivative(0.0), 1.1439333)
  slope = jax.grad(lenet5.squash)(0.7)
  np.testing.assert_allclose(lenet5.squash_derivative(0.7), slope, rtol=1e-6)


def test_codes():
  codes = lenet5.codes()
  ink = (codes > 0).sum(1).tolist()
  assert ink == [35, 27, 33, 32, 41, 35, 39, 25, 43, 39]
  distance = (codes[:, None] != codes[None]).sum(-1)
  assert distance[6, 8] == 12 == distance[distance > 0].min()
  # Digit 7 as bits, row by row, from the fact sheet's independent column.
  seven = '7F 03 03 06 0C 0C 18 18 18 18 00 00'.split()
  bits = [int(b) for row in seven for b in f'{int(row, 16):07b}']
  assert (codes[7] > 0).astype(int).tolist() == bits


def test_penalty_is_the_squared_distance_to_each_code():
  x = np.random.default_rng(0).normal(size=(3, 84)).astype('f')
  expected = ((x[:, None] - lenet5.codes()[None]) ** 2).sum(-1)
  np.testing.assert_allclose(lenet5.penalties(x), expected, rtol=1e-5)
  own = lenet5.penalties(jnp.asarray(lenet5.codes()))
  assert np.diag(own).tolist() == [0.0] * 10
  assert own[6, 8] == 4 * 12


@pytest.mark.parametrize('shape', [(5, 5, 1, 6), (3, 2, 6, 16), (1, 1, 4, 3)])
def test_convolution_by_tiles_equals_convolution_with_gradients(shape):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 9, 8, shape[2])).astype('f')
  kernel = rng.normal(size=shape).astype('f')

  def direct(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  for f in (
    lambda g: g,
    lambda g: jax.grad(lambda *a: (g(*a) ** 2).sum(), (0, 1)),
  ):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
      f(layers.conv2d)(x, kernel),
      f(direct)(x, kernel),
    )


@pytest.mark.parametrize('name', ['lenet5', 'lenet5_modern'])
def test_larger_images_give_a_map_whose_corners_are_the_crops(name):
  net = zoo.create(name, num_classes=10)
  images = jax.random.normal(jax.random.key(1), (2, 36, 40, 1))
  variables = jax.jit(net.init)(jax.random.key(0), images)
  scores = jax.jit(net.apply)(variables, images)
  assert scores.shape == (2, 2, 3, 10)
  crop = jax.jit(net.apply)(variables, images[:, 4:36, 8:40])
  assert crop.shape == (2, 10)
  np.testing.assert_allclose(scores[:, 1, 2], crop, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['lenet5', 'lenet5_modern'])
def test_bfloat16_keeps_parameters_and_logits_float32(name):
  net = zoo.create(name, num_classes=10, dtype='bfloat16')
  images = jnp.ones((2, 32, 32, 1))
  variables = jax.jit(net.init)(jax.random.key(0), images)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  logits = jax.jit(net.apply)(variables, images)
  full = jax.jit(zoo.create(name, num_classes=10).apply)(variables, images)
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(logits, full, rtol=0.05, atol=0.2)
  assert (np.asarray(logits) != np.asarray(full)).any()


def test_unknown_names_and_values_are_refused_with_the_closest():
  with pytest.raises(ValueError, match="Did you mean 'lenet5_modern'"):
    zoo.create('lenet5modern')
  with pytest.raises(ValueError, match="Did you mean 'activation'"):
    zoo.create('lenet5_modern', activatoin='relu')
  images = jnp.zeros((1, 32, 32, 1))
  for options, message in (
    ({'name': 'lenet5_modern', 'pool': 'mean'}, 'max, average'),
    ({'name': 'lenet5', 'num_classes': 7}, 'lenet5_modern'),
  ):
    with pytest.raises(ValueError, match=message):
      zoo.create(**options).init(jax.random.key(0), images)
  for shape, message in (
    ((1, 28, 28, 1), 'at least 32x32'),
    ((1, 32, 32, 3), '1 channel'),
  ):
    with pytest.raises(ValueError, match=message):
      zoo.create('lenet5', num_classes=10).init(
        jax.random.key(0), jnp.zeros(shape)
      )
