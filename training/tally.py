"""Training loss and error counted on the fly, between two lines of the log."""

from collections.abc import Mapping
from typing import Any

_NAMES = ('loss', 'top1_error')


class Tally:
  """Sums over steps: each batch counts as it was before its own update.

  LeNet-5's Figure 5 has the training error so, a pass at a time. The sums are
  saved with a checkpoint, so that a run that was stopped between two lines
  writes the same means as one that was not.

  Args:
    sums: as `sums` was, to go on from; {} starts at zero.
  """

  def __init__(self, sums: Mapping[str, float]):
    self.sums = dict(sums) or dict.fromkeys(('steps', *_NAMES), 0.0)

  def add(self, metrics: Mapping[str, Any]) -> None:
    """Counts the metrics of a step."""
    self.sums['steps'] += 1
    for name in _NAMES:
      self.sums[name] += float(metrics[name])

  def take(self, step: int, every: int) -> dict[str, float]:
    """Returns the means since the last multiple of `every`, by name.

    At a multiple they start anew; the last line of a run may be between two.

    Args:
      step: of this line.
      every: the steps between two lines, `train.log_every`.

    Returns:
      {} where some of those steps were not counted: the run continued from a
      checkpoint without sums.
    """
    sums, expected = self.sums, step - (step - 1) // every * every
    if step % every == 0:
      self.sums = dict.fromkeys(sums, 0.0)
    if sums['steps'] != expected:
      return {}
    return {f'train/mean_{n}': sums[n] / expected for n in _NAMES}
