"""Lists of labels: which class each photograph of a folder has.

A line an image, 'NAME CLASS', with commas, semicolons, tabs or spaces between.
Of the name, folders before it are ignored and the extension may be missing;
more columns are ignored, and so is a first line of titles. A class may be
followed by boxes, four numbers each (Kaggle's LOC_val_solution.csv). All
classes of a list are names of folders, or all are their numbers, from 0.

Or one column, the names of the classes in the order of the sorted images.

Text is UTF-8, or has a byte order mark; quotes are those of CSV. A name may
have another normal form of Unicode than on the disk.
"""

import codecs
import csv
import io
import os
import pathlib
import re
from collections.abc import Sequence

from data.listing import nfc
from errors import UserError, closest

# UTF-32's mark begins with UTF-16's.
_MARKS = {
  codecs.BOM_UTF8: 'utf-8-sig',
  codecs.BOM_UTF32_LE: 'utf-32',
  codecs.BOM_UTF32_BE: 'utf-32',
  codecs.BOM_UTF16_LE: 'utf-16',
  codecs.BOM_UTF16_BE: 'utf-16',
}
_BOXES = re.compile(r'(.+?)(?:(?: \1)?(?: -?[\d.]+){4})+')


def read(
  path: pathlib.Path, images: Sequence[str], classes: Sequence[str]
) -> dict[str, int]:
  """Returns the number of the class by the name of the image.

  Args:
    path: the list.
    images: names of the files that it is about.
    classes: names, as `nfc` has them; a class's number is its place here.

  Raises:
    UserError: it cannot be read, or not in one way only; names the line. An
      image that is not on the list is no error.
  """
  separator, rows = _rows(path)
  if not rows:
    raise UserError(f'{path} is empty: write a line an image, NAME CLASS')
  known = _images_by_name(images)
  numbers = {name: i for i, name in enumerate(classes)}
  if separator == ' ':
    rows = [(line, _split(cells, known)) for line, cells in rows]
  if _is_one_column(rows, known, numbers):
    return _by_order(path, [' '.join(c) for _, c in rows], images, numbers)
  return _by_name(path, rows, known, numbers)


def _text(path):
  try:
    content = path.read_bytes()
  except OSError as error:
    raise UserError(f'{path} cannot be read: {error.strerror}') from None
  marks = (name for mark, name in _MARKS.items() if content.startswith(mark))
  encoding = next(marks, 'utf-8')
  try:
    text = content.decode(encoding)
    line = text.partition('\0')[0].count('\n') + 1
  except UnicodeDecodeError as error:
    text, line = '\0', content[: error.start].count(b'\n') + 1
  if '\0' in text:
    raise UserError(
      f'{path}, line {line} is no text in {encoding.upper()}: save the list '
      "as UTF-8 (spreadsheets: 'CSV UTF-8')"
    )
  return text


def _rows(path):
  """Returns (separator, [(line, cells)]) of the lines that are not empty."""
  text = _text(path)
  lines = [line for line in text.splitlines() if line.strip()]
  # Classes may have commas in them, where tabs or semicolons separate.
  separator = ' '
  for mark in '\t;,':
    if 2 * sum(mark in line for line in lines) > len(lines):
      separator = mark
      break
  if separator == ' ':
    text = text.replace('\t', ' ')
  reader = csv.reader(
    io.StringIO(text, newline=None),  # any end of a line
    delimiter=separator,
    skipinitialspace=True,
    strict=True,
  )
  rows = []
  try:
    for row in reader:
      cells = [nfc(cell.strip()) for cell in row]
      while cells and not cells[-1]:
        del cells[-1]
      if cells:
        rows.append((reader.line_num, cells))
  except csv.Error as error:
    raise UserError(f'{path}, line {reader.line_num}: {error}') from None
  return separator, rows


def _images_by_name(images):
  """Returns the images a name may stand for, with and without extension."""
  known: dict[str, list[str]] = {}
  for image in images:
    known.setdefault(nfc(pathlib.PurePath(image).stem), []).append(image)
  # Last, so that a whole name is never another one's stem.
  known.update({nfc(image): [image] for image in images})
  return known


def _split(cells, known):
  """Joins the words of a name and of a class again, [NAME, CLASS].

  The name is the longest that is an image's.
  """
  for end in range(len(cells), 0, -1):
    if _file(' '.join(cells[:end])) in known:
      break
  else:
    end = 1
  rest = ' '.join(cells[end:])
  return [' '.join(cells[:end]), *([rest] if rest else [])]


def _file(name):
  """Without the folders before it, Windows's too."""
  return re.split(r'[\\/]', name)[-1]


def _is_one_column(rows, known, numbers):
  if all(len(cells) == 1 for _, cells in rows):
    return True
  # Or of several words each, which look like a name and a class.
  return not any(_file(cells[0]) in known for _, cells in rows) and all(
    ' '.join(cells) in numbers for _, cells in rows[1:] or rows
  )


def _by_name(path, rows, known, numbers):
  found: list[tuple[int, str, str]] = []  # line, image, text of the class
  for number, (line, cells) in enumerate(rows):
    text = cells[1] if len(cells) > 1 else ''
    candidates = known.get(_file(cells[0]), ())
    if not candidates:
      if number == 0 and not _may_be_class(text, numbers):  # titles
        continue
      raise UserError(f"{path}, line {line}: there is no image '{cells[0]}'")
    if len(candidates) > 1:
      raise UserError(
        f"{path}, line {line}: '{cells[0]}' may be {candidates[0]} or "
        f'{candidates[1]}: write the extension'
      )
    if not text:
      raise UserError(f"{path}, line {line}: '{cells[0]}' has no class")
    found.append((line, candidates[0], text))
  column = _numbers(path, [(line, text) for line, _, text in found], numbers)
  labels: dict[str, int] = {}
  for (line, image, _), label in zip(found, column):
    if labels.setdefault(image, label) != label:
      raise UserError(f"{path}, line {line}: '{image}' has two classes")
  return labels


def _may_be_class(text, numbers):
  text = _without_boxes(text, numbers)
  return text in numbers or _is_number(text)


def _is_number(text):
  # int() has limits: of the length, and none of the script.
  return text.isascii() and text.isdecimal() and len(text) < 10


def _without_boxes(text, numbers):
  if text not in numbers and (match := _BOXES.fullmatch(text)):
    return match[1]
  return text


def _numbers(path, column, numbers):
  """Returns the numbers of classes; names or numbers, never both in a list."""
  column = [(line, _without_boxes(text, numbers)) for line, text in column]
  unnamed = [(line, text) for line, text in column if text not in numbers]
  if not unnamed:
    return [numbers[text] for _, text in column]
  for line, text in unnamed:
    if not _is_number(text) or int(text) >= len(numbers):
      raise UserError(
        f"{path}, line {line}: '{text}' is neither a class nor a number below "
        f'{len(numbers)}.{closest(text, list(numbers)[:1000])}'
      )
  line, text = unnamed[0]
  for other, name in column:
    if not _is_number(name):
      raise UserError(
        f"{path}, line {line}: '{text}' is the number of a class, but line "
        f"{other} has a name, '{name}': write names in all lines"
      )
  if pair := _out_of_order(numbers):
    raise UserError(
      f"{path}, line {line}: '{text}' may be the number of two classes, as "
      f"'{pair[0]}' and '{pair[1]}' are sorted in more than one way: write the "
      'names of the folders'
    )
  return [int(text) for _, text in column]


def _by_order(path, column, images, numbers):
  if len(column) == len(images) + 1 and column[0] not in numbers:  # a title
    column = column[1:]
  if len(column) != len(images):
    raise UserError(
      f'{path} has {len(column)} labels in one column, but there are '
      f'{len(images)} images'
    )
  for text in column:
    if text not in numbers:
      # The development kit's ground truth counts classes in an order of its
      # own.
      raise UserError(
        f"{path} has one column, and '{text}' is no class: write 'NAME CLASS' "
        'lines, or the names of the classes in the order of the images'
      )
  if pair := _out_of_order(images):
    raise UserError(
      f"{path} has one column, in the order of the images, but '{pair[0]}' and "
      f"'{pair[1]}' are sorted in more than one way: write 'NAME CLASS' lines, "
      "or pad the names' numbers with zeros"
    )
  order = sorted(images, key=nfc)
  return {image: numbers[text] for image, text in zip(order, column)}


def _out_of_order(names):
  """Returns two names that programs sort differently; None: all agree.

  By characters '10' comes before '2', 'B' before 'a', and 'i-1.jpg' before
  'i.jpg'; file managers have it the other way.
  """

  def natural(name):
    stem, extension = os.path.splitext(name)
    parts = re.split(r'(\d+)', stem.casefold())
    # Every second part is a number.
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], extension

  plain = sorted(map(nfc, names))
  pairs = zip(plain, sorted(plain, key=natural))
  return next((pair for pair in pairs if pair[0] != pair[1]), None)
