"""Curves of a page: which points, which axes."""

import numpy as np
import pages
import pytest

from seeing.page import plots


def told(lines, **more):
  text = plots.plot(plots.Axes('a', 'A', 'step', lines, **more))
  return text, pages.Page(text).told[0]


def test_of_many_points_the_ends_and_the_extremes_stay():
  rng = np.random.default_rng(0)
  x, y = np.arange(50_000), rng.normal(size=50_000)
  y[[123, 40_001]] = 99, -99
  kept_x, kept_y = plots.thinned(x, y, 400)
  assert len(kept_x) <= 400
  assert (kept_x[0], kept_x[-1]) == (0, 49_999)
  assert {123, 40_001} <= set(kept_x)
  np.testing.assert_array_equal(kept_y, y[kept_x])
  assert kept_x == sorted(kept_x)
  assert plots.thinned([3, 4], [1, 2], 400) == ([3, 4], [1, 2])


@pytest.mark.parametrize(
  ('low', 'high', 'expected'),
  [
    (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    (0, 60, [0, 20, 40, 60]),
    (0.013, 0.021, [0.014, 0.016, 0.018, 0.02]),
    (-3, 4, [-2, 0, 2, 4]),
    (0, 1.2e6, [0, 5e5, 1e6]),
  ],
)
def test_ticks_are_round(low, high, expected):
  assert plots.ticks(low, high, 5) == expected


def test_a_fall_from_the_height_of_a_guess_is_cut_off():
  x = list(range(100))
  falling = [1.0] * 5 + [0.1] * 95
  text, found = told(
    [plots.Line('a', x, falling, False)], percent=True, falls=True
  )
  assert found['y'][:2] == pytest.approx([0, 0.16])
  assert 'Values above 16% are cut off.' in text
  assert max(found['lines'][0]['y']) == 1.0  # still there to point at
  text, found = told([plots.Line('a', x, [0.5] * 100, False)], falls=True)
  assert found['y'][:2] == pytest.approx([0, 0.525])
  assert 'cut off' not in text


def test_rates_far_apart_are_drawn_by_their_logarithm():
  line = plots.Line('rate', [0, 10, 20], [0.1, 0.01, 0.001], False)
  assert told([line], log=True)[1]['log']
  assert not told([line])[1]['log']
  assert not told([line._replace(y=[0.1, 0.1, 0.05])], log=True)[1]['log']
  assert not told([line._replace(y=[0.1, 0.0, 0.05])], log=True)[1]['log']


@pytest.mark.parametrize('y', [[0.0], [0.0, 0.0], [3.0, 3.0], [-2.0, -2.0]])
def test_constant_curves_and_single_points_are_drawn(y):
  x = [5, 9][: len(y)]
  text, found = told([plots.Line('a', x, y, True)])
  assert found['y'][0] < found['y'][1]
  assert text.count('<circle') == len(y)


def test_nothing_is_drawn_of_nothing():
  empty = plots.Line('a', [], [], True)
  assert plots.plot(plots.Axes('a', 'A', 'step', [empty])) == ''
