"""Signs that a run has broken down although every number is finite."""

import collections
import math

WINDOW = 300  # steps
MARGIN = 2.0


class Watch:
  """Compares a run with its own start, and with its own best evaluation.

  Args:
    num_classes: for what a guess costs and errs.
    first_loss: of the first step; None where it is not known.
  """

  def __init__(self, num_classes: int, first_loss: float | None = None):
    self.first_loss = first_loss
    self._guess = math.log(num_classes)
    self._chance = 1 - 1 / num_classes
    self._losses: collections.deque[float] = collections.deque(maxlen=WINDOW)
    self._said = {'loss': False, 'error': False}  # until it has recovered

  def loss(self, value: float) -> str | None:
    """Takes the loss of a step; returns what is wrong, once.

    That is, where the mean of the last `WINDOW` losses is above `MARGIN` times
    that of the first step, or of a guess (a network that starts from trained
    weights has less).
    """
    self._losses.append(value)
    if self.first_loss is None or len(self._losses) < WINDOW:
      return None
    mean = sum(self._losses) / WINDOW
    limit = MARGIN * max(self.first_loss, self._guess)
    return self._once(
      'loss',
      mean > limit,
      f'the mean loss of the last {WINDOW} steps is {mean:.4g}; at the first '
      f'step it was {self.first_loss:.4g}',
    )

  def error(self, now: float, best: float | None) -> str | None:
    """Takes the top-1 error of an evaluation, 0 to 1, and the best before it.

    Returns what is wrong, once: where it is that of a guess, and was better.
    """
    broken = now > 0.97 * self._chance
    better = best is not None and best < 0.9 * self._chance
    return self._once(
      'error',
      broken and better,
      f'the top-1 error is that of a guess, {now:.2%}; it was {best or 0:.2%}',
    )

  def _once(self, kind, wrong, text):
    if wrong and not self._said[kind]:
      self._said[kind] = True
      return text
    self._said[kind] = wrong
    return None
