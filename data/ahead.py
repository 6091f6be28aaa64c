"""Reading ahead of who computes, in threads."""

import os
from collections.abc import Callable, Generator
from typing import Any

import grain

_LEAST = 4  # fetched ahead, however few the threads


def cores() -> int:
  """Returns how many cores this process may use."""
  if hasattr(os, 'sched_getaffinity'):  # not on macOS
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def ahead(
  fetch: Callable[[int], Any], numbers: range, threads: int
) -> Generator[Any]:
  """Yields `fetch` of each number, in order.

  An element had better be much: a whole batch, say. Grain's cost is some 30
  microseconds each, and each thread works on one.

  Args:
    fetch: is called in several threads at once.
    numbers: what to fetch.
    threads: that fetch ahead; 0 fetches in the caller's thread; -1: as many as
      there are cores for this process.
  """
  if threads < 0:
    threads = cores()
  # Fewer elements than threads would leave some without work.
  options = grain.ReadOptions(
    num_threads=threads,
    prefetch_buffer_size=max(_LEAST, threads + 2) * bool(threads),
  )
  elements = grain.MapDataset.range(numbers.start, numbers.stop, numbers.step)
  iterator = iter(elements.map(fetch).to_iter_dataset(options))
  try:
    yield from iterator
  finally:
    iterator.close()  # ends its threads; else Grain complains at exit
