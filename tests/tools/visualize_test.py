"""Each kind of picture, as a command, and what is refused."""

import cv2
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT

from configs import lenet5
from errors import UserError
from tools import visualize

NETWORK = ROOT / 'published' / 'lenet5_mnist.npz'


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (kind, *files, **flags) -> (picture, what is printed)."""
  flags.FLAGS.mark_as_parsed()
  out = tmp_path / 'out.png'

  def call(
    *arguments, arg='optimizer=sdlm,data=mnist5k', network=NETWORK, **more
  ):
    config = lenet5.get_config(arg)
    config.init_from = str(network or '')
    with flagsaver.flagsaver(**{'out': str(out), **more}):
      visualize.main(config, list(map(str, arguments)))
    return cv2.imread(str(out)), capsys.readouterr().out

  return call


def test_samples_are_as_many_as_asked_and_others_with_another_seed(draw):
  one = draw('samples', network=None, number=30)[1]
  assert one.startswith('30 of 1,000 test images: ')
  assert one == draw('samples', network=None, number=30)[1]
  assert one != draw('samples', network=None, number=30, seed=1)[1]


def test_distortions_are_those_of_the_config(draw):
  picture, said = draw('distortions', network=None, arg='data=mnist5k')
  assert said.startswith("distort {'scale': 0.1")
  assert len(said.splitlines()[0].split('images ')[1].split(',')) == 10
  assert picture.std() > 10
  with pytest.raises(UserError, match=r"train.augment is 'none'"):
    draw('distortions', network=None, arg='data=mnist5k,augment=none')


def test_mistakes_add_up(draw):
  picture, said = draw('mistakes')
  lines = said.splitlines()
  wrong = int(lines[0].split()[0])
  assert 0 < wrong < 20
  assert lines[0].endswith(f'of 1,000 wrong ({wrong / 1000:.2%})')
  counts = [int(w.split()[1]) for w in lines[1].split(': ')[1].split(',')]
  assert len(counts) == 10
  assert sum(counts) == wrong
  assert len(lines[3].split(',')) == wrong
  assert picture.std() > 10


def test_rejection_says_what_is_needed(draw):
  said = draw('rejection', target=0.001)[1]
  need = float(said.split('%')[0])
  assert 0 < need < 20
  assert said.splitlines()[0].startswith(
    f'{need:.2f}% rejected for an error of 0.10%; '
  )


def test_maps_of_test_images_changed_and_of_a_file(draw, tmp_path):
  said = draw('maps', examples=['0', '3'], changes=['none', 'noise=0.1'])[1]
  lines = said.splitlines()[:4]
  starts = [line.split(':')[0] for line in lines]
  assert starts == ['0', '0, noise=0.1', '3', '3, noise=0.1']
  file = tmp_path / 'a.jpg'
  file.write_bytes(photographs.jpeg(0))
  said = draw('maps', file, layers=['C3', 'F6'])[1]
  assert said.startswith(f'{file}: ')
  with pytest.raises(UserError, match=r"--layers: no layer 'c3'.*C3"):
    draw('maps', layers=['c3'])


@pytest.mark.slow
def test_robustness_tells_every_value(draw):
  said = draw('robustness')[1].splitlines()
  for line, word in zip(said, ('scale', 'shift', 'rotate', 'noise')):
    assert line.startswith(f'{word} (')
  plain = said[0].split(' 1: ')[1].split('%')[0]
  for line, value in zip(said[1:4], ('0', '0', '0')):
    assert line.split(f' {value}: ')[1].split('%')[0] == plain
  assert float(said[3].split(' 0.4: ')[1].rstrip('%')) > 20


@pytest.mark.parametrize(
  ('arguments', 'more', 'words'),
  [
    ((), {}, "KIND is ''. Known: samples"),
    (('mistake',), {}, "KIND is 'mistake'. Did you mean 'mistakes'"),
    (('samples', 'a.png'), {}, "samples takes no files, but 'a.png' is given"),
    (('samples',), {'out': ''}, '--out=FILE.png is missing'),
    (('samples',), {'number': 0}, '--number is 0: at least 1'),
    (('maps',), {'examples': ['x']}, "--examples 'x': numbers from 0 to 999"),
    (('maps',), {'examples': ['1000']}, "'1000': numbers from 0 to 999"),
    (('maps',), {'changes': ['skale=2']}, "Did you mean 'scale'"),
    (('maps',), {'changes': ['scale']}, 'needs a number: scale=1.2'),
    (('mistakes',), {'network': None}, '--workdir is missing, or'),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, arguments, more, words):
  with pytest.raises(UserError) as error:
    draw(*arguments, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_a_picture_that_cannot_be_written_is_named(draw, tmp_path):
  (tmp_path / 'folder.png').mkdir()
  for name in ('no/a.png', 'a.docx', 'folder.png'):
    name = tmp_path / name
    with pytest.raises(UserError, match=f'--out {name}'):
      draw('samples', network=None, number=2, out=str(name))
