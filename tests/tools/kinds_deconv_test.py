"""tools.visualize deconv, as it is typed, and what is refused."""

import cv2
import jax
import numpy as np
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT, make_config

import experiment
import train_lib
import zoo
from configs import lenet5
from data import preprocess
from errors import UserError
from evaluation import networks
from tools import visualize

STATES = jax.jit(zoo.activations, static_argnums=(0, 3))

NETWORK = ROOT / 'published' / 'lenet5_modern_mnist.npz'
MODERN = 'variant=lenet5_modern,data=mnist5k'


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (*files, **flags) -> (picture, lines that are printed)."""
  flags.FLAGS.mark_as_parsed()
  out = tmp_path / 'out.png'

  def call(*files, network=NETWORK, arg=MODERN, model=(), **more):
    config = lenet5.get_config(arg)
    config.init_from = str(network or '')
    config.model.update(dict(model))
    given = {'out': str(out), 'layer': ['C3'], **more}
    with flagsaver.flagsaver(**given):
      visualize.main(config, ['deconv', *map(str, files)])
    return cv2.imread(str(out)), capsys.readouterr().out.splitlines()

  return call


def test_nine_of_the_test_split_for_each_map_that_is_asked(draw):
  picture, said = draw(maps=['11', '2'])
  assert said[0].endswith('layer C3, 10x10x16; images of mnist5k test, 1,000')
  for line, name in zip(said[2:4], ('map 11: ', 'map 2: ')):
    assert line.startswith(name)
    numbers = [int(n) for n in line.split('; ')[1].split(', ')]
    assert len(set(numbers)) == 9
    assert max(numbers) < 1000
    most, least = line.removeprefix(name).split('; ')[0].split(' to ')
    assert float(most) >= float(least) > 0
  assert said[4] == 'receptive field: 14 pixels a side'
  grey = np.abs(picture.astype(int) - 128).max(-1) < 3
  assert 0.02 < grey.mean() < 0.5  # of projections: 0


def test_of_photos_one_that_cannot_be_read_is_left_out(draw, tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  for i in range(10):
    (folder / f'{i}.jpg').write_bytes(photographs.jpeg(i))
  (folder / '3.jpg').write_bytes(b'no photograph')
  said = draw(folder, layer=['C1'], maps=['4'])[1]
  names = {str(folder / f'{i}.jpg') for i in range(10) if i != 3}
  assert set(said[2].split('; ')[1].split(', ')) == names
  assert said[4].startswith(f'left out: {folder / "3.jpg"} cannot be decoded')
  (folder / '4.jpg').unlink()
  with pytest.raises(
    UserError, match='8 of 9 images can be read, and a map is'
  ):
    draw(folder)
  (folder / '5.jpg').unlink()
  with pytest.raises(UserError, match='images: 8, but a map is shown by its 9'):
    draw(folder)


@pytest.mark.slow
def test_over_the_checkpoints_of_a_run(draw, tmp_path, capsys):
  run = tmp_path / 'run'
  config = make_config(
    MODERN, train__steps=3, checkpoint__every='1 steps', checkpoint__keep=9
  )
  train_lib.train_and_evaluate(config, str(run))
  capsys.readouterr()
  given = {'network': None, 'workdir': str(run), 'maps': ['6', '0']}
  picture, said = draw(steps=['3', '1'], **given)
  assert picture.std() > 5
  # The strongest of all test images, with the parameters that were saved.
  batch = experiment.create_source(config, 'test').batch(np.arange(1000))
  images = preprocess.of_config(config)(batch['image'])
  module = zoo.create('lenet5_modern', num_classes=10)
  for line, number in zip(said[2:4], (6, 0)):
    name, *words = line.replace(';', ':').split(': ')
    assert name == f'map {number}'
    for step, word in zip((1, 3), words[1::2], strict=True):
      place = run / 'checkpoints' / f'{step:08d}'
      variables = networks.load_variables(
        'lenet5_modern', str(place), num_classes=10
      )
      states = STATES(module, variables, images, ('C3',))['C3']
      peaks = np.asarray(states[..., number]).max((1, 2))
      value, image = word.split(', ')
      assert float(value) == pytest.approx(peaks.max(), rel=0.01)
      assert int(image) == peaks.argmax()
  with pytest.raises(UserError, match=r'--steps 5: .*, but 3; more stay'):
    draw(steps=['5'], **given)


@pytest.mark.parametrize(
  ('files', 'more', 'words'),
  [
    ((), {'layer': ''}, '--layer is missing: one of'),
    ((), {'layer': ['C1', 'C3']}, '--layer is C1,C3: one of'),
    ((), {'layer': ['C4']}, "--layer: no layer 'C4'. Did you mean"),
    ((), {'maps': ['3', '16']}, "--maps '16': C3 has maps 0 to 15"),
    ((), {'maps': ['x']}, "--maps 'x': C3 has maps 0 to 15"),
    ((), {'number': 0}, '--number is 0: at least 1'),
    ((), {'network': None}, '--workdir is missing, or'),
    (('a.png',), {'split': 'test'}, '--split=test is of the config'),
    (('no.png',), {}, 'no.png'),
    ((), {'steps': ['all']}, '--steps are of a run: it needs --workdir=RUN'),
    (
      (),
      {'network': None, 'steps': ['all'], 'workdir': str(ROOT / 'docs')},
      'holds no checkpoint',
    ),
    (
      (),
      {
        'network': ROOT / 'published' / 'lenet5_mnist.npz',
        'arg': 'optimizer=sdlm,data=mnist5k',
      },
      'deconv of lenet5: it has no max pooling, so no switches',
    ),
    ((), {'model': {'activation': 'tanh'}}, 'lenet5_modern: it has no ReLU'),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, files, more, words):
  with pytest.raises(UserError) as error:
    draw(*files, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)
