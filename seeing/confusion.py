"""What a network mistakes for what: pictures of an evaluation that is saved."""

import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

from errors import UserError
from evaluation import inference
from evaluation.predictions import Mistake
from evaluation.saving import Evaluated
from seeing import drawing

_PER_ROW = 8  # mistakes
_SMALL = 64  # pixels: images up to here are shown small
_SIDES = (1.0, 1.7)  # inches of a small image, and of a photograph
_LISTED = 80  # confusions beside the picture, where there is room
_DPI = 150


class Confusion(NamedTuple):
  """Images of one class that are taken for one other."""

  truth: int
  answer: int
  times: int
  images: int  # of the class


def check() -> None:
  """Raises UserError where pictures cannot be drawn."""
  if importlib.util.find_spec('matplotlib') is None:
    raise UserError('eval.save draws pictures: pip install matplotlib')


def commonest(confusions: np.ndarray, most: int) -> list[Confusion]:
  """Returns the commonest confusions; of equal ones the first class's.

  Args:
    confusions: int [classes, classes], images by label and answer.
    most: how many.
  """
  others = confusions * (1 - np.eye(len(confusions), dtype=confusions.dtype))
  truths, answers = np.nonzero(others)
  times = others[truths, answers]
  images = confusions.sum(1)
  return [
    Confusion(int(truths[i]), int(answers[i]), int(times[i]), int(images[t]))
    for i in np.argsort(-times, kind='stable')[:most]
    for t in [truths[i]]
  ]


def draw(evaluated: Evaluated, place: pathlib.Path) -> None:
  """Writes confusion.png, and mistakes.png where there are any mistakes."""
  names = inference.as_words(evaluated.class_names)
  counts = evaluated.counts
  listed = [
    f'{names[c.truth]} → {names[c.answer]}: {c.times:,} of {c.images:,}'
    for c in commonest(counts.confusions, _LISTED)
  ]
  figure = drawing.confusion(counts.confusions, names, evaluated.title, listed)
  drawing.save(figure, place / 'confusion.png', _DPI)
  if not counts.mistakes:
    return
  numbers = np.array([m.number for m in counts.mistakes])
  images = evaluated.source.batch(numbers)['image']
  side = _SIDES[max(images.shape[1:3]) > _SMALL]
  titles = [_title(m, names, side) for m in counts.mistakes]
  columns = min(_PER_ROW, len(images))
  figure = drawing.sheet(images, columns, titles, side, 1 + _count(titles))
  drawing.save(figure, place / 'mistakes.png', _DPI)


def _count(titles):
  return max(title.count('\n') for title in titles)


def _title(mistake: Mistake, names, side):
  """The answer and its probability, then what is right, and which image."""
  pair = ' → '.join((names[mistake.truth], names[mistake.answer]))
  lines = [pair]
  if len(pair) > drawing.letters(side):
    lines = two_lines(names[mistake.truth], names[mistake.answer], side)
  return '\n'.join([*lines, f'{mistake.probability:.1%}, no. {mistake.number}'])


def two_lines(truth: str, answer: str, side: float) -> list[str]:
  """Returns a mistake as two lines that fit above an image of `side` inches."""
  width = drawing.letters(side)
  return [
    drawing.shortened(truth, width),
    '→ ' + drawing.shortened(answer, width - 2),
  ]
