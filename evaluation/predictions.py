"""What a network says of each image of a split, and what that adds up to.

The classes and their order come from the very scores that the error is counted
of, so that the rows and the counts agree to the last image.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from recipe.losses import rank_of_label

TOP = 5  # classes of an image, where there are as many


class Rows(NamedTuple):
  """Images one after the other, in the order of the split."""

  label: Any  # int32 [N]; NumPy's, or JAX's on the way
  best: Any  # int32 [N, k], the most probable classes
  probability: Any  # float32 [N, k], theirs
  rank: Any  # int32 [N], classes before the label: `rank_of_label`


def rows_of(
  scores: jax.Array, probabilities: jax.Array, labels: jax.Array
) -> Rows:
  """Returns the rows of images.

  Args:
    scores: float32 [N, classes], of which errors are counted; the greater comes
      first, of equal ones the lower class. NaN comes first, and for the label
      last: it counts as wrong.
    probabilities: float32 [N, classes], in the same order.
    labels: int32 [N].
  """
  own = jnp.arange(scores.shape[-1]) == labels[:, None]
  ordered = jnp.where(own & jnp.isnan(scores), -jnp.inf, scores)
  best = jax.lax.top_k(ordered, min(TOP, scores.shape[-1]))[1]
  return Rows(
    labels,
    best,
    jnp.take_along_axis(probabilities, best, 1),
    rank_of_label(scores, labels),
  )


def of_logits(
  scale: float,
) -> Callable[[jax.Array, dict], tuple[Rows, jax.Array]]:
  """Returns the function (logits, batch) -> (rows, mask) of `exact`'s step.

  Args:
    scale: of the logits in the softmax, as `networks.scale_of` has it.
  """

  def rows_and_mask(logits, batch):
    probabilities = jax.nn.softmax(scale * logits)
    return rows_of(logits, probabilities, batch['label']), batch['mask']

  return rows_and_mask


class Recorder:
  """A step of `exact.evaluate` that hands on what it says of each image.

  Args:
    step: from `exact.make_eval_step` with `of_logits`.
    take: gets the rows of batch after batch.
  """

  def __init__(self, step: Callable, take: Callable[[Rows], None]):
    self._step, self._take = step, take
    self._last: Any = None

  def __call__(self, variables: dict, batch: dict, sums: dict) -> dict:
    """See `exact.make_eval_step`."""
    sums, found = self._step(variables, batch, sums)
    # Those of the step before: the device is busy with this one meanwhile.
    self.finish()
    self._last = found
    return sums

  def finish(self) -> None:
    """Hands on the rows of the last step."""
    if self._last is not None:
      rows, mask = jax.device_get(self._last)
      self._take(Rows(*(field[mask] for field in rows)))
      self._last = None


def gathered(found: np.ndarray, labels: np.ndarray, total: int) -> Rows:
  """Returns the rows of all processes, on all of them.

  Args:
    found: float32 [n, classes], probabilities of this process's images: number
      p of P has the images p, p + P, ... of the split.
    labels: int32 [n].
    total: images in the split.
  """
  processes = jax.process_count()
  missing = -(-total // processes) - len(labels)
  if missing:  # all send as much
    found = np.pad(found, ((0, missing), (0, 0)))
    labels = np.pad(labels, (0, missing))
  rows = rows_of(jnp.asarray(found), jnp.asarray(found), jnp.asarray(labels))
  rows = jax.device_get(rows)
  if processes == 1:
    return rows

  def together(field):
    everyone = np.asarray(multihost_utils.process_allgather(field))
    return everyone.swapaxes(0, 1).reshape(-1, *field.shape[1:])[:total]

  return Rows(*map(together, rows))


class Mistake(NamedTuple):
  """An image that is taken for another class."""

  number: int  # of the image in its split
  truth: int
  answer: int
  probability: float  # of the answer


class Counts:
  """What rows add up to.

  Args:
    classes: of the network.
    most: mistakes that are kept: the most confident ones.

  Attributes:
    images: how many, so far.
    confusions: int32 [classes, classes], images by label and answer.
    top5_wrong: int [classes], images whose label is not among the five.
    mistakes: in order of probability; of equal ones the first comes first.
  """

  def __init__(self, classes: int, most: int):
    self._most = most
    self.images = 0
    self.confusions = np.zeros((classes, classes), np.int32)
    self.top5_wrong = np.zeros(classes, int)
    self.mistakes: list[Mistake] = []

  def add(self, rows: Rows) -> None:
    """Counts the images that come next."""
    answers = rows.best[:, 0]
    np.add.at(self.confusions, (rows.label, answers), 1)
    np.add.at(self.top5_wrong, rows.label[rows.rank >= TOP], 1)
    wrong = np.flatnonzero(rows.rank)
    found = [
      Mistake(
        self.images + int(i),
        int(rows.label[i]),
        int(answers[i]),
        float(rows.probability[i, 0]),
      )
      for i in wrong
    ]
    order = sorted(self.mistakes + found, key=lambda m: -m.probability)
    self.mistakes = order[: self._most]
    self.images += len(answers)

  @property
  def wrong(self) -> int:
    """Images whose label is not the answer."""
    return self.images - int(self.confusions.trace())

  def check(self, result: dict[str, Any]) -> None:
    """Raises RuntimeError unless they are the counts of an evaluation.

    Args:
      result: as `exact.evaluate` returns it.
    """
    count = result['count']
    mine = {'count': self.images, 'wrong': self.wrong}
    if 'top5_error' in result:
      mine['top5_error'] = int(self.top5_wrong.sum()) / count
    for name, value in mine.items():
      if value != result[name]:
        raise RuntimeError(f'{name}: {value} of rows, {result[name]} counted')
