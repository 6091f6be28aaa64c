"""How fast a run is, what it waits for, and what it takes of its devices."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence

import jax
from jax.typing import DTypeLike

from runtime import chips


def peak_memory(devices: Sequence[jax.Device]) -> float | None:
  """Returns the most gigabytes that one of the devices has held so far.

  None where they do not say, as the CPU does not.
  """
  held = [
    stats['peak_bytes_in_use']
    for stats in (device.memory_stats() for device in devices)
    if stats and 'peak_bytes_in_use' in stats
  ]
  return max(held) / 1e9 if held else None


class Clock:
  """Images a second, the share of the time that waits for data, the devices.

  It runs from `start()`; evaluation and saving happen while it is `paused()`.

  Model FLOP utilisation (PaLM, arXiv:2204.02311, Appendix B) is the share of
  the devices' published rate that the multiplications and additions of the
  network would take, each done once: what is computed again, augmentation and
  the optimizer do not count.

  Args:
    batch_size: images a step, on all devices together.
    devices: of the run, of one kind.
    flops: floating-point operations of an image in training; 0: not known.
    dtype: in which they are computed.
  """

  def __init__(
    self,
    batch_size: int,
    devices: Sequence[jax.Device] = (),
    flops: float = 0,
    dtype: DTypeLike = 'float32',
  ):
    self._batch_size = batch_size
    self._chips = max(len(devices), 1)
    own = jax.process_index() if devices else 0
    self._own = [d for d in devices if d.process_index == own]
    peak = chips.peak(devices[0], dtype) if devices else None
    # Images a second at which the devices would do nothing else.
    self._full = peak * self._chips / flops if peak and flops else None
    self.start()

  def start(self) -> None:
    """Starts from zero."""
    self._steps = 0
    self._waited = self._seconds = 0.0
    self._since = time.monotonic()
    self._lap = (0, 0.0, 0.0)

  def step_done(self) -> None:
    """Counts a step."""
    self._steps += 1

  def waiting(self, batches: Iterable) -> Iterator:
    """Yields the batches and measures how long each `next` takes."""
    iterator = iter(batches)
    while True:
      asked = time.monotonic()
      batch = next(iterator, None)
      if batch is None:
        return
      self._waited += time.monotonic() - asked
      yield batch

  @contextlib.contextmanager
  def paused(self):
    """Does not count the time inside."""
    self._seconds += time.monotonic() - self._since
    yield
    self._since = time.monotonic()

  def lap(self) -> dict[str, float]:
    """Returns what was measured since the last lap, named for metrics.jsonl.

    Memory is the highest since the start of the process. 'time/mfu' and
    'time/peak_device_memory_gb' are absent where they are not known.
    """
    now = (self._steps, self._elapsed(), self._waited)
    steps, seconds, waited = (a - b for a, b in zip(now, self._lap))
    self._lap = now
    rate = steps * self._batch_size / seconds
    found = {
      'time/images_per_second': round(rate, 1),
      'time/images_per_second_per_chip': round(rate / self._chips, 1),
      'time/data_wait_fraction': round(waited / seconds, 4),
    }
    if self._full:
      found['time/mfu'] = round(rate / self._full, 4)
    if (memory := peak_memory(self._own)) is not None:
      found['time/peak_device_memory_gb'] = round(memory, 3)
    return found

  def summary(self) -> str:
    """Returns the totals in words."""
    return ', '.join(
      [f'{self._elapsed():.1f} s', self.rate_text(), *self.load_texts()]
    )

  def rate(self) -> float:
    """Returns images a second since `start`."""
    return max(self._steps, 1) * self._batch_size / self._elapsed()

  def rate_text(self) -> str:
    """Returns the rate in words; that of a chip where there are several."""
    a_chip = f' ({self.rate() / self._chips:,.0f} a chip)' * (self._chips > 1)
    return f'{self.rate():,.0f} images/s{a_chip}'

  def load_texts(self) -> list[str]:
    """Returns waiting, MFU and memory in words, the last two if known."""
    texts = [f'{self._waited / self._elapsed():.0%} waiting for data']
    if self._full:
      texts.append(f'MFU {self.rate() / self._full:.1%}')
    if (memory := peak_memory(self._own)) is not None:
      texts.append(f'{memory:.1f} GB at most')
    return texts

  def _elapsed(self):
    return max(self._seconds + time.monotonic() - self._since, 1e-9)
