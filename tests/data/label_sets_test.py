"""ReaL's sets of labels."""

import json

import numpy as np
import pytest

from data import label_sets
from data.photos import Photo
from errors import UserError


class Album:
  """`data.photos.Photos` that are known by reading only."""

  num_classes, class_names = 1, ('none',)
  notes = ('a note',)

  def __init__(self, names):
    self.names = names

  def __len__(self):
    return len(self.names)

  def read(self, indices):
    return [Photo(b'%d' % i, 0, self.names[i]) for i in indices]

  def count_classes(self):
    return None


def names_of(*numbers):
  return [f'val/x/ILSVRC2012_val_{n:08d}.JPEG' for n in numbers]


def labelled(tmp_path, sets, names, order=None):
  file = tmp_path / 'real.json'
  file.write_text(json.dumps(sets))
  order = list(order or range(1000))
  return label_sets.Labelled(Album(names), str(file), order, ['c'] * 1000)


def test_each_image_has_the_labels_of_its_number(tmp_path):
  sets = [[7], [], [9, 3], [1]]
  found = labelled(tmp_path, sets, names_of(3, 2, 1), range(999, -1, -1))
  assert len(found) == 2
  assert found.label_sets == [[990, 996], [992]]
  assert [p.encoded for p in found.read(np.array([1, 0]))] == [b'2', b'0']
  assert [p.label for p in found.read(np.array([0, 1]))] == [990, 992]
  assert found.keys(np.array([1, 0])) == names_of(1, 3)
  assert found.notes[0] == 'a note'
  assert '2 of 3 images have any, 1 several' in found.notes[1]


def test_of_many_images_all_are_asked_for_their_names(tmp_path):
  order = [int(n) for n in np.random.default_rng(0).permutation(150) + 1]
  found = labelled(tmp_path, [[i] for i in range(150)], names_of(*order))
  assert found.label_sets == [[n - 1] for n in order]


@pytest.mark.parametrize(
  ('sets', 'names', 'words'),
  [
    ({'a': [1]}, names_of(1), 'is not a list of lists'),
    ([[1], [1000]], names_of(1), r'entry 2 is \[1000\]'),
    ([[1], [True]], names_of(1), r'entry 2 is \[True\]'),
    ([[1], 5], names_of(1), 'entry 2 is 5'),
    ([[1]], names_of(2), "ILSVRC2012_val_00000002.JPEG' has none of them"),
    ([[1]], names_of(0), "ILSVRC2012_val_00000000.JPEG' has none of them"),
    ([[1]], ['cat.jpg'], "'cat.jpg' has none of them"),
    ([[1]], names_of(1, 1), 'have one number; each image counts once'),
    ([[]], names_of(1), 'no image has a label'),
  ],
)
def test_what_is_no_set_of_labels_is_refused(tmp_path, sets, names, words):
  with pytest.raises(UserError, match=words) as error:
    labelled(tmp_path, sets, names)
  assert str(error.value).startswith("eval.label_sets '")
  assert '\n' not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
  (tmp_path / 'cut.json').write_text('[[1], [')
  for name in ('cut.json', 'gone.json'):
    with pytest.raises(UserError, match=rf'{name}. cannot be read'):
      label_sets.read(str(tmp_path / name))


def test_the_label_of_the_highest_score_stands_for_a_set():
  rng = np.random.default_rng(0)
  scores = rng.integers(0, 4, (200, 8)).astype(np.float32)  # with many ties
  sets = [
    sorted(rng.choice(8, rng.integers(1, 5), replace=False).tolist())
    for _ in scores
  ]
  found = label_sets.best_of(scores, sets)
  assert found.dtype == np.int32
  for row, labels, label in zip(scores, sets, found):
    ranking = sorted(range(8), key=lambda c: (-row[c], c))
    assert label == next(c for c in ranking if c in labels)
