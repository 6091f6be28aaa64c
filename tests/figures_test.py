"""docs/figures.md: every figure and table has a row, every command parses."""

import importlib
import re
import shlex

import pytest
from absl import flags
from conftest import ROOT

from tools import visualize

PAGE = (ROOT / 'docs' / 'figures.md').read_text()
PICTURES = sorted((ROOT / 'docs' / 'figures').iterdir())
COMMANDS = sorted(
  command
  for command in set(re.findall(r'python -m tools\.[^`\n]+', PAGE))
  if 'visualize KIND' not in command
)
TRAININGS = sorted(set(re.findall(r'python main\.py [^`\n]+', PAGE)))
# What each paper has; Table I of LeNet-5's is its only one.
FIGURES = {
  'LeNet-5': (14, 0),
  'AlexNet': (4, 2),
  'ZFNet': (9, 7),
  'VGG': (0, 12),
  'GoogLeNet': (3, 5),
  'ResNet': (7, 8),
}


def sections():
  parts = re.split(r'^## (.+)$', PAGE, flags=re.MULTILINE)
  return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section):
  """Yields the first cell of each row: 'Figs. 11, 12', 'Tables 3 to 7'."""
  for line in sections()[section].splitlines():
    if line.startswith('| ') and not line.startswith('| |'):
      yield line.split('|')[1].strip()


def numbers(cell, word):
  """Returns those of figures or tables in a cell, ranges written out."""
  found = set()
  for text in re.findall(rf'{word}s?\.? ((?:\d+(?:, | to )?)+)', cell):
    for low, high in re.findall(r'(\d+)(?: to (\d+))?', text):
      found |= set(range(int(low), int(high or low) + 1))
  return found


@pytest.mark.parametrize('paper', FIGURES)
def test_every_figure_and_table_has_a_row(paper):
  cells = list(rows(paper))
  for word, count in zip(('Fig', 'Table'), FIGURES[paper]):
    found = set().union(*(numbers(cell, word) for cell in cells))
    assert found == set(range(1, count + 1))
  assert ('Table I' in cells) == (paper == 'LeNet-5')


def given(command):
  """Returns (flags by name, other arguments) of a command as it is typed."""
  named, others = {}, []
  for word in shlex.split(command.partition(' > ')[0])[3:]:
    if word.startswith('--'):
      name, _, value = word[2:].partition('=')
      named.setdefault(name, []).append(value)
    else:
      others.append(word)
  return named, others


def check_config(named):
  """Builds what --config and --config.FIELD stand for."""
  if 'config' not in named:
    return
  path = named.pop('config')[0]
  file, _, argument = path.partition(':')
  module = importlib.import_module(file.removesuffix('.py').replace('/', '.'))
  config = module.get_config(argument)
  fields = [name for name in named if name.startswith('config.')]
  for name in fields:
    *sections_, field = name.removeprefix('config.').split('.')
    place = config
    for section in sections_:
      place = place[section]
    # Options of a data set are those of the source that it names.
    assert field in place or sections_ == ['data', 'options'], name


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_parses(command):
  named, others = given(command)
  check_config(named)
  module = command.split()[2]
  if module != 'tools.visualize':
    assert (ROOT / (module.replace('.', '/') + '.py')).exists()
    return
  name, *arguments = others
  kind = visualize.KINDS[name]
  known = {option.name for option in kind.options} | {'out'}
  known |= {'workdir'} if kind.config else set()
  for flag, values in named.items():
    if not flag.startswith('config.'):
      assert flag in known, flag
      for value in values:
        flags.FLAGS[flag].parser.parse(value)
  assert not arguments or kind.takes
  assert named['out'][0].endswith(kind.endings)


@pytest.mark.parametrize('command', TRAININGS)
def test_a_training_parses(command):
  named, others = given('python ' + command)
  assert others == []
  check_config(named)
  assert set(named) <= {'workdir', 'mode'} | {
    name for name in named if name.startswith('config.')
  }


def test_pictures_are_written_by_a_command_and_shown():
  written = {given(c)[0].get('out', [''])[0] for c in COMMANDS}
  for picture in PICTURES:
    assert picture.name in written
    assert f'(figures/{picture.name})' in PAGE
  assert sum(picture.stat().st_size for picture in PICTURES) < 3e6


def test_every_kind_is_on_the_page():
  used = {given(c)[1][0] for c in COMMANDS if 'tools.visualize' in c}
  assert {*visualize.KINDS} <= used
