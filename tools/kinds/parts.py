"""Boxes around parts of images, as they are typed or lie in a JSON file."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from errors import UserError, closest
from seeing.correspondence import Box

PARTS = flags.DEFINE_multi_string(
  'parts',
  [],
  'NAME=TOP,LEFT,HEIGHT,WIDTH, the same of all images; or FILE.json with '
  '{image: {NAME: [TOP, LEFT, HEIGHT, WIDTH]}}; in pixels; may come again',
)
RANDOM = 'random'  # the name of the places that are drawn
_FORM = 'NAME=TOP,LEFT,HEIGHT,WIDTH or FILE.json'


def read(texts: Sequence[str]) -> dict[str, Any]:
  """Returns what --parts says: a box, or boxes by image, by its name.

  Reads files, looks at no image.

  Raises:
    UserError: nothing given, of another form, twice; a file cannot be read.
  """
  if not texts:
    raise UserError(f'--parts is missing: {_FORM}')
  found: dict[str, Any] = {}
  for text in texts:
    for name, boxes in (
      _file(text) if _is_file(text) else _typed(text)
    ).items():
      if name == RANDOM:
        raise UserError(
          f"--parts {text}: '{RANDOM}' is what is drawn at random"
        )
      if name in found:
        raise UserError(f"--parts {text}: '{name}' is there already")
      found[name] = boxes
  return found


def examples(found: Mapping[str, Any]) -> list[str]:
  """Returns the images that the files name, where all are numbers; else []."""
  keys = [
    key for boxes in found.values() if isinstance(boxes, dict) for key in boxes
  ]
  return list(dict.fromkeys(keys)) if all(map(str.isdecimal, keys)) else []


def of_images(
  found: Mapping[str, Any], titles: Sequence[str], shape: Sequence[int]
) -> dict[str, list[Box]]:
  """Returns a box an image by name of the part.

  Args:
    found: from `read`.
    titles: of the images: paths, or numbers in their split. A file names an
      image by that, or by the last part of the path.
    shape: (height, width, ...) of the images.

  Raises:
    UserError: none for an image; or it is not inside.
  """
  return {
    name: [
      _inside(name, title, _of(name, boxes, title), shape) for title in titles
    ]
    for name, boxes in found.items()
  }


def _is_file(text):
  return '=' not in text and pathlib.Path(text).suffix == '.json'


def _typed(text) -> dict[str, Any]:
  name, equals, numbers = text.partition('=')
  words = numbers.split(',')
  if not (name and equals) or not all(w.strip().isdecimal() for w in words):
    raise UserError(f"--parts '{text}' is not {_FORM}")
  return {name: _box(text, [int(w) for w in words])}


def _box(where, numbers) -> Box:
  if (
    not isinstance(numbers, list)
    or len(numbers) != 4
    or not all(type(n) is int and n >= 0 for n in numbers)
    or 0 in numbers[2:]
  ):
    raise UserError(
      f'--parts {where}: a box is four whole numbers, TOP,LEFT,HEIGHT,WIDTH, '
      'of at least 0, the last two of at least 1'
    )
  top, left, height, width = numbers
  return top, left, height, width


def _file(path) -> dict[str, Any]:
  """Returns {part: {image: box}}; the file has the images outside."""
  try:
    content = json.loads(pathlib.Path(path).read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'--parts {path} cannot be read: {error}') from None
  if not isinstance(content, dict) or not content:
    raise UserError(f'--parts {path}: {{image: {{NAME: box}}}} is expected')
  found: dict[str, Any] = {}
  for image, boxes in content.items():
    if not isinstance(boxes, dict) or not boxes:
      raise UserError(f"--parts {path}: '{image}' has no {{NAME: box}}")
    for name, numbers in boxes.items():
      box = _box(f"{path}, '{name}' of '{image}'", numbers)
      found.setdefault(name, {})[image] = box
  return found


def _of(name, boxes, title) -> Box:
  if not isinstance(boxes, dict):
    return boxes
  for key in (title, os.path.basename(title)):
    if key in boxes:
      return boxes[key]
  raise UserError(
    f"--parts: no box '{name}' for image '{title}'."
    f'{closest(os.path.basename(title), boxes)}'
  )


def _inside(name, title, box, shape) -> Box:
  top, left, height, width = box
  if top + height > shape[0] or left + width > shape[1]:
    raise UserError(
      f"--parts: '{name}' of '{title}' ends at {top + height},{left + width}, "
      f'outside of the {shape[0]}x{shape[1]} pixels that the network sees'
    )
  return box
