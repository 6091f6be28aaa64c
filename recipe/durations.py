"""Lengths of training as a config has them: '2 epochs', '500 steps', '30 %'."""

import functools
import math
import re
from typing import NamedTuple

from errors import UserError


class Duration(NamedTuple):
  """A length; `unit` is 'steps', 'epochs', 'examples' or 'percent'."""

  amount: float
  unit: str

  def examples(self, epoch: int, batch_size: int, total: int = 0) -> int:
    """Returns it as a number of training examples.

    Args:
      epoch: examples in the training split.
      batch_size: examples a step.
      total: examples of the whole training, which a percentage is of.
    """
    of = {
      'steps': batch_size,
      'epochs': epoch,
      'examples': 1,
      'percent': total / 100,
    }
    return round(self.amount * of[self.unit])

  def steps(self, epoch: int, batch_size: int, total: int = 0) -> int:
    """Returns it as a number of steps, rounded up; `total` in steps."""
    examples = self.examples(epoch, batch_size, total * batch_size)
    return -(-examples // batch_size)


@functools.cache
def parse(text: str, field: str) -> Duration:
  """Reads '2 epochs', '60000 examples', '500 steps' or '500', '30 %'.

  Raises:
    UserError: names the field; not of this form, or not positive.
  """
  match = re.fullmatch(
    r'\s*([\d_.]+(?:e\d+)?)\s*(step|epoch|example|%|)s?\s*', str(text)
  )
  try:
    amount = float(match[1]) if match else 0.0
  except ValueError:
    amount = 0.0
  if not match or not 0 < amount < math.inf:
    raise UserError(
      f"{field} '{text}': write '2 epochs', '500 steps', '60000 examples' or "
      "'30 %' of the training, more than zero"
    )
  unit = 'percent' if match[2] == '%' else (match[2] or 'step') + 's'
  return Duration(amount, unit)
