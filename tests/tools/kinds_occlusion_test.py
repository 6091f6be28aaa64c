"""Occlusion, invariance and correspondence as commands; what is refused."""

import json

import cv2
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT

from configs import lenet5
from errors import UserError
from tools import visualize
from tools.kinds import parts

NETWORK = ROOT / 'published' / 'lenet5_modern_mnist.npz'
ARG = 'variant=lenet5_modern,data=mnist5k'


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (kind, *files, **flags) -> (picture, what is printed)."""
  flags.FLAGS.mark_as_parsed()
  out = tmp_path / 'out.png'

  def call(*arguments, network=NETWORK, **more):
    config = lenet5.get_config(ARG)
    config.init_from = str(network or '')
    with flagsaver.flagsaver(**{'out': str(out), **more}):
      visualize.main(config, list(map(str, arguments)))
    return cv2.imread(str(out)), capsys.readouterr().out.splitlines()

  return call


def test_occlusion_of_a_digit_and_of_a_photograph(draw, tmp_path):
  picture, said = draw('occlusion', examples=['300'], square=8, stride=8)
  assert said[0] == (
    'a square of 8x8 pixels of 32x32 in 4x4 places, 8 apart or less'
  )
  assert said[1].startswith('300: ')
  assert ' of C3 ' in said[1]
  places = said[1].split('by place: ')[1]
  assert sum(int(word.split()[-1]) for word in places.split(',')) == 16
  assert picture.std() > 20
  file = tmp_path / 'a.jpg'
  file.write_bytes(photographs.jpeg(0))
  said = draw('occlusion', file, layer=['C1'], square=16, stride=16)[1]
  assert said[1].startswith('a.jpg: ')
  assert ' of C1 ' in said[1]


def test_invariance_of_one_image_of_each_of_five_classes(draw):
  picture, said = draw('invariance')
  assert [line for line in said if line[0] != ' '][:3] == [
    'shift -9, -5, 0, 5, 9',
    'scale 1, 1.2, 1.4, 1.6, 1.8',
    'rotate 0, 90, 180, 270, 360',
  ]
  names = [line.split('(')[1][0] for line in said[1:6]]
  assert names == ['0', '1', '2', '3', '4']
  assert all('; F6 ' in line and ': C1 ' in line for line in said[1:6])
  assert picture.std() > 20


def test_correspondence_of_boxes_typed_and_in_a_file(draw, tmp_path):
  typed = ['top=4,8,8,16', 'b=20,8,8,16']
  picture, said = draw(
    'correspondence', parts=typed, examples=['0', '1'], number=2
  )
  assert '2 images, 1 pairs, 2 draws' in said[0]
  assert [line.split()[0] for line in said[1:5]] == [
    'part', 'top', 'b', 'random',
  ]  # fmt: skip
  assert picture.std() > 20
  file = tmp_path / 'parts.json'
  boxes = {'top': [4, 8, 8, 16], 'b': [20, 8, 8, 16]}
  file.write_text(json.dumps({'0': boxes, '1': boxes}))
  again = draw('correspondence', parts=[str(file)], number=2)[1]
  assert again[:4] == said[:4]  # the file names the images


TWO = {'examples': ['0', '1']}


@pytest.mark.parametrize(
  ('kind', 'more', 'words'),
  [
    ('occlusion', {'layer': ['C2']}, "--layer: no layer 'C2'. Did you mean S2"),
    ('occlusion', {'layer': ['C1', 'C3']}, 'C1,C3: occlusion looks at one'),
    ('occlusion', {'square': 0}, '--square is 0: at least 1 pixel'),
    ('occlusion', {'stride': -1}, '--stride is -1: at least 1 pixel'),
    ('occlusion', {'square': 40}, '--square: a square of 40 pixels does not'),
    ('occlusion', {'examples': ['1'] * 13}, '13 images: at most 12 have room'),
    ('occlusion', {'network': None}, '--workdir is missing, or'),
    ('invariance', {'layer': ['C1']}, '--layer=C1: two layers, as conv1,fc7'),
    ('invariance', {'layer': ['C1', 'f6']}, "no layer 'f6'"),
    ('invariance', {'examples': ['1'] * 11}, '11 images: lines of at most 10'),
    ('correspondence', TWO, '--parts is missing: NAME=TOP,LEFT'),
    ('correspondence', {'parts': ['a=1,1,2,2']}, '--examples=3,18, or two'),
    (
      'correspondence',
      {'parts': ['a=1,1,2,2'], 'examples': ['1']},
      'images are compared in pairs: --examples',
    ),
    ('correspondence', {'parts': ['a=1,1,2'], **TWO}, 'is four whole numbers'),
    ('correspondence', {'parts': ['a=1,1,0,2'], **TWO}, 'at least 1'),
    (
      'correspondence',
      {'parts': ['a=1,1,b,2'], **TWO},
      "'a=1,1,b,2' is not NAME",
    ),
    ('correspondence', {'parts': ['a'], **TWO}, "'a' is not NAME=TOP"),
    (
      'correspondence',
      {'parts': ['random=1,1,2,2'], **TWO},
      "'random' is what is drawn at random",
    ),
    (
      'correspondence',
      {'parts': ['a=1,1,2,2', 'a=2,1,2,2'], **TWO},
      "'a' is there already",
    ),
    (
      'correspondence',
      {'parts': ['a=30,1,3,2'], **TWO},
      "'a' of '0' ends at 33,3, outside of the 32x32 pixels",
    ),
    ('correspondence', {'parts': ['no.json'], **TWO}, 'no.json cannot be read'),
    (
      'correspondence',
      {'parts': ['a=1,1,2,2'], 'number': 0, **TWO},
      '--number is 0: at least 1',
    ),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, kind, more, words):
  with pytest.raises(UserError) as error:
    draw(kind, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    ('{"0": {"eye": [1, 2, 3]}}', "'eye' of '0': a box is four whole numbers"),
    ('{"0": {"eye": [1, 2, 3, true]}}', 'a box is four whole numbers'),
    ('{"0": [1, 2, 3, 4]}', "'0' has no {NAME: box}"),
    ('[]', '{image: {NAME: box}} is expected'),
    ('{', 'cannot be read'),
  ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, words):
  file = tmp_path / 'a.json'
  file.write_text(content)
  with pytest.raises(UserError) as error:
    parts.read([str(file)])
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_boxes_of_a_file_are_found_by_the_name_of_an_image(tmp_path):
  file = tmp_path / 'a.json'
  file.write_text(
    '{"a.jpg": {"eye": [1, 2, 3, 4]}, "b.jpg": {"eye": [5, 6, 1, 1]}}'
  )
  found = parts.read([str(file), 'all=0,0,2,2'])
  assert parts.examples(found) == []
  boxes = parts.of_images(found, ['b.jpg', 'x/a.jpg'], (8, 9, 3))
  assert boxes == {
    'eye': [(5, 6, 1, 1), (1, 2, 3, 4)],
    'all': [(0, 0, 2, 2)] * 2,
  }
  with pytest.raises(UserError, match=r"'eye' for image 'x/aa.jpg'.*'a.jpg'"):
    parts.of_images(found, ['x/aa.jpg'], (8, 9, 3))
