"""What two processes tell each other, in one: its words, then the other's."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def say(monkeypatch, call):
  """Returns what this process sends to all others while `call` runs."""
  sent = []

  def gather(values):
    sent.append(np.asarray(values))
    return np.stack([values, values])

  with monkeypatch.context() as patch:
    patch.setattr(jax, 'process_count', lambda: 2)
    patch.setattr(multihost_utils, 'process_allgather', gather)
    call()
  return sent


def hear(monkeypatch, others):
  """From now on another process answers with `others`, as `say` has them."""
  left = []

  def gather(values):
    if not left:
      left.extend(others)
    return np.stack([left.pop(0), values])

  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(multihost_utils, 'process_allgather', gather)
