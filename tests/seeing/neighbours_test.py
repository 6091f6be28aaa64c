"""Neighbours against a sort of all distances."""

import numpy as np

from evaluation.features import Batch, Item
from seeing import neighbours
from seeing.neighbours import Nearest, Pixels, Watch

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(50, 2, 3)).astype('f')
QUERIES = RNG.normal(size=(4, 2, 3)).astype('f')
# Few values, so that distances are equal; an image is the same as query 1.
IMAGES = RNG.integers(0, 3, (50, 2, 2, 1)).astype(np.uint8)
SEEN = IMAGES[[3, 10, 11, 12]]


def by_sorting(rows, query, most, own):
  """Returns (distance, number) of the nearest: a full sort of pairs."""
  pairs = [
    (float(np.linalg.norm((row.astype('d') - query).ravel())), number)
    for number, row in enumerate(rows)
    if number != own
  ]
  return sorted(pairs)[:most]


def check(found, queries, rows, own):
  for q, query in enumerate(queries):
    expected = by_sorting(rows, query, 6, own[q])
    assert found.numbers[q].tolist() == [number for _, number in expected]
    distances = [distance for distance, _ in expected]
    np.testing.assert_allclose(found.distances[q], distances, rtol=1e-12)


def in_batches(rows, own, sizes=(7, 30, 1, 12), queries=QUERIES):
  nearest, start = Nearest(queries, 6, own), 0
  for size in sizes:
    numbers = np.arange(start, start + size)
    nearest.add(rows[numbers], numbers)
    start += size
  assert start == len(rows)
  return nearest


def test_the_nearest_are_those_of_a_full_sort():
  own = [-1, 5, -1, 49]
  check(in_batches(FEATURES, own), QUERIES, FEATURES, own)


def test_equal_distances_come_by_number_in_any_batches():
  rows = np.round(FEATURES)
  queries = np.round(QUERIES)
  for sizes in ((50,), (1,) * 50, (7, 30, 1, 12)):
    check(in_batches(rows, [-1] * 4, sizes, queries), queries, rows, [-1] * 4)


def test_near_ones_far_from_zero_are_told_apart():
  """Where the square of the norm would swallow the difference."""
  query = np.full((1, 4), 1000, 'f')
  rows = np.array([query[0] + 3e-3, query[0] + 2e-3, query[0] + 1e-3])
  nearest = Nearest(query, 2, [-1])
  nearest.add(rows, np.arange(3))
  assert nearest.numbers.tolist() == [[2, 1]]


def read(number):
  if number in (4, 20):
    return Item(str(number), ValueError('broken'))
  return Item(str(number), IMAGES[number], number % 7)


def batches(watch):
  """Of eight items each, those that cannot be read left out."""
  for start in range(0, 50, 8):
    items = [watch(i) for i in range(start, min(start + 8, 50))]
    good = [i for i in items if not isinstance(i.view, Exception)]
    rows = FEATURES[[int(i.key) for i in good]]
    yield Batch(
      [i.key for i in good],
      [i.label for i in good],
      {'fc7': rows},
      [(i.key, i.view) for i in items if i not in good],
    )


def test_a_search_passes_over_what_cannot_be_read_and_ranks_by_pixels():
  own = [3, -1, -1, -1]
  pixels = Pixels(SEEN, 50)
  watch = Watch(read, pixels)
  found = neighbours.search(
    batches(watch), 'fc7', QUERIES, watch, pixels, 6, own
  )
  assert [name for name, _ in found.bad] == ['4', '20']
  there = [i for i in range(50) if i not in (4, 20)]
  assert found.labels.tolist() == [
    i % 7 if i in there else -1 for i in range(50)
  ]
  for q in range(4):
    near = by_sorting(FEATURES, QUERIES[q], 50, own[q])
    near = [number for _, number in near if number in there][:6]
    assert found.numbers[q].tolist() == near
    everyone = [
      (distance, number)
      for distance, number in by_sorting(
        IMAGES, SEEN[q].astype('d'), 50, own[q]
      )
      if number in there
    ]
    assert found.by_pixels[q].tolist() == [n for _, n in everyone[:6]]
    distance = {number: d for d, number in everyone}
    assert found.ranks[q].tolist() == [
      1 + sum(d < distance[n] for d, _ in everyone) for n in near
    ]
  assert found.by_pixels[1][0] == 10  # itself, where it is not said to be


def test_images_of_another_size_have_no_place_by_pixels():
  pixels = Pixels(np.zeros((4, 9, 9, 1), np.uint8), 50)
  watch = Watch(read, pixels)
  found = neighbours.search(
    batches(watch), 'fc7', QUERIES, watch, pixels, 6, [-1] * 4
  )
  assert not found.ranks.any()
  assert (found.by_pixels == -1).all()
