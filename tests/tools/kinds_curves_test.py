"""Curves of runs, responses and Grad-CAM as commands, and what is refused."""

import json
import pathlib

import cv2
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT, random_variables

import zoo
from configs import lenet5, resnet_cifar
from data import preprocess
from errors import UserError
from evaluation import inference
from evaluation.inference import Model
from evaluation.scoring import Network
from runtime import workdir
from tools import visualize

RESULTS = ROOT / 'docs' / 'results'
SINGLE = RESULTS / 'lenet5.mnist.seed0.metrics.jsonl'
MANY = RESULTS / 'lenet5.mnist.momentum.seed0.metrics.jsonl'
LENET = ROOT / 'published' / 'lenet5_mnist.npz'
MEAN, TEST = 'train/mean_top1_error', 'eval/top1_error'


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (kind, *arguments, **flags) -> (picture, what is printed)."""
  flags.FLAGS.mark_as_parsed()
  out = tmp_path / 'out.png'

  def call(*arguments, config=None, **more):
    with flagsaver.flagsaver(**{'out': str(out), **more}):
      visualize.main(config, list(map(str, arguments)))
    return cv2.imread(str(out)), capsys.readouterr().out.splitlines()

  return call


def of_lenet():
  config = lenet5.get_config('optimizer=sdlm,data=mnist5k')
  config.init_from = str(LENET)
  return config


def test_curves_of_other_batches_compare_by_passes_only(draw):
  picture, said = draw('curves', SINGLE, MANY)
  assert said[0].startswith('note: batches of 1, 64: a step is not the same')
  assert said[1].startswith('note: lenet5.mnist.seed0 has no mean error of')
  lines = [line.split(':')[0] for line in said[2:-1]]
  assert lines == [
    f'lenet5.mnist.seed0 {TEST}',
    f'lenet5.mnist.momentum.seed0 {MEAN}',
    f'lenet5.mnist.momentum.seed0 {TEST}',
  ]
  assert ' is the lowest, ' in said[3]
  assert picture.std() > 10
  said = draw('curves', SINGLE, MANY, by='pass', metric=[TEST])[1]
  assert not said[0].startswith('note')
  for line in said[:2]:
    assert ' 1: 0.02' in line
    assert ', 20: 0.01' in line


def test_curves_by_size_and_what_a_cut_hides(draw, tmp_path):
  for name, error, augment in (('a', 0.3, 'none'), ('b', 0.2, 'distort')):
    place = tmp_path / name
    place.mkdir()
    line = {'step': 5, TEST: error, 'train/loss': 2.0}
    (place / 'metrics.jsonl').write_text(json.dumps(line) + '\n')
    config = {'train': {'batch_size': 1, 'augment': augment}}
    (place / 'config.json').write_text(json.dumps(config))
    (place / 'classes.json').write_text('{"train_examples": 60}')
  runs = tmp_path / 'a', tmp_path / 'b'
  said = draw('curves', *runs, by='size', top=0.25)[1]
  assert said[:-1] == [
    f'{TEST}: 60: 0.3',
    f'distort {TEST}: 60: 0.2',
    f'above --top=0.25, not seen: {TEST}',
  ]
  one = draw('curves', *runs, metric=[TEST])[0]
  two = draw('curves', *runs, metric=[TEST, 'train/loss'])[0]
  assert two.shape[1] > 1.5 * one.shape[1]  # a loss is no error


def test_heat_on_photographs_and_test_images(draw, tmp_path):
  file = tmp_path / 'a.jpg'
  file.write_bytes(photographs.jpeg(0))
  _, said = draw('gradcam', file, config=of_lenet())
  assert said[0].startswith(f'{file}: ')
  assert said[1] == 'layers: C3'
  picture, said = draw(
    'gradcam', config=of_lenet(), examples=['3', '8', '9'], number=2,
    layer=['S4'], **{'class': '7'},
  )  # fmt: skip
  assert said[0] == '2 of 3 images: --number for more'
  assert [line.split(' ')[:2] for line in said[1:3]] == [
    ['3:', '7'], ['8:', '7']
  ]  # fmt: skip
  assert picture.max(-1).std() > 10
  colourful = picture.astype(int).max(-1) - picture.astype(int).min(-1)
  assert (colourful > 50).mean() > 0.1


@pytest.mark.parametrize(
  ('arguments', 'more', 'words'),
  [
    (('curves',), {}, 'no runs: name workdirs, or files as'),
    (('curves', 'no/run'), {}, 'no/run does not exist: a workdir, or'),
    (('curves', MANY), {'top': 0.0}, '--top is 0: above 0, as 0.2 for 20 %'),
    (('curves', MANY), {'metric': ['train/los']}, "Did you mean 'train/loss'"),
    (('responses',), {}, 'no runs: name workdirs of'),
    (('responses', 'no/run'), {}, 'no/run is no run: there is no '),
    (
      ('responses',),
      {'config': of_lenet()},
      'lenet5_mnist.npz (lenet5) has no batch normalisation',
    ),
    (
      ('gradcam',),
      {'config': of_lenet(), 'layer': ['F6']},
      '--layer=F6: its units see the whole image',
    ),
    (
      ('gradcam',),
      {'config': of_lenet(), 'class': '10'},
      '--class=10: numbers from 0 to 9',
    ),
    (
      ('gradcam', 'no.jpg'),
      {'config': of_lenet()},
      'no.jpg cannot be read: there is no such file',
    ),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, arguments, more, words):
  with pytest.raises(UserError) as error:
    draw(*arguments, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


@pytest.fixture
def run(tmp_path, monkeypatch):
  """Returns (name, channels) -> a workdir with anything as its variables."""

  def load(config, path, *_, **__):
    fields = dict(config.model)
    channels = int(pathlib.Path(path).parent.name)
    module = zoo.create(fields.pop('name'), num_classes=10, **fields)
    variables = random_variables(module, (32, 32, channels))
    prepare = preprocess.of_config(config)
    network = Network(path, module, variables, prepare, 32, 10)
    return Model([network], tuple('0123456789'), (28, 28, channels))

  # A checkpoint is not what is tested, and training takes a minute.
  monkeypatch.setattr(inference, 'load', load)

  def make(name, channels=1):
    config = resnet_cifar.get_config(f'variant={name},data=mnist5k')
    config.model.width = 0.25
    place = tmp_path / str(channels) / name
    place.mkdir(parents=True)
    record = json.dumps(workdir.as_json(config))
    (place / 'config.json').write_text(record)
    return place

  return make


def test_responses_of_networks_side_by_side(draw, run):
  plain, residual = run('plain20_cifar'), run('resnet20_cifar')
  picture, said = draw('responses', plain, residual, number=6)
  assert said[0] == '6 test images of mnist5k'
  for place, line in zip((plain, residual), said[1:3]):
    assert line.startswith(f'{place.name}: 19 layers of {place.name}, mean ')
  assert picture.std() > 10
  with pytest.raises(UserError, match='is given twice'):
    draw('responses', plain, plain)
  colour = run('plain32_cifar', 3)
  with pytest.raises(UserError, match=r'of 32x32x3, plain20.* of 32x32x1:'):
    draw('responses', plain, colour)
