"""The folder of `eval.save`: what an evaluation says of each image and class.

    predictions.csv   a line an image: index in the split, key, label, rank of
                      the label, the most probable classes
    classes.csv       a line a class: images, errors, what it is taken for most
    confusion.csv     images by label (a line each) and answer (a column each)
    confusion.png, mistakes.png     what `draw` makes
    result.json       the numbers, as in WORKDIR/results

All is CSV and not JSON: a row has the same few fields for every image, which
spreadsheets, pandas and SQL read as they are. Of several protocols each has a
folder of its name.

The files grow in DIR/.unfinished and are moved when all are there, result.json
last; one of an earlier evaluation is removed first. So where result.json is,
all of it is, of one evaluation. In a bucket the same, from a temporary folder.
"""

import contextlib
import csv
import json
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from data import photos
from data.sources import Source
from errors import UserError, one_line
from evaluation import protocols, tables
from evaluation.predictions import Counts, Rows
from runtime import console, distributed, storage
from runtime.claim import Claim

RESULT = 'result.json'
FILES = (
  'predictions.csv', 'classes.csv', 'confusion.csv', 'confusion.png',
  'mistakes.png', RESULT,
)  # fmt: skip
_UNFINISHED = '.unfinished'
MOST_MISTAKES = 48


class Evaluated(NamedTuple):
  """What pictures are drawn of."""

  title: str
  counts: Counts
  source: Source
  class_names: Sequence[str]


Draw = Callable[[Evaluated, pathlib.Path], None]  # writes into a folder


def refuse_in_training(config: ConfigDict) -> None:
  """Raises UserError where `eval.save` is set; for what does not evaluate."""
  if config.eval.save:
    raise UserError(
      f"eval.save '{config.eval.save}' is for --mode=eval, and this trains: "
      'add --mode=eval, or leave it out'
    )


@contextlib.contextmanager
def opened(config: ConfigDict, draw: Draw) -> Iterator['Saving | None']:
  """Yields what fills the folder of `eval.save`; None where it is not set.

  Args:
    config: with the field.
    draw: makes the pictures.

  Raises:
    UserError: it cannot be written to, is in use, or holds other files of those
      names; on all processes, before anything else is done.
  """
  field = config.eval.save
  if not field:
    yield None
    return
  names, error = protocols.requested(config), None
  folders = names if len(names) > 1 else ['']
  place, made = pathlib.Path(), False
  if jax.process_index() == 0:
    try:
      place = storage.path(field)
      made = _prepare(place, folders)
    except UserError as found:
      error = UserError(f'eval.save: {found}')
  distributed.raise_together(
    error, f"eval.save '{field}' cannot be written to: see process 0"
  )
  try:
    with _staging(place, '://' not in field) as staging:
      yield Saving(place, staging, len(names) > 1, draw)
  finally:
    if made and storage.is_local(place):
      with contextlib.suppress(OSError):  # it is not empty
        place.rmdir()


@contextlib.contextmanager
def _staging(place, local):
  """Yields the folder in which files grow, for one run at a time."""
  if not local:
    with tempfile.TemporaryDirectory(prefix='saved_') as temporary:
      yield pathlib.Path(temporary)
    return
  staging = place / _UNFINISHED
  claim = Claim(staging, 'eval.save')
  claim.take()
  try:
    yield staging
  finally:
    if jax.process_index() == 0:
      shutil.rmtree(staging, ignore_errors=True)
    claim.release()


def _prepare(place, folders):
  """Makes the folder, and returns whether it was not there before.

  Says what of it will be replaced.

  Raises:
    UserError: it cannot be written to, or holds what is not ours.
  """
  try:
    made = not place.exists()
    storage.open_directory(place)
    for folder in folders:
      if (place / folder).exists():
        storage.open_directory(place / folder)
        _check_ours(place, place / folder)
    if storage.is_local(place):
      (place / _UNFINISHED).mkdir(exist_ok=True)
    return made
  except (FileExistsError, NotADirectoryError) as error:
    raise UserError(
      f'{error.filename} is a file, where a folder has to be: take another name'
    ) from None
  except OSError as error:
    raise UserError(
      f'{place} cannot be written to ({error.strerror or error}): take another '
      'folder'
    ) from None


def _check_ours(place, folder):
  there = [name for name in FILES if (folder / name).exists()]
  if not there:
    return
  when = _time_of(folder / RESULT)
  # Of a run that was killed while it moved its files.
  stopped = (place / _UNFINISHED).exists()
  if any((folder / name).is_dir() for name in there) or not (when or stopped):
    raise UserError(
      f'{folder / there[0]} is there, and is not of a whole evaluation: remove '
      'it, or take another folder'
    )
  console.say(
    f'eval.save   {folder}: the evaluation of {when or "a stopped run"} there '
    'will be replaced'
  )


def _time_of(file):
  """Returns when a result of ours was written; '' of any other file."""
  try:
    found = json.loads(file.read_text())
    return found['time'] if {'result', 'networks'} <= found.keys() else ''
  except (OSError, ValueError, LookupError, AttributeError, TypeError):
    return ''


class Saving:
  """Fills the folder of `eval.save`, protocol after protocol.

  Only process 0 writes. What fails on the way, as a full disk, is kept for
  `finish`, so that it costs no result.

  Args:
    place: the folder.
    staging: where files grow.
    several: whether each protocol has a folder in it.
    draw: makes the pictures.
  """

  def __init__(
    self, place: pathlib.Path, staging: pathlib.Path, several: bool, draw: Draw
  ):
    self._place, self._root, self._draw = place, staging, draw
    self._several = several
    self._writes = jax.process_index() == 0

  def start(
    self, protocol: str, source: Source, class_names: Sequence[str]
  ) -> None:
    """Begins the files of a protocol.

    Args:
      protocol: its name.
      source: the split.
      class_names: of the network.
    """
    if not self._writes:
      return
    folder = protocol if self._several else ''
    self._target = self._place / folder
    self._staging = self._root / (folder or 'all')
    self._source, self._names = source, tuple(class_names)
    self._counts = Counts(len(self._names), MOST_MISTAKES)
    self._error: OSError | None = None
    self._file: Any = None
    try:
      shutil.rmtree(self._staging, ignore_errors=True)
      self._staging.mkdir()
      self._file = _open(self._staging / 'predictions.csv')
      self._lines = csv.writer(self._file, lineterminator='\n')
      self._lines.writerow(tables.header(len(self._names)))
    except OSError as error:
      self._error = error

  def take(self, rows: Rows) -> None:
    """Writes the images that come next, in the order of the split."""
    if not self._writes:
      return
    first = self._counts.images
    self._counts.add(rows)
    if self._error is not None:
      return
    try:
      keys = photos.keys(self._source, np.arange(first, self._counts.images))
      self._lines.writerows(tables.lines(first, keys, rows, self._names))
    except OSError as error:
      self._error = error

  def finish(self, content: dict[str, Any], title: str) -> str:
    """Writes the rest and moves all of it to its place; on process 0.

    Args:
      content: of result.json.
      title: of the pictures.

    Returns:
      What was written, for a person.

    Raises:
      UserError: the disk is full, or the like; what was there before is.
      RuntimeError: the rows do not add up to the result.
    """
    self._counts.check(content['result'])
    try:
      self._close()
      self._write(content, title)
      found = _move(self._staging, self._target)
    except OSError as error:
      raise UserError(
        f'eval.save {self._target}: {error.strerror or one_line(error)}. '
        'Nothing of this evaluation is there'
      ) from error
    images = f'{self._counts.images:,} images'
    return f'saved to {self._target}: {", ".join(found)}; {images}'

  def _close(self):
    if self._file is not None:
      self._file.close()
    if self._error is not None:
      raise self._error

  def _write(self, content, title):
    contents = {
      'classes.csv': tables.by_class(self._counts, self._names),
      'confusion.csv': tables.matrix(self._counts, self._names),
    }
    for name, table in contents.items():
      with _open(self._staging / name) as file:
        csv.writer(file, lineterminator='\n').writerows(table)
    about = Evaluated(title, self._counts, self._source, self._names)
    self._draw(about, self._staging)
    text = json.dumps(content, indent=2) + '\n'
    (self._staging / RESULT).write_text(text)


def _open(file):
  # A file's name may be no UTF-8, which Python has as surrogates.
  return file.open('w', encoding='utf-8', errors='surrogateescape', newline='')


def _move(staging, target):
  """Moves the files that there are; returns their names."""
  target.mkdir(parents=True, exist_ok=True)
  (target / RESULT).unlink(missing_ok=True)
  found = []
  for name in FILES:
    if not (staging / name).exists():
      (target / name).unlink(missing_ok=True)
      continue
    found.append(name)
    if storage.is_local(target):
      (staging / name).replace(target / name)
    else:
      storage.write(target / name, (staging / name).read_bytes())
  return found
