"""check_data: what it says of data that are whole, odd or damaged."""

import cv2
import numpy as np
import pytest
from conftest import make_config
from photographs import encode, jpeg, make_folder, pixels

import experiment
from errors import UserError
from tools import check_data


@pytest.fixture
def config(tmp_path):
  make_folder(tmp_path / 'data')
  return make_config(
    data__name='folder',
    data__dir=str(tmp_path / 'data'),
    data__image_size=70,
    data__geometry={'name': 'scale_jitter', 'smallest': 70, 'largest': 90},
    data__eval_geometry={'name': 'center', 'shorter_side': 80},
  )


def test_says_what_is_there_and_what_is_missing(config, tmp_path, capsys):
  train = tmp_path / 'data' / 'train'
  (train / 'class2' / 'more.jpg').write_bytes(jpeg(1))
  (train / 'class3').mkdir()
  (train / 'class3' / 'photo.webp').write_bytes(encode(pixels(2), 'WEBP'))
  (train / 'class3' / 'photo.heic').write_bytes(b'')
  check_data.check(config, '')
  said = capsys.readouterr().out
  assert 'train 14 images, 4 classes, 70x70x3; 14 decoded' in said
  assert '      left out 1 file: 1 .heic\n' in said
  assert 'smallest class class3 (1), largest class2 (5)' in said
  assert 'test  6 images' in said
  assert '      no photographs of 1 of 4 classes: class3\n' in said


def test_names_a_damaged_photograph(config, tmp_path):
  file = tmp_path / 'data/val/class1/1_1.jpg'
  file.write_bytes(file.read_bytes()[:500])
  with pytest.raises(UserError, match=r'val/class1/1_1.jpg \(index 3\)'):
    check_data.check(config, '')


def test_all_names_every_damaged_photograph_of_both_splits(
  config, tmp_path, capsys
):
  config.data.on_error, config.data.max_errors = 'skip', 5
  for name in (
    'train/class1/1_0.jpg',
    'val/class0/0_0.jpg',
    'val/class1/1_1.jpg',
  ):
    file = tmp_path / 'data' / name
    file.write_bytes(file.read_bytes()[:500])
  with pytest.raises(UserError, match='3 images cannot be decoded: mend'):
    check_data.check_all(config)
  said = capsys.readouterr().out.splitlines()
  assert said[0] == 'train 12 images read, 1 bad'
  assert said[1].startswith('      train/class1/1_0.jpg (index 4) cannot be')
  assert said[2] == 'test  6 images read, 2 bad'
  assert [line.split()[0] for line in said[3:]] == [
    'val/class0/0_0.jpg', 'val/class1/1_1.jpg',
  ]  # fmt: skip
  assert not any('Mend' in line for line in said)


def test_names_a_photograph_of_a_shape_that_none_has(config, tmp_path):
  line = encode(np.zeros((1, 4000, 3), np.uint8), 'PNG')
  (tmp_path / 'data/train/class1/line.png').write_bytes(line)
  with pytest.raises(UserError, match=r'class1/line.png .* 4000 x 1 pixels'):
    check_data.check(config, '')


def test_the_sheet_shows_the_crops(config, tmp_path):
  out = tmp_path / 'sheet.png'
  check_data.check(config, str(out))
  got = cv2.imread(str(out))[..., ::-1]
  assert got.shape == (2 * 16 + 4 * 70, 8 * 70, 3)
  train = experiment.create_source(config, 'train')
  columns = np.arange(8) * 12 // 8
  for row in range(3):
    crops = train.batch(columns, columns + 12 * row)['image']
    shown = got[16 + 70 * row :][:70]
    np.testing.assert_array_equal(shown, np.concatenate(crops, 1))
  test = experiment.create_source(config, 'test').batch(np.arange(6))['image']
  last = got[-70:]
  np.testing.assert_array_equal(last[:, :420], np.concatenate(test, 1))
  assert (last[:, 420:] == 255).all()  # six photographs, eight columns
  assert (got[:16] < 100).any()  # names of classes
  with pytest.raises(UserError, match='cannot be written'):
    check_data.check(config, str(tmp_path / 'no' / 'sheet.png'))
