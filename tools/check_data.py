r"""Says what data a config would read, and shows what training would see.

    python -m tools.check_data --config=configs/FILE.py:... \
      --config.data.name=folder --config.data.dir=DIR [--out=sheet.png]

Counts of images and classes, the smallest and the largest class, a sample of
each split through its geometry. With --all, every image is decoded, and those
that cannot be are listed. With --out, a picture: three rows of training crops,
one image a column and its class above, then a row of evaluation crops. Flips
and colours are not in it: they happen on the device.
"""

import concurrent.futures
import os
import time

import cv2
import numpy as np
from absl import flags
from ml_collections import ConfigDict

import config_lib
import experiment
from data import photos, sources
from errors import UserError
from evaluation import exact
from runtime.progress import Progress
from tools import command

_ALL = flags.DEFINE_bool('all', False, 'decode every image, list the bad ones')
_SAMPLE = 64  # images of each split that are decoded
_COLUMNS, _ROWS = 8, 3
_TITLE = 16  # pixels above a column
_SMALL_SIDE, _SHOWN_SIDE = 64, 128  # smaller crops are shown enlarged


def spread(source: sources.Source, number: int) -> np.ndarray:
  """Returns numbers of examples all over the split."""
  number = min(number, len(source))
  return np.arange(number) * len(source) // number


def describe(source: sources.Source, split: str) -> str:
  """Returns what a split holds, after decoding a sample of it.

  Raises:
    UserError: a photograph of the sample cannot be decoded.
  """
  began = time.perf_counter()
  sample = source.batch(spread(source, _SAMPLE))
  rate = len(sample['label']) / (time.perf_counter() - began)
  shape = 'x'.join(map(str, source.image_shape))
  lines = [
    f'{split:5s} {len(source):,} images, {source.num_classes:,} classes, '
    f'{shape}; {len(sample["label"])} decoded, {rate:,.0f} images/s in one '
    'thread'
  ]
  lines += [f'      {note}' for note in photos.notes(source)]
  if (counts := source.count_classes()) is None:
    lines.append('      sizes of classes are not known without reading all')
    return '\n'.join(lines)
  low, high = int(counts.argmin()), int(counts.argmax())
  lines.append(
    f'      smallest class {source.class_names[low]} ({counts[low]:,}), '
    f'largest {source.class_names[high]} ({counts[high]:,})'
  )
  return '\n'.join(lines)


def sheet(train: sources.Source, test: sources.Source) -> np.ndarray:
  """Returns the contact sheet, uint8 [H, W, 3], RGB."""
  columns = spread(train, _COLUMNS)
  rows = [
    train.batch(columns, columns + row * len(train)) for row in range(_ROWS)
  ]
  held_out = test.batch(spread(test, _COLUMNS))
  top = _titles(train, rows[0]['label'])
  middle = _titles(test, held_out['label'])
  return np.concatenate(
    [top, *(_row(r['image']) for r in rows), middle, _row(held_out['image'])]
  )


def _row(images):
  """Returns [side, columns * side, 3]; white where there are too few."""
  images = np.broadcast_to(images, (*images.shape[:3], 3))
  shown = [_enlarged(image) for image in images]
  shown += [np.full_like(shown[0], 255)] * (_COLUMNS - len(shown))
  return np.concatenate(shown, 1)


def _side(source):
  side = max(source.image_shape[:2])
  return side if side >= _SMALL_SIDE else _SHOWN_SIDE


def _enlarged(image):
  if max(image.shape[:2]) >= _SMALL_SIDE:
    return image
  return cv2.resize(
    image, (_SHOWN_SIDE, _SHOWN_SIDE), interpolation=cv2.INTER_NEAREST
  )


def _titles(source, labels):
  side = _side(source)
  strip = np.full((_TITLE, _COLUMNS * side, 3), 255, np.uint8)
  for column, label in enumerate(labels):
    name = source.class_names[label][: side // 7]
    cv2.putText(
      strip, name, (column * side + 2, _TITLE - 4), cv2.FONT_HERSHEY_SIMPLEX,
      0.35, (0, 0, 0), 1, cv2.LINE_AA,
    )  # fmt: skip
  return strip


def unreadable(source: sources.Source) -> list[str]:
  """Returns why images cannot be decoded, an entry an image; reads them all."""

  def ask(index):
    try:
      source.batch(np.array([index]))
    except UserError as error:
      return str(error)
    return ''

  found = []
  with (
    concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    Progress(len(source)) as progress,
  ):
    for said in pool.map(ask, range(len(source))):
      progress.add(1)
      found += [said] if said else []
  return found


def check_all(config: ConfigDict) -> None:
  """Decodes every image of both splits, and prints those that cannot be.

  Raises:
    UserError: there are any.
  """
  config = config.copy_and_resolve_references()
  config.data.on_error = 'stop'  # else the next one would take its place
  bad = 0
  for split in ('train', 'test'):
    source = experiment.create_source(config, split)
    found = unreadable(source)
    name = split if split == 'train' else exact.split_name(config)
    print(f'{name:5s} {len(source):,} images read, {len(found):,} bad')
    for said in found:
      print(f'      {said.removesuffix(photos.ADVICE[split]).strip()}')
    bad += len(found)
  if bad:
    raise UserError(f'{bad:,} images cannot be decoded: mend or remove them')


def check(config: ConfigDict, out: str) -> None:
  """Prints what is there; writes the contact sheet if `out` is a path.

  Raises:
    UserError: names what is missing or damaged.
  """
  config_lib.check(config, 1)
  print(f'data  {config.data.name} {config.data.dir}')
  train, test = (
    experiment.create_source(config, split) for split in ('train', 'test')
  )
  print(describe(train, 'train'))
  print(describe(test, exact.split_name(config)))
  if train.class_names != test.class_names:
    print('      MISSING: the classes of the two splits differ')
  if out:
    if not cv2.imwrite(out, sheet(train, test)[..., ::-1]):
      raise UserError(f"--out '{out}' cannot be written")
    print(f'sheet {out}')


def main(config: ConfigDict, _: list[str]) -> None:
  """Does what the flags say."""
  try:
    if _ALL.value:
      check_all(config)
    check(config, command.OUT.value)
  except cv2.error as error:
    raise UserError(str(error)) from None


if __name__ == '__main__':
  command.run(main, [command.OUT, _ALL])
