"""Reading ahead in threads."""

import threading

import pytest

from data import ahead


@pytest.mark.parametrize('threads', [-1, 0, 1, 3])
def test_elements_come_in_order(threads):
  squares = ahead.ahead(lambda n: n * n, range(3, 20, 4), threads)
  assert list(squares) == [9, 49, 121, 225, 361]


@pytest.mark.parametrize('threads', [7, -1])
def test_every_thread_has_work(threads, monkeypatch):
  monkeypatch.setattr(ahead, 'cores', lambda: 7)
  together = threading.Barrier(7)

  def fetch(number):
    together.wait(timeout=20)  # breaks where fewer than seven ever meet
    return number

  assert list(ahead.ahead(fetch, range(14), threads)) == list(range(14))


def test_its_threads_end_with_it():
  before = set(threading.enumerate())
  elements = ahead.ahead(lambda n: n, range(100), 3)
  next(elements)
  added = set(threading.enumerate()) - before
  assert added
  elements.close()
  for thread in added:
    thread.join(timeout=5)
  assert not any(thread.is_alive() for thread in added)
