r"""ImageNet's tars, or folders, -> a TFDS directory of ArrayRecord files.

    python -m tools.prepare_imagenet --out=DIR \
      --train_tar=ILSVRC2012_img_train.tar --val_tar=ILSVRC2012_img_val.tar
    python -m tools.prepare_imagenet --out=DIR --train_dir=... --val_dir=...
      --shorter_side=256     store the images resized, once for all
      --exclude=FILE         names of images to leave out, one a line

Then: --config.data.name=imagenet2012 --config.data.dir=DIR; TFDS's own builder
reads it too: tfds.builder('imagenet2012', data_dir=DIR).as_data_source(). Needs
pip install tensorflow-datasets importlib_resources, but not TensorFlow.

Every image is decoded once. What is not an RGB JPEG (grey, CMYK, a PNG named
JPEG) is encoded as one, at quality 100, and listed in prepare/reencoded.txt. A
truncated file is refused by name. After a kill, the same command goes on: a
shard is renamed when it is whole, and its content follows from the input alone.
A process holds a shard (128 MB) at a time.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import threading
import time

import numpy as np

from errors import DISK_FULL, UserError
from runtime import storage
from runtime.progress import Progress
from tools import imagenet_index, usage
from tools.imagenet_index import COUNTS, Labels
from tools.imagenet_shards import Shard, plan, shard_name, write, write_shard

VERSION = '5.1.0'  # of TFDS's imagenet2012, whose form this is


def _check_count(index, split, excluded):
  """Says what is there; raises UserError where it is nearly all of ImageNet."""
  whole, found = COUNTS[split], len(index)
  classes = len(np.unique(index.labels))
  said = f'{split}: {found:,} images of {classes:,} classes'
  if index.ignored:
    said += f', {index.ignored:,} other files ignored'
  if found + excluded == whole:
    print(f'{said}: all of ImageNet' + f' but {excluded}' * bool(excluded))
  elif found > 0.9 * whole:
    raise UserError(
      f'{said}, but ImageNet has {whole:,}: something is missing, or there '
      'twice. Compare the checksums of the tars with image-net.org'
    )
  else:
    print(f'{said}: a part of ImageNet, which has {whole:,}')


def run(shards: list[Shard], processes: int) -> None:
  """Writes the shards that are not there yet.

  Raises:
    UserError: images that cannot be decoded; their names are in bad.txt.
  """
  todo = [shard for shard in shards if not shard.whole]
  total, left = (sum(len(s.rows) for s in part) for part in (shards, todo))
  bad: dict[str, str] = {}
  context = multiprocessing.get_context('spawn')
  with (
    Progress(total, total - left) as progress,
    concurrent.futures.ProcessPoolExecutor(
      processes, context, initializer=_end_with_parent, initargs=(os.getpid(),)
    ) as pool,
  ):
    for result in _results(pool, todo, 2 * processes):
      bad |= result['bad']
      progress.add(result['examples'])
  if bad:
    file = pathlib.Path(shards[0].report).parent / 'bad.txt'
    write(file, ''.join(f'{name}\t{why}\n' for name, why in bad.items()))
    shown = ', '.join(f'{name} ({why})' for name, why in list(bad.items())[:3])
    raise UserError(
      f'{len(bad)} images cannot be decoded: {shown}{", ..." * (len(bad) > 3)}.'
      f' All are in {file}. Mend them and run again, or leave them out, in a '
      f'new --out: --exclude={file}'
    )


def _results(pool, todo, ahead):
  """Yields what `write_shard` returns, for each shard as it ends."""
  # Only a few ahead: entries are objects, and many.
  waiting = iter(todo)
  running: set[concurrent.futures.Future] = set()
  try:
    while True:
      while len(running) < ahead and (shard := next(waiting, None)):
        job = (shard.path, shard.report, shard.entries, shard.shorter_side)
        running.add(pool.submit(write_shard, *job))
      if not running:
        return
      ended, running = concurrent.futures.wait(
        running, return_when=concurrent.futures.FIRST_COMPLETED
      )
      for future in ended:
        yield future.result()
  finally:
    pool.shutdown(cancel_futures=True)  # after an error: no more shards


def _end_with_parent(parent):
  """Ends this process when its parent is gone, even by SIGKILL."""

  def watch():
    while os.getppid() == parent:
      time.sleep(0.5)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


def write_metadata(place: pathlib.Path) -> None:
  """Writes what TFDS wants to know, and the list of encoded images.

  Covers every split that is whole.
  """
  import tensorflow_datasets as tfds  # noqa: PLC0415

  splits, encoded = [], []
  for split in COUNTS:
    file = place / 'prepare' / f'{split}.json'
    if not file.exists():
      continue
    count = json.loads(file.read_text())['shards']
    names = [place / shard_name(split, i, count) for i in range(count)]
    if not all(name.exists() for name in names):
      continue
    reports = [
      json.loads((place / 'prepare' / f'{split}-{i:05d}.json').read_text())
      for i in range(count)
    ]
    for report in reports:
      encoded += [f'{n}\t{why}\n' for n, why in report['reencoded'].items()]
    splits.append(
      tfds.core.SplitInfo(
        name=split,
        shard_lengths=[r['examples'] for r in reports],
        num_bytes=sum(r['bytes'] for r in reports),
      )
    )
  write(place / 'prepare' / 'reencoded.txt', ''.join(sorted(encoded)))
  names_file = tfds.core.tfds_path('datasets/imagenet2012/labels.txt')
  tfds.folder_dataset.write_metadata(
    data_dir=place,
    features=tfds.features.FeaturesDict(
      {
        'image': tfds.features.Image(encoding_format='jpeg'),
        'label': tfds.features.ClassLabel(names_file=names_file),
        'file_name': tfds.features.Text(),
      }
    ),
    split_infos=splits,
    version=VERSION,
    check_data=False,  # that takes TensorFlow
    supervised_keys=('image', 'label'),
    homepage='https://image-net.org/',
  )
  print(
    f'{len(encoded):,} images were encoded anew: {place}/prepare/reencoded.txt'
  )


def _labels() -> Labels:
  with usage.needs('tensorflow-datasets importlib_resources'):
    import tensorflow_datasets as tfds  # noqa: PLC0415
  folder = tfds.core.tfds_path('datasets/imagenet2012')
  words, validation = (
    (folder / name).read_text().split()
    for name in ('labels.txt', 'validation_labels.txt')
  )
  return Labels(words, validation)


def prepare(args: argparse.Namespace) -> None:
  """Does what the arguments of `main` say; raises UserError."""
  place = storage.local(args.out) / 'imagenet2012' / VERSION
  inputs = {
    'train': args.train_tar or args.train_dir,
    'validation': args.val_tar or args.val_dir,
  }
  if not any(inputs.values()):
    raise UserError('give --train_tar or --train_dir, --val_tar or --val_dir')
  exclude = set()
  if args.exclude:
    try:
      lines = pathlib.Path(args.exclude).read_text().splitlines()
    except OSError as error:
      raise UserError(f'--exclude {args.exclude}: {error.strerror}') from None
    exclude = {line.split('\t')[0].strip() for line in lines if line.strip()}
  labels, shards = _labels(), []
  for split, path in inputs.items():
    if path:
      index = imagenet_index.build(path, split, labels, exclude)
      _check_count(index, split, index.excluded)
      shards += plan(
        index, split, place, args.shard_mb << 20, args.shorter_side
      )
  for stale in place.rglob('*.tmp-*'):
    stale.unlink()
  run(shards, args.processes)
  write_metadata(place)
  print(f'done: --config.data.name=imagenet2012 --config.data.dir={args.out}')


def main(arguments: list[str] | None = None) -> None:
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument('--out', required=True, help='TFDS data_dir to write')
  for split in ('train', 'val'):
    either = parser.add_mutually_exclusive_group()
    either.add_argument(f'--{split}_tar', help='as image-net.org gives it')
    either.add_argument(
      f'--{split}_dir', help='CLASS/NAME.JPEG; val may be flat'
    )
  parser.add_argument(
    '--shorter_side', type=int, default=0, metavar='PIXELS',
    help='to resize larger images to; 0: none',
  )  # fmt: skip
  parser.add_argument(
    '--exclude', metavar='FILE', help='names of images, one a line'
  )
  parser.add_argument(
    '--processes',
    type=int,
    default=os.cpu_count(),
    help='at a time (%(default)s)',
  )
  parser.add_argument(
    '--shard_mb', type=int, default=128, help='of a file, about (%(default)s)'
  )
  args = parser.parse_args(arguments)
  with usage.errors():
    try:
      prepare(args)
    except OSError as error:
      # Of the output: what cannot be read is a UserError already.
      place = error.filename or args.out
      free = 'Free some space; the' if error.errno in DISK_FULL else 'The'
      raise UserError(
        f'{place}: {error.strerror or error}. {free} same command goes on from '
        'the shards that are whole'
      ) from error


if __name__ == '__main__':
  main()
