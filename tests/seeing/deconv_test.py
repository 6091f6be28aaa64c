"""The deconvnet, fields and strongest images, against loops in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_variables
from jax import lax

import zoo
from evaluation.features import Item
from evaluation.scoring import Network
from seeing import deconv, fields, strongest
from zoo import intermediates, layers
from zoo.chain import LRN, RELU, Chain, Conv, MaxPool
from zoo.layers import pad

SIDE = 21
ROWS = (
  Conv('conv1', 6, 3, 1, pad(1)), RELU,
  LRN('norm1', alpha=0.02),
  MaxPool('pool1'),  # 3/2, over the border: windows overlap
  Conv('conv2', 8, 3, 2, pad(0, 1), groups=2), RELU,
  MaxPool('pool2', 2, 1, ceil=False),
  Conv('conv3', 5, 3, 1, pad(1)), RELU,
)  # fmt: skip
STATES = jax.jit(zoo.activations, static_argnums=(0, 3))
STD = np.array([50.0, 60.0, 70.0])


def network_of(rows):
  module = Chain(rows, 8, num_classes=5)
  variables = random_variables(module, (SIDE, SIDE, 3))

  def prepare(images):  # B, G, R, as Caffe's weights want it
    return ((images.astype(jnp.float32) - 120) / STD)[..., ::-1]

  return Network('', module, variables, prepare, SIDE, 5)


@pytest.fixture(scope='module')
def network():
  return network_of(ROWS)


@pytest.fixture(scope='module')
def images():
  # Few different values: many maxima are shared.
  rng = np.random.default_rng(0)
  return 60 * rng.integers(0, 5, (12, SIDE, SIDE, 3)).astype(np.uint8)


def filter_down(down, kernel, shape, stride, before, groups):
  """Section 2.1: each value times its filter, added where it looked at."""
  out = np.zeros((shape[0] + 9, shape[1] + 9, shape[2]))
  ins, outs = shape[2] // groups, kernel.shape[3] // groups
  for (i, j, o), value in np.ndenumerate(down):
    first = o // outs * ins
    rows = slice(i * stride, i * stride + kernel.shape[0])
    columns = slice(j * stride, j * stride + kernel.shape[1])
    out[rows, columns, first : first + ins] += value * kernel[..., o]
  end = before + np.array(shape[:2])
  return out[before : end[0], before : end[1]]


def unpool_down(down, below, size, stride):
  """Each value to the first maximum of its window."""
  out = np.zeros(below.shape)
  for (i, j, c), value in np.ndenumerate(down):
    window = below[i * stride :, j * stride :, c][:size, :size]
    row, column = np.unravel_index(window.argmax(), window.shape)
    out[i * stride + row, j * stride + column, c] += value
  return out


def by_the_papers_steps(network, image, unit, layer):
  """Goes down by the rows of the table, from the states of the layers."""
  states = STATES(
    network.module, network.variables, network.prepare(image[None]), ()
  )
  states = {k: np.float64(v[0]) for k, v in states.items()}
  prepared = np.float64(network.prepare(image[None])[0])
  names = [getattr(row, 'name', '') for row in ROWS]
  end = names.index(layer)
  down = np.zeros(states[layer].shape)
  down[unit] = states[layer][unit]
  for n in reversed(range(end + 1)):
    row = ROWS[n]
    under = [name for name in names[:n] if name]
    below = states[under[-1]] if under else prepared
    if row == RELU or isinstance(row, LRN):
      continue
    if isinstance(row, MaxPool):
      down = unpool_down(down, below, row.size, row.stride)
    else:  # behind each filter is a ReLU
      kernel = np.float64(network.variables['params'][row.name]['kernel'])
      before = row.padding[0][0]
      down = filter_down(
        np.maximum(down, 0), kernel, below.shape, row.stride, before, row.groups
      )
  return down[..., ::-1]  # as images have it


@pytest.mark.parametrize('layer', ['conv1', 'norm1', 'pool1', 'conv2', 'conv3'])
def test_the_way_down_is_that_of_the_paper_step_by_step(network, images, layer):
  states = STATES(
    network.module, network.variables, network.prepare(images), ()
  )[layer]
  units = [np.unravel_index(s.argmax(), s.shape) for s in np.asarray(states)]
  values, found = deconv.Deconvnet(network, layer).project(
    network.variables, images, *np.array(units).T
  )
  np.testing.assert_allclose(values, states.max((1, 2, 3)), rtol=1e-5)
  for image, unit, pixels in zip(images[:4], units, found):
    expected = by_the_papers_steps(network, image, unit, layer)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(
      pixels, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )
  signs = {bool((found > 0).any()), bool((found < 0).any())}
  assert signs == {True}  # the last filter is not rectified


def test_without_rectification_it_is_the_transposed_operation(images):
  """A linear stack: what jax.linear_transpose says, biases or not."""
  rows = (Conv('a', 4, 3, 2, bias=3.0), Conv('b', 5, 5, 1, pad(2), bias=-9.0))
  network = network_of(rows)
  rows, columns, maps = (
    np.arange(12) % 10,
    np.arange(12) // 2,
    np.arange(12) % 5,
  )
  values, found = deconv.Deconvnet(network, 'b').project(
    network.variables, images, rows, columns, maps
  )
  kernels = [network.variables['params'][n]['kernel'] for n in 'ab']

  def linear(x):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    x = lax.conv_general_dilated(
      x, kernels[0], (2, 2), 'VALID', dimension_numbers=numbers
    )
    return lax.conv_general_dilated(
      x, kernels[1], (1, 1), 'SAME', dimension_numbers=numbers
    )

  transposed = jax.linear_transpose(linear, jnp.zeros((12, SIDE, SIDE, 3)))
  seed = np.zeros((12, 10, 10, 5), 'f')
  seed[np.arange(12), rows, columns, maps] = values
  (expected,) = transposed(seed)
  np.testing.assert_allclose(
    found, expected[..., ::-1], rtol=1e-4, atol=1e-5 * np.abs(expected).max()
  )


WINDOWS = [(2, 2, pad(0)), (3, 2, pad(0, 1)), (3, 1, pad(1)), (3, 2, pad(0))]


@pytest.mark.parametrize(('size', 'stride', 'padding'), WINDOWS)
def test_switches_put_each_maximum_back_where_it_was(size, stride, padding):
  x = np.random.default_rng(0).integers(-9, 3, (2, 8, 9, 3)).astype('f')
  top = layers.max_pool(x, size, stride, padding)
  places = deconv.switches(x, size, stride, padding)
  window = (size, stride, padding)
  found = deconv.unpool(jnp.ones_like(top), places, (8, 9), *window)
  expected = np.zeros(x.shape)
  low = padding[0][0]
  for n, i, j, c in np.ndindex(*top.shape):
    reach = [
      (a, b)  # row by row: the first of equal ones comes first
      for a in range(i * stride - low, i * stride - low + size)
      for b in range(j * stride - low, j * stride - low + size)
      if 0 <= a < 8 and 0 <= b < 9
    ]
    place = max(reach, key=lambda p: x[n, *p, c])
    assert x[n, *place, c] == top[n, i, j, c]
    expected[n, *place, c] += 1  # where windows share a maximum they add
  np.testing.assert_array_equal(found, expected)
  assert (expected.max() > 1) == (size > stride)


class Branches(nn.Module):
  """Two filters of one map, side by side, as in GoogLeNet; then one of both."""

  @nn.compact
  def __call__(self, x, train=False):
    x = layers.ReLU()(layers.Conv(3, 3, name='below')(x))
    both = [
      intermediates.keep(self, name, layers.ReLU()(layer(x)))
      for name, layer in (
        ('one', layers.Conv(2, 1, name='one_conv')),
        ('three', layers.Conv(2, 3, 1, pad(1), name='three_conv')),
      )
    ]
    x = intermediates.keep(self, 'both', jnp.concatenate(both, -1))
    return intermediates.keep(self, 'top', layers.Conv(1, 1, name='top')(x))


def test_what_comes_down_branches_adds(images):
  """All is positive, so nothing is rectified: the way down is linear."""
  module, shape = Branches(), (SIDE, SIDE, 3)
  variables = jax.tree.map(jnp.abs, random_variables(module, shape))
  network = Network('', module, variables, lambda x: x / 255.0, SIDE, 1)

  def project(layer, count):
    net = deconv.Deconvnet(network, layer)
    unit = np.full(count, 9), np.full(count, 4), np.arange(count)
    values, pixels = net.project(variables, images[[0] * count], *unit)
    return pixels / values[:, None, None, None]

  parts = [*project('one', 2), *project('three', 2)]
  weights = np.asarray(variables['params']['top']['kernel'])[0, 0, :, 0]
  expected = sum(w * part for w, part in zip(weights, parts))
  np.testing.assert_allclose(
    project('top', 1)[0], expected, rtol=1e-4, atol=1e-9
  )
  assert (parts[0] > 0).sum() < (parts[2] > 0).sum()


def test_lenet5_modern_goes_down_as_a_chain_of_its_rows():
  pool = {'size': 2, 'stride': 2, 'ceil': False}
  chain = Chain(
    (
      Conv('C1', 6, 5), RELU, MaxPool('S2', **pool),
      Conv('C3', 16, 5), RELU, MaxPool('S4', **pool),
      Conv('C5', 120, 5), RELU,
    ), 32,
  )  # fmt: skip
  module = zoo.create('lenet5_modern', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  params = variables['params']
  shared = {'params': {name: params[name] for name in ('C1', 'C3', 'C5')}}
  images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), np.uint8)
  one = np.zeros(3, int)
  (values, found), (expected_values, expected) = (
    deconv.Deconvnet(
      Network('', net, net_variables, lambda x: x / 255.0, 32, 10), 'C5'
    ).project(net_variables, images, one, one, np.array([2, 40, 99]))
    for net, net_variables in ((module, variables), (chain, shared))
  )
  np.testing.assert_allclose(values, expected_values, rtol=1e-5)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  assert found.any()


@pytest.mark.parametrize(
  ('name', 'layer', 'size', 'step'),
  [
    ('zfnet', 'conv5', 139, 16),
    ('alexnet', 'conv2', 51, 8),
    *(
      pytest.param(name, f'conv{i}', size, step, marks=pytest.mark.slow)
      for name, rows in (
        ('zfnet', ((7, 2), (27, 8), (75, 16), (107, 16))),
        ('alexnet', ((11, 4), (51, 8), (99, 16), (131, 16), (163, 16))),
      )
      for i, (size, step) in enumerate(rows, start=1)
    ),
  ],
)
def test_fields_are_those_of_the_tables(name, layer, size, step):
  """Kernels, strides and pools of the papers, multiplied out by hand."""
  module, shape = zoo.create(name, num_classes=4), zoo.image_shape(name)
  assert fields.size(module, shape, layer) == size
  side = zoo.layer_shapes(module, shape, (layer,))[layer][0]
  units = np.array([0, side // 2, side // 2 + 1, side - 1])
  found = fields.boxes(module, shape, layer, units, units[::-1])
  assert found[2][0] - found[1][0] == step
  assert found[1][1] - found[2][1] == step
  assert found[0][0] == 0
  assert found[0][3] > 200
  for top, left, bottom, right in found:
    assert max(bottom - top, right - left) <= size


def test_nothing_outside_its_field_changes_a_unit(network, images):
  unit = np.array([2]), np.array([1])
  ((top, left, bottom, right),) = fields.boxes(
    network.module, (SIDE, SIDE, 3), 'conv3', *unit
  )
  assert 0 < bottom - top < SIDE
  inside = np.zeros((SIDE, SIDE, 1), bool)
  inside[top:bottom, left:right] = True
  other = np.where(inside, images, 255 - images)

  def state(images):
    seen = STATES(
      network.module, network.variables, network.prepare(images), ()
    )
    return np.asarray(seen['conv3'])[:, 2, 1]

  np.testing.assert_allclose(state(images), state(other), atol=1e-6)
  assert (state(images[:1]) != state(255 - images[:1])).any()


def test_a_field_is_cut_with_what_reaches_over_the_image():
  picture = np.arange(36.0).reshape(6, 6, 1)
  np.testing.assert_array_equal(
    fields.cut(picture, (1, 2, 4, 5), 3, 0)[..., 0], picture[1:4, 2:5, 0]
  )
  corner = fields.cut(picture, (0, 4, 2, 6), 4, -1)[..., 0]
  expected = np.full((4, 4), -1.0)
  expected[2:, :2] = picture[:2, 4:, 0]
  np.testing.assert_array_equal(corner, expected)


@pytest.mark.parametrize('batch_size', [1, 5, 12])
def test_the_strongest_are_those_of_all_images_one_by_one(
  network, images, batch_size
):
  maps = np.array([4, 1])
  bad = ValueError('no image')

  def read(number):
    return Item(f'name {number}', bad if number == 7 else images[number])

  peaks = strongest.Peaks(network, 'conv2')
  found = strongest.find(
    peaks, network.variables, read, 12, maps, 3, batch_size=batch_size
  )
  assert found.bad == [('name 7', bad)]
  for row, number in enumerate(maps):
    every = []
    for i in (i for i in range(12) if i != 7):
      seen = STATES(
        network.module, network.variables, network.prepare(images[i, None]), ()
      )['conv2']
      plane = np.asarray(seen)[0, ..., number]
      every.append((-plane.max(), i, np.argwhere(plane == plane.max())[0]))
    for rank, (value, i, place) in enumerate(sorted(every)[:3]):
      np.testing.assert_allclose(found.values[row, rank], -value, rtol=1e-5)
      assert found.numbers[row, rank] == i
      assert (found.rows[row, rank], found.columns[row, rank]) == tuple(place)
  with pytest.raises(ValueError, match='11 of 12 images can be read'):
    strongest.find(peaks, network.variables, read, 12, maps, 12)


def test_what_is_seen_is_cut_to_the_fields(network, images):
  def read(number):
    return Item(f'name {number}', images[number])

  net = deconv.Deconvnet(network, 'conv2')
  found = strongest.find(
    strongest.Peaks(network, 'conv2'), network.variables, read, 12,
    np.array([0, 5]), 4,
  )  # fmt: skip
  seen = deconv.see(net, network.variables, found, read)
  side = fields.size(network.module, (SIDE, SIDE, 3), 'conv2')
  assert seen.projections.shape == seen.patches.shape == (2, 4, side, side, 3)
  np.testing.assert_allclose(seen.values, found.values, rtol=1e-5)
  for i, k in np.ndindex(2, 4):
    image, rank = images[found.numbers[i, k]], (i, k)
    assert seen.keys[i][k] == f'name {found.numbers[rank]}'
    # Stride 4 from the corner: nine pixels a side, and one of conv1's border.
    top, left = 4 * found.rows[rank] - 1, 4 * found.columns[rank] - 1
    around = np.full((SIDE + 2 * side, SIDE + 2 * side, 3), deconv.OUTSIDE)
    around[side:-side, side:-side] = image
    top, left = top + side, left + side
    expected = around[top : top + side, left : left + side]
    np.testing.assert_array_equal(seen.patches[rank], expected)
    whole = by_the_papers_steps(
      network,
      image,
      (found.rows[rank], found.columns[rank], [0, 5][i]),
      'conv2',
    )
    np.testing.assert_allclose(
      np.abs(seen.projections[rank]).sum(), np.abs(whole).sum(), rtol=1e-4
    )


def test_contrast_is_around_grey():
  found = deconv.contrast(np.array([-2.0, 0.0, 1.0, 4.0]))
  np.testing.assert_array_equal(found, [64, 128, 159, 255])
  np.testing.assert_array_equal(deconv.contrast(np.zeros(2)), [128, 128])


@pytest.mark.parametrize(
  ('name', 'options', 'words'),
  [
    ('lenet5', {}, 'it has no max pooling, so no switches'),
    ('lenet5_modern', {'pool': 'average'}, 'it has no max pooling'),
    ('lenet5_modern', {'activation': 'tanh'}, 'it has no ReLU'),
    ('resnet20_cifar', {}, 'it has batch normalisation, for which the paper'),
    ('plain18', {'width': 0.1}, 'it has batch normalisation'),
    ('lenet5_modern', {}, ''),
    ('vgg_a', {'width': 0.1}, ''),
  ],
)
def test_networks_without_a_way_down_are_refused(name, options, words):
  module = zoo.create(name, num_classes=10, **options)
  if not words:
    deconv.check(module, zoo.image_shape(name))
    return
  with pytest.raises(ValueError, match=f'^{words}'):
    deconv.check(module, zoo.image_shape(name))
