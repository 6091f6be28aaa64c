"""Classes of test sets are found among a network's, or refused by name."""

import pathlib

import pytest
import tensorflow_datasets as tfds

from data import classes
from data.imagenet_words import imagenet_ids, imagenet_words
from errors import UserError

IDS = imagenet_ids()
# fast.ai's names of Imagenette's classes, and TFDS's ids of them, in its order.
IMAGENETTE = (
  'tench', 'English springer', 'cassette player', 'chain saw', 'church',
  'French horn', 'garbage truck', 'gas pump', 'golf ball', 'parachute',
)  # fmt: skip


def numbers(here, there=IDS):
  return list(classes.match(here, there, 'W').numbers)


def test_ids_are_those_of_tfds_and_words_go_with_them():
  folder = pathlib.Path(tfds.__file__).parent
  labels = folder / 'datasets' / 'imagenet2012' / 'labels.txt'
  assert list(IDS) == labels.read_text().split()
  assert len(imagenet_words()) == len(set(IDS)) == 1000
  file = folder / 'image_classification' / 'imagenette_labels.txt'
  ids = file.read_text().split()
  assert ids == [IDS[i] for i in numbers(IMAGENETTE)]
  assert numbers(ids) == numbers(IMAGENETTE)


def test_a_part_of_the_classes_is_matched_by_id_or_word_both_ways():
  mixed = [imagenet_words()[i] for i in range(1000)]
  assert numbers(['n01440764', 'n13133613'], mixed) == [0, 998]
  assert numbers(['french_HORN', 'Cardigan', 'cardigan']) == [566, 264, 474]
  assert classes.match(['n01440764'], IDS, 'W').how == 'WordNet id'
  assert classes.match(['tench'], IDS, 'W').how == 'word'
  assert classes.match(['tench'], ['cat', 'tench'], 'W').how == 'name'


def test_numbers_are_places_in_the_order_of_the_ids_not_of_texts():
  folders = sorted(str(i) for i in range(1000))  # as a file system lists them
  found = classes.match(folders, IDS, 'W')
  assert list(found.numbers) == [int(name) for name in folders]
  assert 'number in the order' in found.how
  assert numbers(['002', '10']) == [2, 10]
  backwards = IDS[::-1]  # a network that counts in another order
  assert numbers(['0', '999'], backwards) == [999, 0]
  by_word = sorted(imagenet_words())
  assert by_word[numbers(['0'], by_word)[0]] == 'tench'
  assert numbers(['1', '0'], ['cat', 'dog']) == [1, 0]


def test_numbers_that_are_names_are_no_places():
  """'1' to '10' of a network, as text; a folder '0' may not shift them."""
  own = sorted(str(i) for i in range(1, 11))
  assert numbers(['10', '2'], own) == [1, 2]
  with pytest.raises(UserError, match="'0' is a class of the data"):
    numbers(['0', '1'], own)


def test_names_match_in_another_spelling_where_it_is_one_only():
  assert numbers(['t_shirt_top'], ['Coat', 'T-shirt/top']) == [1]
  with pytest.raises(UserError, match="'CAT' is a class of the data"):
    numbers(['CAT'], ['cat', 'Cat'])


@pytest.mark.parametrize(
  ('here', 'words'),
  [
    (['zebra', 'zebraa'], "'zebraa' is a class .* Did you mean 'zebra'"),
    (['qqqq', 'n99999999', 'tench'], r"'qqqq' \(and 1 more\) is a class"),
    (['1000'], "'1000' is a class of the data, but none of the 1,000 of W"),
    (['tench', 'Tench'], "'tench' and 'Tench' of the data are both class"),
    (['7', '007'], "'7' and '007' of the data are both class"),
    (['9' * 5000], 'is a class of the data'),
  ],
)
def test_what_cannot_be_matched_is_refused_by_name(here, words):
  with pytest.raises(UserError, match=words) as error:
    numbers(here)
  assert '\n' not in str(error.value)
  assert 'Known' not in str(error.value)  # a thousand names
