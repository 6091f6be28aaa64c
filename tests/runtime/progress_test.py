"""How far something is, where no terminal shows it."""

import pytest

from runtime import progress


@pytest.fixture
def at(monkeypatch):
  """Returns a function that sets the time, in seconds."""
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])

  def to(seconds):
    now[0] = 100 + seconds

  return to


def test_a_line_every_ten_seconds_and_not_among_the_results(at, capsys):
  with progress.Progress(1000, done=200) as shown:
    at(9)
    shown.add(100)
    at(11)
    shown.add(120)
    at(20)
    shown.add(130)
    at(32)
    shown.add(10)
  said = capsys.readouterr()
  assert said.out == ''
  assert said.err.splitlines() == [
    '420 of 1,000 images, 20 images/s, ETA 00:29',
    '560 of 1,000 images, 11 images/s, ETA 00:39',
  ]


def test_padding_is_none_and_the_quiet_say_nothing(at, capsys):
  for quiet in (False, True):
    at(0)
    with progress.Progress(100, quiet=quiet) as shown:
      at(20)
      shown.add(128)
  assert capsys.readouterr().err == (
    '100 of 100 images, 5 images/s, ETA 00:00\n'
  )
