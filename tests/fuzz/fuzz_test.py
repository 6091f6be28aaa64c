"""A short part of fuzz.py, which by itself runs as long as one likes."""

import fuzz
import pytest


@pytest.mark.parametrize('kind', fuzz.KINDS)
def test_damage_is_read_or_refused(kind):
  for number in range(12):
    said = fuzz.outcome(kind, number, seed=0)
    assert said in ('read', 'refused'), f'--only={kind}:{number}: {said}'


@pytest.mark.parametrize(
  ('error', 'allowed', 'word'),
  [
    (KeyError('x'), (), 'Traceback'),
    (ValueError('a\nb'), (ValueError,), 'more than a line'),
    (TimeoutError('more than 10 s'), (), 'more than 10 s'),
  ],
)
def test_what_is_a_fault(monkeypatch, error, allowed, word):
  """The judge itself: what is no documented error in one line is told."""

  def case(rng, place):
    def call():
      raise error

    return call, allowed

  monkeypatch.setitem(fuzz.KINDS, 'lists', case)
  assert word in fuzz.outcome('lists', 0, 0)
