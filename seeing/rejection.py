"""What must be rejected so that the rest errs little: LeNet-5's Figure 10.

Section III-C rejects where the two best class scores differ by less than a
threshold.
"""

import numpy as np


def curve(
  logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the error of the rest, for each number of rejected images.

  Args:
    logits: [N, classes]; the least sure images go first, by the difference
      between the two largest.
    labels: int [N].

  Returns:
    rejected: float [N], fraction of all images: 0, 1 / N, ... .
    error: float [N], of those that are left.
  """
  best = np.sort(logits, 1)[:, -2:]
  surest_first = np.argsort(best[:, 0] - best[:, 1], kind='stable')
  wrong = (logits.argmax(1) != labels)[surest_first]
  left = np.arange(1, len(labels) + 1)
  error = wrong.cumsum() / left
  return ((len(labels) - left) / len(labels))[::-1], error[::-1]


def needed(rejected: np.ndarray, error: np.ndarray, target: float) -> float:
  """Returns the smallest fraction to reject for an error of `target`; or 1."""
  enough = np.flatnonzero(error <= target)
  return float(rejected[enough[0]]) if enough.size else 1.0
