"""The first steps of every recipe are what they were: traces.json."""

import pathlib
import sys

import pytest
from conftest import cases

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import traces


@pytest.mark.parametrize('text', cases(traces.CASES, ['lenet5:', 'alexnet:']))
def test_three_steps_of_a_recipe_are_what_they_were(text):
  known = traces.read()
  assert known.keys() == traces.CASES.keys(), f'run {traces.WRITE}'
  lines = traces.moved(known[text], traces.trace(text))
  assert not lines, '\n  '.join(
    [
      f'{text} trains otherwise than it did:',
      *lines,
      f'If that is meant, run {traces.WRITE} and say in the commit why.',
    ]
  )
