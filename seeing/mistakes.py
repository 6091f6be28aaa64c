"""The images that a network gets wrong: LeNet-5's Figure 8, for any data."""

import collections
from typing import NamedTuple

import numpy as np


class Mistake(NamedTuple):
  """An image, what it is, and what the network says."""

  number: int  # of the image in its split
  truth: int
  answer: int


def find(logits: np.ndarray, labels: np.ndarray) -> list[Mistake]:
  """Returns the mistakes in order of number; of equal logits the first wins.

  Args:
    logits: [N, classes], the largest is the answer.
    labels: int [N].
  """
  answers = logits.argmax(1)
  wrong = np.flatnonzero(answers != labels)
  return [Mistake(int(i), int(labels[i]), int(answers[i])) for i in wrong]


def most_confident(
  mistakes: list[Mistake], logits: np.ndarray, scale: float = 1.0
) -> list[tuple[Mistake, float]]:
  """Returns the mistakes with the probability of their answer, largest first.

  Of equal ones the one with the lower number comes first.

  Args:
    mistakes: from `find`.
    logits: float [N, classes].
    scale: of the logits in the softmax, as `scoring.Network` has it.
  """
  rows = scale * logits[[m.number for m in mistakes]].astype('d')
  largest = rows.max(1, keepdims=True, initial=-np.inf)
  # Of the answer, which has the largest logit: e^0 over the sum.
  found = 1 / np.exp(rows - largest).sum(1)
  order = np.argsort(-found, kind='stable')
  return [(mistakes[i], float(found[i])) for i in order]


def by_truth(mistakes: list[Mistake], classes: int) -> list[int]:
  """Returns the number of mistakes on images of each class."""
  counts = collections.Counter(m.truth for m in mistakes)
  return [counts[c] for c in range(classes)]


def confusions(mistakes: list[Mistake]) -> list[tuple[tuple[int, int], int]]:
  """Returns ((truth, answer), count), the commonest first."""
  counts = collections.Counter((m.truth, m.answer) for m in mistakes)
  return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
