"""docs/extending.md does what it says, on a copy of the code."""

import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGE = ROOT / 'docs' / 'extending.md'
_BLOCK = re.compile(
  r'(?:^`([\w/]+\.py)`[^\n]*\n\n)?^```(\w*)\n(.*?)^```$', re.M | re.S
)


def blocks():
  """Yields (file or None, language, text) of each block of the page."""
  file = ''
  for name, language, text in _BLOCK.findall(PAGE.read_text()):
    file = name or file
    yield file, language, text


@pytest.fixture(scope='module')
def copied(tree):
  """Returns `forking` of the copy: its processes have imported that code."""
  path = tree / 'tests' / 'forking.py'
  path.parent.mkdir()
  shutil.copy(ROOT / 'tests' / path.name, path)
  spec = importlib.util.spec_from_file_location('forking_of_a_copy', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  """A copy of the code with all the files and changes of the page."""
  place = tmp_path_factory.mktemp('copy') / 'tree'
  leave = shutil.ignore_patterns('.*', 'runs', 'tests', '__pycache__')
  shutil.copytree(ROOT, place, ignore=leave)
  for file, language, text in blocks():
    path = place / file
    if language == 'python':
      path.parent.mkdir(exist_ok=True)
      path.write_text(text)
    if language == 'diff':
      lines = text.splitlines(keepends=True)
      old = ''.join(line[1:] for line in lines if line[0] in ' -')
      new = ''.join(line[1:] for line in lines if line[0] in ' +')
      content = path.read_text()
      assert content.count(old) == 1, (file, old)
      path.write_text(content.replace(old, new))
  return place


def commands():
  """Returns each command of the page with the lines that it is to print."""
  plain = [text for _, language, text in blocks() if not language]
  assert len(plain) % 2 == 0  # a command, then what it prints
  return list(zip(plain[::2], plain[1::2], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(('command', 'printed'), commands())
def test_a_command_prints_what_the_page_says(command, printed, tree, copied):
  words = shlex.split(command)
  assert words[0] == 'python'
  script, *arguments = words[1:] if words[1] != '-m' else words[2:]
  result = copied.run(script, *arguments, cwd=tree, timeout=300)
  assert result.returncode == 0, result.stderr
  said = result.stdout.replace(f'{tree}{os.sep}', '')
  for line in printed.splitlines():
    assert line in said


@pytest.mark.slow
def test_help_lists_the_new_config(tree, copied):
  result = copied.run('main.py', '--help', cwd=tree)
  assert '  configs/mine.py          LeNet-5 of the tutorials' in result.stdout


def test_the_code_on_the_page_is_formatted_as_ours(tmp_path):
  ruff = pathlib.Path(sys.executable).with_name('ruff')
  shutil.copy(ROOT / 'pyproject.toml', tmp_path)
  for file, language, text in blocks():
    if language == 'python':
      (tmp_path / pathlib.PurePath(file).name).write_text(text)
  for command in ('check', 'format --check'):
    result = subprocess.run(
      [ruff, *command.split(), '--isolated', '--config', 'indent-width=2',
       '--config', "format.quote-style='single'", '--line-length=80', '.'],
      cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
