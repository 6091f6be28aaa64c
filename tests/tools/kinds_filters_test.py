"""Filters, predictions, neighbours, moving maps and mistakes, as commands."""

import re

import cv2
import numpy as np
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT, random_variables
from PIL import Image

import zoo
from configs import alexnet, lenet5
from data import sources
from errors import UserError
from tools import visualize
from zoo import weights

NETWORK = ROOT / 'published' / 'lenet5_mnist.npz'


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (kind, *files, **flags) -> (picture, lines that are printed)."""
  flags.FLAGS.mark_as_parsed()

  def call(*arguments, config=None, out='out.png', **more):
    if config is None:
      config = lenet5.get_config('optimizer=sdlm,data=mnist5k')
      config.init_from = str(NETWORK)
    out = str(tmp_path / out)
    with flagsaver.flagsaver(**{'out': out, **more}):
      visualize.main(config, list(map(str, arguments)))
    return cv2.imread(out), capsys.readouterr().out.splitlines()

  return call


@pytest.fixture(scope='module')
def narrow(tmp_path_factory):
  """Returns the config of an AlexNet of a folder of small photographs."""
  place = tmp_path_factory.mktemp('narrow')
  photographs.make_folder(place / 'data')
  wide = photographs.jpeg(7, 90, 60)  # photographs are of many sizes
  (place / 'data' / 'val' / 'class1' / '1_1.jpg').write_bytes(wide)
  config = alexnet.get_config('data=folder,smoke')
  config.update_from_flattened_dict(
    {
      'data.dir': str(place / 'data'),
      'data.image_size': 48,
      'data.eval_geometry.shorter_side': 52,
      'model.width': 0.1,
      'model.head': 'gap',
      'init_from': str(place / 'a.npz'),
    }
  )
  fields = {k: v for k, v in config.model.items() if k != 'name'}
  module = zoo.create('alexnet', num_classes=3, **fields)
  weights.save(config.init_from, random_variables(module, (48, 48, 3)))
  return config


def test_filters_say_what_they_show_and_two_towers_lie_apart(draw, narrow):
  picture, said = draw('filters')
  assert said[0] == 'C1: 6 kernels of 5x5x1'
  assert said[1].startswith('RMS ')
  assert 'colour' not in said[2]
  assert (np.ptp(picture, -1) == 0).all()
  picture, said = draw('filters', config=narrow)
  assert said[0] == 'conv1: 10 kernels of 11x11x3, 2 towers'
  assert said[2].startswith('colourfulness of tower 1, 2: 0.6')
  assert (np.ptp(picture, -1) > 0).mean() > 0.3
  alone, _ = draw('filters', config=narrow, standardize=True)
  assert alone.shape == picture.shape
  assert (alone != picture).any()


def test_predictions_of_numbers_of_a_draw_and_of_files(draw, tmp_path):
  source = sources.create('mnist5k', 'test')
  _, said = draw('predictions', examples=['0', '700'])
  for line, number in zip(said, (0, 700)):
    label = source.labels[number]
    assert line.startswith(f'{number} ({label}): {label} 9')
    assert len(line.split(', ')) == 5
  assert said[2] == (
    'the label is the answer in 2 of 2, among the 5 most probable in 2'
  )
  _, said = draw('predictions', number=3, seed=1)
  assert len(said) == 5
  assert said != draw('predictions', number=3)[1]
  file = tmp_path / 'seven.png'
  image = np.repeat(source.images[700], 3, -1)
  file.write_bytes(photographs.encode(image, 'PNG'))
  _, said = draw('predictions', file)
  assert len(said) == 2
  assert said[0].startswith(f'{file}: {source.labels[700]} 9')


def test_fewer_classes_than_five_have_fewer_bars(draw, narrow):
  _, said = draw('predictions', config=narrow, number=99)
  assert len(said) == 6 + 2
  assert all(line.count('%') == 3 for line in said[:6])
  assert 'among the 3 most probable in 6' in said[6]


def test_neighbours_are_of_the_same_class_and_far_by_pixels(draw):
  _, said = draw('neighbours', number=2, nearest=3)
  assert len(said) == 5
  for line in said[:2]:
    assert line.count('place ') == 3
  assert said[2].startswith('the 4,000 train images by F6: ')
  assert said[2].split(': ')[1].startswith('6 of 6 found are of the same class')
  _, said = draw('neighbours', examples=['5'], split='test', layer=['C3'])
  assert said[1].startswith('the 1,000 test images by C3: ')
  assert '(no. 5, ' not in said[0]


def test_neighbours_of_photographs_and_of_files(draw, narrow):
  _, said = draw('neighbours', config=narrow, examples=['0'])
  # The first two of a class are the same in both parts of this folder.
  same = r'class0 \(no. 0, .*e-0\d, place 1 by pixels\), class'
  assert re.match(rf'0 \(class0\): {same}', said[0])
  file = f'{narrow.data.dir}/val/class1/1_0.jpg'
  _, said = draw('neighbours', file, config=narrow)
  assert said[0].startswith(f'{file}: class1 (no. 4, ')
  assert said[0].split(', ')[2].startswith('place 1 by pixels)')
  assert said[1] == 'the 12 train images by fc7'
  with pytest.raises(UserError, match='test split has 6 images: too few for'):
    draw('neighbours', config=narrow, split='test')


def test_mistakes_of_photographs_the_most_confident_first(draw, narrow):
  _, said = draw('mistakes', config=narrow)
  wrong = int(said[0].split()[0])
  assert 1 < wrong <= 6
  numbers = [int(n) for n in said[3].removeprefix('numbers: ').split(', ')]
  assert numbers == sorted(numbers)
  assert len(numbers) == wrong
  _, said = draw('mistakes', config=narrow, number=2)
  assert said[0].startswith(f'{wrong} of 6 wrong')
  assert said[3].startswith('numbers of the 2 most confident, the most conf')
  few = [int(n) for n in said[3].split('%): ')[1].split(', ')]
  _, said = draw('predictions', config=narrow, examples=list(map(str, numbers)))
  sure = {
    int(line.split()[0]): float(line.split('%')[0].split()[-1])
    for line in said[:wrong]
  }
  assert [sure[n] for n in few] == sorted(sure.values(), reverse=True)[:2]
  assert 'rejected for an error' in draw('rejection', config=narrow)[1][0]


def test_a_moving_image_is_a_small_gif(draw, tmp_path):
  _, said = draw(
    'maps', out='a.gif', changes=['shift=-4..4', 'scale=1..0.5'], number=3
  )
  titles = [line.split(':')[0] for line in said[:-1]]
  amounts = ('shift=-4', 'shift=0', 'shift=4', 'shift=0')
  assert titles[:4] == [f'0, {a}' for a in amounts]
  assert titles[5] == '0, scale=0.75'
  with Image.open(tmp_path / 'a.gif') as gif:
    assert gif.n_frames == 8
    frames = []
    for i in range(8):
      gif.seek(i)
      frames.append(np.asarray(gif.convert('RGB')))
  assert (frames[0] != frames[1]).any()
  assert (frames[0] == 255).mean() > 0.3  # white is white
  assert (tmp_path / 'a.gif').stat().st_size < 8 * 15_000


@pytest.mark.parametrize(
  ('kind', 'more', 'words'),
  [
    ('filters', {'layer': ['C3']}, '--layer=C3: filters are those of C1'),
    ('filters', {'layer': ['c1']}, "no layer 'c1'. Did you mean C1"),
    ('predictions', {'number': 0}, '--number is 0: at least 1'),
    ('predictions', {'examples': ['x']}, "--examples 'x': numbers from 0"),
    ('neighbours', {'nearest': 0}, '--nearest is 0: at least 1'),
    ('neighbours', {'layer': ['F7']}, "--layer: no layer 'F7'. Did you"),
    ('neighbours', {'layer': ['C3', 'F6']}, '--layer=C3,F6: one layer, not 2'),
    ('neighbours', {'nearest': 4001}, 'the train split has 4,000 images: too'),
    ('mistakes', {'number': 0}, '--number is 0: at least 1'),
    ('maps', {'out': 'a.gif'}, '--out=FILE.gif is of an image that moves'),
    ('maps', {'changes': ['shift=-6..6']}, 'moves the image: --out=FILE.gif'),
    ('maps', {'out': 'a.gif', 'changes': ['shift=2']}, 'needs a range for a'),
    ('maps', {'out': 'a.gif', 'changes': ['shft=1..2']}, "mean 'shift'"),
    ('maps', {'out': 'a.gif', 'changes': ['scale=0..1']}, 'a factor above 0'),
    ('maps', {'changes': ['shift=nan']}, "'shift=nan': a finite number"),
    (
      'maps',
      {'out': 'a.gif', 'changes': ['shift=1..2'], 'number': 1},
      '--number is 1: at least 2 frames',
    ),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, kind, more, words):
  with pytest.raises(UserError) as error:
    draw(kind, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_files_that_are_not_there_and_ensembles_are_refused(draw):
  for kind in ('predictions', 'neighbours'):
    with pytest.raises(UserError, match=r'no\.png cannot be read'):
      draw(kind, 'no.png')
  config = lenet5.get_config('optimizer=sdlm,data=mnist5k')
  config.init_from = config.eval.members = str(NETWORK)
  with pytest.raises(UserError, match=r'eval\.members: a picture is of one'):
    draw('predictions', config=config)
