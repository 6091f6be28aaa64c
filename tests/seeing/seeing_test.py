"""The numbers under the figures, against independent forms."""

import cv2
import jax
import numpy as np
import pytest
import scipy.ndimage
from conftest import random_variables

import zoo
from data import preprocess, sources
from evaluation import test_sets
from evaluation.predictions import Mistake
from evaluation.scoring import Network
from seeing import (
  answers,
  changes,
  confusion,
  drawing,
  maps,
  mistakes,
  predictions,
  rejection,
)
from seeing.drawn import maps as drawing_maps

LOGITS = np.random.default_rng(0).normal(size=(200, 4)).astype('f')
LABELS = np.random.default_rng(1).integers(0, 4, 200)


@pytest.fixture(scope='module')
def network():
  module = zoo.create('lenet5', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  prepare = preprocess.make_prepare(32, (20.0,), (200.0,))
  return Network('', module, variables, prepare, 32, 10)


def test_answers_are_those_of_the_network_image_by_image(network):
  source = sources.create('mnist5k', 'test').part(0, 7)
  images, labels = answers.whole(source, 32)
  assert images.shape == (7, 32, 32, 1)
  np.testing.assert_array_equal(images[:, 2:30, 2:30], source.images)
  assert images.sum() == source.images.sum()
  np.testing.assert_array_equal(labels, source.labels)
  found = answers.Reader(network, batch_size=3).logits(images)
  apply = jax.jit(network.module.apply)
  for image, row in zip(source.images, found):
    expected = apply(network.variables, network.prepare(image[None]))
    np.testing.assert_allclose(row, np.asarray(expected)[0], rtol=1e-5)


def test_answers_of_a_split_are_those_of_its_images_in_any_threads(network):
  source = sources.create('mnist5k', 'test').part(97, 104)  # of two classes
  expected = answers.Reader(network, 7).logits(source.images)
  network = network._replace(image_size=300)  # 5 images at once
  assert answers.batch_size(300, 7) == 5
  for threads in (0, 2):
    logits, labels = answers.of_source(network, source, threads)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    np.testing.assert_array_equal(labels, source.labels)


def test_the_most_confident_mistakes_come_first():
  logits = LOGITS.copy()
  logits[1::2] = logits[::2]  # pairs of equal ones
  found = mistakes.find(logits, LABELS)
  scaled = np.exp(3 * logits.astype('d'))
  sure = (scaled / scaled.sum(1, keepdims=True)).max(1)
  expected = sorted((-sure[m.number], m) for m in found)
  ordered = mistakes.most_confident(found, logits, 3.0)
  assert [m for m, _ in ordered] == [m for _, m in expected]
  np.testing.assert_allclose([p for _, p in ordered], [-p for p, _ in expected])
  assert mistakes.most_confident([], logits) == []


@pytest.mark.parametrize('classes', [10, 3])
def test_the_most_probable_classes_are_those_of_a_softmax(network, classes):
  images = sources.create('mnist5k', 'test').images[:4]
  kept = tuple(range(classes))
  network = test_sets.restricted(network, kept if classes < 10 else ())
  network = network._replace(scale=0.05)
  rows = predictions.of_images(network, images, np.array([7, -1, 0, 2]))
  apply = jax.jit(network.module.apply)
  logits = apply(network.variables, network.prepare(images))
  odds = np.exp(0.05 * np.asarray(logits, 'd'))
  odds /= odds.sum(1, keepdims=True)
  for i in range(4):
    top = sorted(range(classes), key=lambda c: -odds[i, c])[:5]
    assert rows.best[i].tolist() == top
    np.testing.assert_allclose(rows.probability[i], odds[i, top], rtol=1e-4)


def test_mosaics_of_frames_are_those_of_each_by_itself(network):
  images = sources.create('mnist5k', 'test').images[:3]
  mosaics, found = maps.moving(network, images)
  assert list(mosaics) == ['C1', 'S2', 'C3', 'S4', 'C5', 'F6']
  states = maps.states(network, images)
  for layer, several in mosaics.items():
    for i in range(3):
      expected = maps.mosaic(states[layer][i])
      np.testing.assert_allclose(several[i], expected, rtol=1e-4, atol=1e-5)
  odds = np.exp(states['output'][:, 0, 0].astype('d'))
  expected = odds / odds.sum(1, keepdims=True)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_frames_keep_a_scale_and_do_not_jump():
  """The brighter of two equal states is brighter; what stands still, stays."""
  states = np.stack([np.full((4, 4), v, 'f') for v in (1, 0.5, 1, 0)])
  still = np.tile(np.arange(16.0).reshape(1, 4, 4), (4, 1, 1))
  odds = np.eye(4, 12, dtype='f')
  images = np.zeros((4, 8, 8, 1), np.uint8)
  frames = drawing_maps.frames(
    images,
    ['a', 'a', 'a', 'a\nb'],
    {'C1': states, 'C2': still},
    odds,
    list('abcdefghijkl'),
  ).images
  assert frames.dtype == np.uint8
  differs = (frames != frames[0]).any((0, 3))
  width = frames.shape[2]
  assert differs[:, width // 4 : width // 2].any()
  assert not differs[:, width // 2 : 3 * width // 4].any()
  np.testing.assert_array_equal(
    frames[0][:, : width // 2], frames[2][:, : width // 2]
  )
  # Where the state is drawn: black, in the middle, black, white.
  at = np.argwhere(differs[:, width // 4 : width // 2]).mean(0).astype(int)
  greys = frames[:, at[0], width // 4 + at[1], 0]
  assert greys[0] == greys[2] < greys[1] < greys[3]


def test_mistakes_are_found_counted_and_paired():
  found = mistakes.find(LOGITS, LABELS)
  expected = [
    (i, LABELS[i], max(range(4), key=lambda c: LOGITS[i][c]))
    for i in range(200)
    if any(LOGITS[i][c] > LOGITS[i][LABELS[i]] for c in range(4))
  ]
  assert [tuple(m) for m in found] == expected
  assert 100 < len(found) < 200
  counts = mistakes.by_truth(found, 4)
  assert counts == [sum(t == c for _, t, _ in expected) for c in range(4)]
  pairs = mistakes.confusions(found)
  assert sum(n for _, n in pairs) == len(found)
  assert pairs[0][1] == max(n for _, n in pairs)
  (truth, answer), most = pairs[0]
  assert most == sum((t, a) == (truth, answer) for _, t, a in expected)


def test_rejection_against_a_loop_over_thresholds():
  rejected, error = rejection.curve(LOGITS, LABELS)
  wrong = LOGITS.argmax(1) != LABELS
  assert rejected[0] == 0
  assert error[0] == wrong.mean()
  ordered = np.sort(LOGITS, 1)
  margin = ordered[:, -1] - ordered[:, -2]
  for threshold in np.quantile(margin, [0.1, 0.35, 0.8]):
    left = margin > threshold
    at = np.argmin(np.abs(rejected - (1 - left.mean())))
    np.testing.assert_allclose(error[at], wrong[left].mean())
  target = error[60:].min()
  need = rejection.needed(rejected, error, target)
  assert error[np.flatnonzero(rejected == need)[0]] <= target
  assert (error[rejected < need] > target).all()
  assert rejection.needed(rejected, error, -1.0) == 1.0


def blob(height=32, width=32):
  rng = np.random.default_rng(0)
  rough = rng.integers(0, 256, (height, width)).astype('f')
  return cv2.GaussianBlur(rough, (0, 0), 2).astype(np.uint8)[None, ..., None]


def test_changes_do_what_they_say():
  image = blob()
  np.testing.assert_array_equal(changes.scale(image, 1.0), image)
  np.testing.assert_array_equal(changes.rotate(image, 0.0), image)
  down = changes.shift(image, 3)
  np.testing.assert_array_equal(down[:, 3:], image[:, :-3])
  assert not down[:, :3].any()
  turned = changes.rotate(image, 90)[0, ..., 0].astype(int)
  assert np.abs(turned - np.rot90(image[0, ..., 0])).max() <= 1
  half = changes.scale(image, 0.5)
  assert not half[:, :7].any()
  assert half[:, 9:23, 9:23].all()


@pytest.mark.parametrize('degrees', [-20, 35])
def test_rotation_equals_scipys(degrees):
  image = blob()
  found = changes.rotate(image, degrees)[0, ..., 0]
  expected = scipy.ndimage.rotate(
    image[0, ..., 0].astype(float), degrees, reshape=False, order=1
  )
  inside = (slice(8, 24),) * 2  # OpenCV rounds positions to 1 / 32 pixel
  assert np.abs(found[inside] - expected[inside]).max() < 4


def test_scaling_equals_scipys():
  image = blob()[0, ..., 0]
  found = changes.scale(image[None, ..., None], 1.5)[0, ..., 0]
  at = (np.arange(32) - 15.5) / 1.5 + 15.5
  expected = scipy.ndimage.map_coordinates(
    image.astype(float), np.meshgrid(at, at, indexing='ij'), order=1
  )
  assert np.abs(found - expected).max() < 4


def test_noise_inverts_the_share_that_is_asked_for():
  image = np.full((4, 100, 100, 1), 10, np.uint8)
  found = changes.noise(image, 0.2)
  assert set(np.unique(found)) == {10, 245}
  assert abs((found == 245).mean() - 0.2) < 0.01
  np.testing.assert_array_equal(changes.noise(image, 0.0), image)


def test_states_come_in_the_order_of_the_network(network):
  images = sources.create('mnist5k', 'test').images[:2]
  states = maps.states(network, images)
  assert list(states) == ['C1', 'S2', 'C3', 'S4', 'C5', 'F6', 'output']
  logits = network.module.apply(network.variables, network.prepare(images))
  np.testing.assert_allclose(states['output'][:, 0, 0], logits, rtol=1e-5)
  only = maps.states(network, images, ('F6',))
  np.testing.assert_allclose(only['F6'], states['F6'], rtol=1e-4)


def test_a_mosaic_has_every_map_in_its_place():
  state = np.arange(2 * 3 * 5.0).reshape(2, 3, 5)
  found = maps.mosaic(state)
  assert found.shape == (5, 11)  # 2 rows of 3 maps with gaps
  np.testing.assert_array_equal(found[:2, 4:7], state[..., 1])
  np.testing.assert_array_equal(found[3:, :3], state[..., 3])
  assert np.isnan(found[2]).all()
  assert np.isnan(found[3:, 8:]).all()
  assert maps.mosaic(np.zeros((4, 4, 300)), most=9).shape == (14, 14)
  units = np.arange(84.0).reshape(1, 1, 84)
  np.testing.assert_array_equal(
    maps.mosaic(units), units.reshape(12, 7)
  )  # as the codes of Figure 3


def confusions_of(classes):
  rng = np.random.default_rng(0)
  counts = rng.poisson(0.4, (classes, classes)).astype(np.int32)
  np.fill_diagonal(counts, rng.integers(50, 99, classes))
  return counts


def test_the_commonest_confusions_are_listed_first():
  counts = confusions_of(12)
  counts[3] = 0  # a class without images
  found = confusion.commonest(counts, 20)
  others = [
    (-counts[t, a], t, a) for t in range(12) for a in range(12) if t != a
  ]
  assert [(-c.times, c.truth, c.answer) for c in found] == sorted(others)[:20]
  assert all(c.images == counts[c.truth].sum() for c in found)
  assert confusion.commonest(np.eye(3, dtype=np.int32), 9) == []


@pytest.mark.parametrize('classes', [10, 100, 1000])
def test_a_confusion_matrix_is_readable(classes):
  """Counts in the cells, then names of all classes, then of some of them."""
  counts = confusions_of(classes)
  names = [f'class {i} $^$' for i in range(classes)]
  figure = drawing.confusion(counts, names, 'title $^$', ['a → b: 1 of $^$'])
  axes, *_ = figure.axes
  written = {t.get_text() for t in axes.texts}
  assert written == (
    {str(c) for c in counts.ravel() if c} if classes == 10 else set()
  )
  step = 20 if classes == 1000 else 1
  for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
    shown = [t.get_text().replace('\\', '') for t in ticks]
    assert shown == names[::step]
    size = ticks[0].get_fontsize()
    span = figure.get_size_inches()[0] * 72 / len(shown)
    assert 6 <= size < span
  drawn = axes.collections if classes == 1000 else axes.images
  number = sum(np.isfinite(d.get_array().filled(np.nan)).sum() for d in drawn)
  assert number == np.count_nonzero(counts)
  if classes == 1000:  # a cell by itself is a third of this
    assert axes.collections[0].get_sizes() >= 2**2
  figure.draw_without_rendering()  # dollars are no formulas


def test_long_names_are_cut_and_short_ones_are_not():
  assert drawing.shortened('tench', 5) == 'tench'
  assert drawing.shortened('goldfish', 5) == 'gold…'
  names = ['a' * 40, 'b' * 40, 'c']
  lines = confusion._title(Mistake(7, 0, 1, 0.987), names, 1.0).split('\n')
  assert len(lines) == 3
  assert max(map(len, lines)) <= drawing.letters(1.0) == 15
  assert lines[2] == '98.7%, no. 7'
  assert confusion._title(Mistake(7, 2, 2, 1), names, 1.0).startswith('c → c\n')
