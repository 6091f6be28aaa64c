"""How far something is that reads many images."""

import sys
import time

import tqdm

from runtime import console

_QUIET_SECONDS = 10.0  # between lines where no terminal shows them


class Progress:
  """tqdm on a terminal; elsewhere a line every `_QUIET_SECONDS`.

  Both on stderr: on standard output they would stand among the results.

  Args:
    total: images in all.
    done: of them, before this start.
    quiet: shows nothing; of processes other than the first.
  """

  def __init__(self, total: int, done: int = 0, quiet: bool = False):
    self._quiet = quiet
    self._bar = tqdm.tqdm(
      total=total,
      initial=done,
      unit=' images',
      disable=quiet or not sys.stderr.isatty(),
      leave=False,
    )
    self._total, self._first, self._done = total, done, done
    self._began = self._printed = time.monotonic()

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._bar.close()

  def add(self, images: int) -> None:
    """Counts images that are done; padding beyond the total is none."""
    images = min(images, self._total - self._done)
    self._done += images
    self._bar.update(images)
    now = time.monotonic()
    if self._quiet:
      return
    if self._bar.disable and now - self._printed > _QUIET_SECONDS:
      self._printed = now
      rate = (self._done - self._first) / (now - self._began)
      left = tqdm.tqdm.format_interval((self._total - self._done) / rate)
      console.remark(
        f'{self._done:,} of {self._total:,} images, {rate:,.0f} images/s, '
        f'ETA {left}'
      )
