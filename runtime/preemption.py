"""SIGTERM: finish the step, save, leave with a code that means "start again".

Clouds and schedulers send SIGTERM some time (Google Cloud: 30 s) before they
take a machine away. This is the only mechanism: JAX's own preemption service
is switched off (`distributed.start`), since whichever of the two installs its
handler last silences the other.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from runtime.mesh import all_devices, batch_sharding


class PreemptedError(Exception):
  """Training was asked to stop, and everything is saved."""

  EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: the same command continues


class Preemption:
  """Whether this process, or another one of the run, has been asked to stop.

  Without `install` no signal is caught, and the answer comes from the others.
  """

  def __init__(self):
    self._asked = False
    self._at_stake = False
    self._answer: jax.Array | None = None

  def install(self) -> None:
    """Catches SIGTERM from now on; only in the main thread.

    The second SIGTERM ends the process at once, as does the first one while
    nothing is at stake: both with a compilation going on, during which Python
    runs no handler. So a thread reads what the C handler writes into a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=self._listen, args=(reader,), daemon=True).start()

  def _listen(self, reader):
    while received := os.read(reader, 1):
      if received[0] != signal.SIGTERM:
        continue
      if self._asked:
        self._leave('SIGTERM again: left at once', 128 + signal.SIGTERM)
      self._asked = True
      if not self._at_stake:
        self._leave(
          'SIGTERM before the first step: nothing to save. The same command '
          'continues',
          PreemptedError.EXIT_CODE,
        )

  @staticmethod
  def _leave(text, code):
    print(text, file=sys.stderr, flush=True)
    os._exit(code)

  def step_taken(self) -> None:
    """Tells that there is something to lose from now on."""
    self._at_stake = True

  def agreed(self) -> bool:
    """Whether to stop here; the same on all processes at the same call.

    With several processes the answer is that to the question of the call
    before: one small all-reduce is always on its way behind the step, so that
    no process waits for it.
    """
    if jax.process_count() == 1:
      return self._asked
    if self._answer is None:
      self._prepare()
    answer, self._answer = self._answer, self._any(self._words[self._asked])
    return bool(answer)

  def _prepare(self):
    sharding = batch_sharding(all_devices())
    devices = jax.device_count()

    def word(value):
      mine = np.full(jax.local_device_count(), value)
      return jax.make_array_from_process_local_data(sharding, mine, (devices,))

    self._words = {value: word(value) for value in (False, True)}
    everywhere = jax.sharding.NamedSharding(
      sharding.mesh, jax.sharding.PartitionSpec()
    )
    self._any = jax.jit(lambda words: words.any(), out_shardings=everywhere)
    self._answer = self._any(self._words[False])

  def watch(self, batches: Iterable) -> Iterator:
    """Yields the batches; raises PreemptedError where all agree to stop."""
    for batch in batches:
      if self.agreed():
        raise PreemptedError('asked to stop')
      yield batch
