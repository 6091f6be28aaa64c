"""`tools.visualize architecture` as it is called."""

import re
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from configs import lenet5, resnet_cifar
from errors import UserError
from runtime import workdir as workdir_lib
from tools import visualize


@pytest.fixture
def draw(tmp_path, capsys):
  """Returns (*names, config, **flags) -> (SVG, what is printed)."""
  flags.FLAGS.mark_as_parsed()
  out = tmp_path / 'out.svg'

  def call(*names, config=None, **more):
    with flagsaver.flagsaver(**{'out': str(out), **more}):
      visualize.main(config, ['architecture', *names])
    return out.read_text(), capsys.readouterr().out

  return call


def test_it_needs_a_name_and_no_config_nor_matplotlib(draw, monkeypatch):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  picture, said = draw('lenet5')
  assert picture.startswith('<svg xmlns=')
  assert said.splitlines()[0] == 'lenet5: 60,000 parameters, depth 7'


def test_several_networks_stand_side_by_side(draw):
  picture, said = draw('plain20_cifar', 'resnet20_cifar')
  assert [line.split(':')[0] for line in said.splitlines()[:2]] == [
    'plain20_cifar', 'resnet20_cifar',
  ]  # fmt: skip
  assert picture.count('data-shortcut') == 9


def test_auxiliary_heads_are_counted_apart(draw):
  said = draw('googlenet')[1]
  assert said.startswith(
    'googlenet: 13,378,280 parameters (6,379,728 of them in auxiliary heads), '
    'depth 22\n'
  )


def test_the_network_of_a_config_has_its_options_and_its_size(draw):
  config = resnet_cifar.get_config('data=fake')
  config.model.width = 0.5
  config.data.image_size = 48
  picture, said = draw('resnet20_cifar', config=config)
  assert said.splitlines()[0].startswith('resnet20_cifar (width=0.5): ')
  assert said.splitlines()[1].startswith('resnet20_cifar: 269,722 ')
  assert picture.count('conv, 8<') == 7
  assert 'conv1: 48×48×8,' in picture  # noqa: RUF001


def test_the_network_of_a_run_has_its_classes(draw, tmp_path):
  config = lenet5.get_config('variant=lenet5_modern,data=mnist5k')
  run = tmp_path / 'run'
  run.mkdir()
  workdir_lib.record_classes(run, ('a', 'b', 'c'), (28, 28, 3), 99)
  picture, said = draw(config=config, workdir=str(run))
  assert re.search(r'>OUTPUT</text>\n<text [^>]*>3</text>', picture)
  more = 5 * 5 * 2 * 6 - 85 * 7  # colours; classes
  assert said.startswith(f'lenet5_modern: {61_706 + more:,} parameters, ')


@pytest.mark.parametrize(
  ('names', 'more', 'words'),
  [
    ((), {}, 'architecture needs a NAME: lenet5, lenet5_modern, alexnet'),
    (('vgg16',), {}, "NAME: No network 'vgg16'. Did you mean 'vgg_d'?"),
    (('lenet5',), {'out': 'a.png'}, '--out a.png: architecture writes .svg'),
    (('lenet5',), {'workdir': '/no/run'}, '--workdir /no/run does not exist'),
    ((), {'workdir': '/'}, '--workdir / has no config.json'),
  ],
)
def test_mistakes_of_the_user_are_one_line(draw, names, more, words):
  with pytest.raises(UserError) as error:
    draw(*names, **more)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_a_size_that_the_network_does_not_take_is_named(draw):
  config = lenet5.get_config('data=mnist5k')
  config.data.image_size = 20
  with pytest.raises(
    UserError, match=r'model or data.image_size: lenet5 takes'
  ):
    draw(config=config)
