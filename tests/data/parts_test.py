"""Parts of a data set: which examples, and the same ones everywhere."""

import hashlib
import unicodedata

import numpy as np
import pytest
from photographs import jpeg, make_folder

from data import parts, photos, sources
from data.arrays import ArraySource
from errors import UserError


def chosen_by_hand(labels, names, purpose, number):
  """Returns the numbers of the first `number` of each class, sorted."""
  found = []
  for label in set(labels):
    mine = [i for i, x in enumerate(labels) if x == label]
    mine.sort(key=lambda i: hashlib.sha256(f'{purpose} {names[i]}'.encode())
              .hexdigest())  # fmt: skip
    found += mine[:number]
  return sorted(found)


def images_of(source):
  return source.batch(np.arange(len(source)))['image']


def test_so_many_of_each_class_of_arrays():
  whole = sources.create('mnist5k', 'train')
  draws = []
  for draw in (0, 1):
    few = sources.create('mnist5k', 'train', per_class=15, draw=draw)
    assert few.count_classes().tolist() == [15] * 10
    expected = chosen_by_hand(
      whole.labels.tolist(), range(4000), f'draw {draw}', 15
    )
    batch = few.batch(np.arange(150)[::-1])
    np.testing.assert_array_equal(batch['image'], whole.images[expected[::-1]])
    np.testing.assert_array_equal(batch['label'], whole.labels[expected[::-1]])
    assert few.notes == (
      f'150 of 4,000 images: 15 images of each class, draw {draw}',
    )
    assert few.image_shape == (28, 28, 1)
    draws.append(set(expected))
  assert len(draws[0] & draws[1]) < 10  # of 150; by chance 0.6
  fewer = sources.create('mnist5k', 'train', per_class=2)
  assert {x.tobytes() for x in images_of(fewer)} < {
    whole.images[i].tobytes() for i in draws[0]
  }


def test_what_is_evaluated_stays_whole():
  test = sources.create('mnist5k', 'test', per_class=15, draw=3)
  assert len(test) == 1000


def test_a_file_that_is_added_moves_no_other_one(tmp_path):
  root = make_folder(tmp_path / 'data', train=9)

  def taken():
    few = sources.create('folder', 'train', str(root), per_class=3)
    assert isinstance(few, photos.Photos)
    assert few.count_classes().tolist() == [3, 3, 3]
    return [photo.key for photo in few.read(np.arange(9))]

  names = [f'train/class{c}/{c}_{i}.jpg' for c in range(3) for i in range(9)]
  labels = [int(name[11]) for name in names]
  first = taken()
  assert first == [names[i] for i in chosen_by_hand(labels, names, 'draw 0', 3)]
  (root / 'train' / 'class0' / '0_00.jpg').write_bytes(jpeg(1))
  assert set(first) - set(taken()) <= {first[0], first[1], first[2]}
  assert len(set(first) & set(taken())) >= 8


def test_names_count_in_one_form_of_unicode(tmp_path):
  taken = []
  for form in ('NFC', 'NFD'):
    root = make_folder(tmp_path / form, classes=2, train=1)
    for i in range(12):
      name = unicodedata.normalize(form, f'é{i}.jpg')
      (root / 'train' / 'class0' / name).write_bytes(jpeg(i))
      (root / 'train' / 'class1' / name).write_bytes(jpeg(i))
    few = sources.create('folder', 'train', str(root), per_class=4)
    taken.append(
      [unicodedata.normalize('NFC', p.key) for p in few.read(np.arange(8))]
    )
  assert taken[0] == taken[1]


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'per_class': -1}, 'per_class is -1: at least 0'),
    ({'per_class': 5, 'draw': -2}, 'draw is -2: at least 0'),
    ({'draw': 2}, 'draw is 2: .* set data.options.per_class'),
    ({'per_class': 5}, "per_class is 5, but .* 'b' has 3, 'd' has 4; take at "
     'most 3'),
    ({'per_clas': 5}, "Did you mean 'per_class'"),
  ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named(monkeypatch, options, message):
  labels = np.array([0] * 5 + [1] * 3 + [2] * 6 + [3] * 4)

  def small(split, directory):
    del split, directory
    return ArraySource(np.zeros((18, 4, 4, 1), np.uint8), labels, 'abcd')

  monkeypatch.setitem(sources.SOURCES, 'small', parts.selectable(small))
  with pytest.raises(UserError, match=message) as error:
    sources.create('small', 'train', **options)
  assert '\n' not in str(error.value)


def test_a_class_without_any_image_is_named(monkeypatch):
  def small(split, directory):
    del split, directory
    return ArraySource(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2), 'ab')

  monkeypatch.setitem(sources.SOURCES, 'small', parts.selectable(small))
  with pytest.raises(UserError, match=r"'b' has 0$"):
    sources.create('small', 'train', per_class=1)


def test_a_source_that_knows_no_classes_is_told_what_it_lacks(monkeypatch):
  class Endless:
    def __len__(self):
      return 5

  monkeypatch.setitem(
    sources.SOURCES, 'endless', parts.selectable(lambda split, place: Endless())
  )
  with pytest.raises(UserError, match='read_labels'):
    sources.create('endless', 'train', per_class=1)
