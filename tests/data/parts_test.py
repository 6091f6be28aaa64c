"""Parts of a data set: which examples, and the same ones everywhere."""

import hashlib
import shutil
import unicodedata

import numpy as np
import pytest
from idx import make_mnist
from photographs import jpeg, make_folder

import experiment
from configs import lenet5, resnet
from data import parts, photos, sources
from data.arrays import ArraySource
from errors import UserError
from evaluation import exact

# Of mnist5k, holdout=20: two of each digit.
HELD_OUT = [
  101, 210, 485, 713, 848, 908, 1287, 1350, 1656, 1680,
  2020, 2059, 2429, 2629, 3056, 3122, 3271, 3374, 3775, 3931,
]  # fmt: skip


def chosen_by_hand(labels, names, purpose, number):
  """Returns the first examples of each class, `number` or so many, sorted."""
  found = []
  for label in set(labels):
    wanted = number[label] if isinstance(number, list) else number
    mine = [i for i, x in enumerate(labels) if x == label]
    mine.sort(key=lambda i: hashlib.sha256(f'{purpose} {names[i]}'.encode())
              .hexdigest())  # fmt: skip
    found += mine[:wanted]
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
    assert photos.keys(few, np.arange(150)) == [str(i) for i in expected]
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
    assert photos.keys(few, np.arange(9)[::-1]) == [
      photo.key for photo in few.read(np.arange(9)[::-1])
    ]
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


@pytest.mark.parametrize('number', [1, 1000, 1234, 3999 - 9])
def test_a_holdout_is_stratified_and_disjoint(number):
  whole = sources.create('mnist5k', 'train')
  rest, held_out = (
    sources.create('mnist5k', split, holdout=number)
    for split in ('train', 'test')
  )
  assert len(held_out) == number
  counts = held_out.count_classes()
  assert np.abs(counts - number / 10).max() < 1
  assert (rest.count_classes() == 400 - counts).all()
  images = [x.tobytes() for s in (rest, held_out) for x in images_of(s)]
  assert sorted(images) == sorted(x.tobytes() for x in whole.images)
  by_hand = chosen_by_hand(
    whole.labels.tolist(), range(4000), 'holdout', counts.tolist()
  )
  np.testing.assert_array_equal(images_of(held_out), whole.images[by_hand])


def test_a_holdout_is_what_it_was():
  """Written down, so that no version of anything may change it."""
  held_out = sources.create('mnist5k', 'test', holdout=20)
  assert held_out.notes == (
    '20 of 4,000 images: held out of training, each class in proportion',
  )
  whole = sources.create('mnist5k', 'train').images
  numbers = [
    int(np.flatnonzero((whole == image).all((1, 2, 3)))[0])
    for image in images_of(held_out)
  ]
  assert numbers == HELD_OUT


def test_few_of_each_are_of_what_is_not_held_out():
  rest, held_out = (
    sources.create('mnist5k', split, holdout=400, per_class=360)
    for split in ('train', 'test')
  )
  assert rest.count_classes().tolist() == [360] * 10
  assert held_out.count_classes().tolist() == [40] * 10
  images = {x.tobytes() for s in (rest, held_out) for x in images_of(s)}
  assert len(images) == 4000
  assert rest.notes == (
    '3,600 of 4,000 images: 360 images of each class, draw 0; 400 are held out',
  )
  few = sources.create('mnist5k', 'train', holdout=400, per_class=3)
  labels = sources.create('mnist5k', 'train').labels.tolist()
  gone = set(chosen_by_hand(labels, range(4000), 'holdout', 40))
  left = [i for i in range(4000) if i not in gone]
  by_hand = chosen_by_hand([labels[i] for i in left], left, 'draw 0', 3)
  whole = sources.create('mnist5k', 'train').images
  np.testing.assert_array_equal(
    images_of(few), whole[[left[i] for i in by_hand]]
  )
  with pytest.raises(UserError, match=r"'0' has 360, .* at most 360"):
    sources.create('mnist5k', 'train', holdout=400, per_class=361)


def uneven(monkeypatch, counts):
  """Makes a data set 'small' with so many images of each class."""
  labels = np.repeat(np.arange(len(counts)), counts)

  def small(split, directory):
    del directory
    names = [chr(ord('a') + i) for i in range(len(counts))]
    images = np.zeros((len(labels), 4, 4, 1), np.uint8)
    assert split == 'train'
    return ArraySource(images, labels, names)

  monkeypatch.setitem(sources.SOURCES, 'small', parts.selectable(small))


@pytest.mark.parametrize(
  ('counts', 'number', 'expected'),
  [
    ((6, 3, 1), 5, (3, 2, 0)),  # 3, 1.5, 0.5: the last of a class stays
    ((7, 2, 1), 3, (2, 1, 0)),  # 2.1, 0.6, 0.3
    ((5, 5, 5), 4, (2, 1, 1)),  # equal remainders: in the order of classes
    ((9, 1), 8, (8, 0)),  # 7.2, 0.8
    ((4, 0, 4), 4, (2, 0, 2)),
  ],
)
def test_uneven_classes_are_held_out_in_proportion(
  monkeypatch, counts, number, expected
):
  uneven(monkeypatch, counts)
  held_out = sources.create('small', 'test', holdout=number)
  assert tuple(held_out.count_classes()) == expected
  without = [c for c, n, m in zip('abc', counts, expected) if n and not m]
  assert held_out.notes[0].partition('; ')[2] == (
    f'none of {", ".join(without)}' if without else ''
  )


def test_of_many_equal_classes_the_first_give_one_more(monkeypatch):
  counts = [5, 4, 3] * 30
  uneven(monkeypatch, counts)
  held_out = sources.create('small', 'test', holdout=100)  # of 360
  # 1.39, 1.11 and 0.83: 60 whole ones, 30 for the third, 10 for the first.
  expected = [2, 1, 1] * 10 + [1, 1, 1] * 20
  assert held_out.count_classes().tolist() == expected


@pytest.mark.parametrize(('counts', 'number'), [((9, 1), 9), ((2, 2), 4),
                                                ((2, 2), 3)])  # fmt: skip
def test_each_class_keeps_one_to_train_on(monkeypatch, counts, number):
  uneven(monkeypatch, counts)
  with pytest.raises(UserError, match='each class must keep one'):
    sources.create('small', 'train', holdout=number)


def test_photographs_are_held_out_of_a_folder_without_another(tmp_path):
  root = make_folder(tmp_path / 'data', train=6)
  shutil.rmtree(root / 'val')
  config = resnet.get_config('data=folder,smoke')
  config.data.update(dir=str(root), image_size=64, options={'holdout': 6})
  rest, held_out = (
    experiment.create_source(config, split) for split in ('train', 'test')
  )
  assert held_out.count_classes().tolist() == [2, 2, 2]
  keys = [p.key for s in (rest, held_out) for p in s.photos.read(range(len(s)))]
  assert len(set(keys)) == 18
  assert all(key.startswith('train/') for key in keys)
  # Evaluated as test images are: not at random.
  again = experiment.create_source(config, 'test')
  np.testing.assert_array_equal(images_of(held_out), images_of(again))
  config.eval.split = 'test'
  with pytest.raises(UserError, match='has no val'):
    experiment.create_source(config, 'test')


@pytest.mark.parametrize('options', [{'holdout': 9}, {'held_out': 9}])
def test_the_test_set_of_a_run_that_holds_images_out(tmp_path, options):
  make_mnist(tmp_path)
  config = lenet5.get_config('data=mnist')
  config.data.update(dir=str(tmp_path), options=options)
  for split, number, name in (
    ('', 9, 'held out'), ('holdout', 9, 'held out'), ('test', 20, 'test'),
  ):  # fmt: skip
    config.eval.split = split
    assert len(experiment.create_source(config, 'train')) == 21
    assert len(experiment.create_source(config, 'test')) == number
    assert exact.split_name(config) == name


@pytest.mark.parametrize(
  ('split', 'message'),
  [
    ('tset', "eval.split 'tset' is unknown. Did you mean 'test'"),
    ('val', "'val' is unknown. Known: holdout, test"),
    ('holdout', 'no images are held out; data.options.holdout says'),
  ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_read(
  split, message
):
  config = lenet5.get_config('data=mnist')
  config.data.dir, config.eval.split = '/no/such', split
  with pytest.raises(UserError, match=message):
    experiment.create_source(config, 'train')


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'per_class': -1}, 'per_class is -1: at least 0'),
    ({'per_class': 5, 'draw': -2}, 'draw is -2: at least 0'),
    ({'holdout': -5}, 'holdout is -5: at least 0'),
    ({'draw': 2}, 'draw is 2: .* set data.options.per_class'),
    ({'per_class': 5}, "per_class is 5, but .* 'b' has 3, 'd' has 4; take at "
     'most 3'),
    ({'per_clas': 5}, "Did you mean 'per_class'"),
  ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named(monkeypatch, options, message):
  uneven(monkeypatch, (5, 3, 6, 4))
  with pytest.raises(UserError, match=message) as error:
    sources.create('small', 'train', **options)
  assert '\n' not in str(error.value)


def test_a_class_without_any_image_is_named(monkeypatch):
  uneven(monkeypatch, (2, 0))
  with pytest.raises(UserError, match=r"'b' has 0$"):
    sources.create('small', 'train', per_class=1)


def test_two_ways_to_hold_out_are_refused():
  with pytest.raises(
    UserError, match=r'holdout is 5 and .*held_out 4: give one'
  ):
    sources.create('mnist', 'train', '/no/such', holdout=5, held_out=4)


def test_an_example_without_a_class_is_named(monkeypatch):
  class Unlabelled:
    num_classes = 2

    def __len__(self):
      return 3

    def read_labels(self):
      return np.array([0, 1, -1])

  monkeypatch.setitem(
    sources.SOURCES, 'none', parts.selectable(lambda split, place: Unlabelled())
  )
  with pytest.raises(UserError, match='label -1 of example 2 is not in'):
    sources.create('none', 'train', holdout=1)


def test_a_source_that_knows_no_classes_is_told_what_it_lacks(monkeypatch):
  class Endless:
    def __len__(self):
      return 5

  monkeypatch.setitem(
    sources.SOURCES, 'endless', parts.selectable(lambda split, place: Endless())
  )
  with pytest.raises(UserError, match='read_labels'):
    sources.create('endless', 'train', per_class=1)
