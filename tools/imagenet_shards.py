"""What `prepare_imagenet` writes: shards, as a function of the input alone."""

import errno
import hashlib
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import simplejpeg

from data import crops, decoding
from errors import UserError, one_line
from tools.imagenet_index import Entry, Index

_MOST_SHARDS = 1024


class Shard(NamedTuple):
  """A file to write; `entries` reads them from the columns of an index."""

  path: str
  report: str  # what became of it, JSON; written before the shard is renamed
  images: Index
  rows: np.ndarray
  shorter_side: int  # 0: as they are

  @property
  def entries(self) -> list[Entry]:
    """The images, in the order of the shard."""
    return [self.images[row] for row in self.rows]

  @property
  def whole(self) -> bool:
    """Whether it is there."""
    return os.path.exists(self.path) and os.path.exists(self.report)


def image_as_rgb_jpeg(encoded: bytes, shorter_side: int) -> tuple[bytes, str]:
  """Returns the image as it will be stored, and why if it was encoded anew.

  Args:
    encoded: content of the file.
    shorter_side: to resize to, if it is larger; 0 for no resizing.

  Raises:
    ValueError: truncated, damaged, no image, too large or too long.
  """
  space = 'not a JPEG'
  if decoding.is_jpeg(encoded):
    *_, space = decoding.jpeg_header(encoded)
  why = '' if space in ('YCbCr', 'RGB') else space
  if shorter_side and min(decoding.image_size(encoded)) > shorter_side:
    image = crops.resized(encoded, shorter_side)
    return simplejpeg.encode_jpeg(image, 95, colorsubsampling='420'), why
  if not why:
    # At an eighth of the size: all of the file is read, and little computed.
    decoding.decode(encoded, (1, 1))
    return encoded, ''
  # As TFDS does it; with full colour resolution.
  image = decoding.decode(encoded)
  return simplejpeg.encode_jpeg(image, 100, colorsubsampling='444'), why


def write_shard(
  path: str, report: str, entries: list[Entry], shorter_side: int
) -> dict[str, Any]:
  """Writes a shard and its report, or neither if an image is bad.

  Arguments are those of `Shard`.

  Returns:
    'examples', 'bytes', 'reencoded' (name: why) and 'bad' (name: why).

  Raises:
    OSError: it cannot be written; ENOSPC on a full disk.
  """
  from array_record.python import array_record_module  # noqa: PLC0415
  from tensorflow_datasets.proto import tf_example_pb2  # noqa: PLC0415

  # In the order of the input, so that a disk reads forwards; then shuffled.
  order = sorted(range(len(entries)), key=lambda i: entries[i][2:])
  records: list[bytes] = [b''] * len(order)
  reencoded, bad = {}, {}
  for i in order:
    entry = entries[i]
    try:
      encoded, why = image_as_rgb_jpeg(entry.read(), shorter_side)
    except (ValueError, OSError) as error:
      bad[entry.name] = one_line(error)
      continue
    if why:
      reencoded[entry.name] = why
    example = tf_example_pb2.Example()
    feature = example.features.feature
    feature['image'].bytes_list.value.append(encoded)
    feature['label'].int64_list.value.append(entry.label)
    feature['file_name'].bytes_list.value.append(entry.name.encode())
    records[i] = example.SerializeToString(deterministic=True)
  result = {
    'examples': len(records),
    'bytes': sum(map(len, records)),
    'reencoded': reencoded,
    'bad': bad,
  }
  if not bad:
    temporary = f'{path}.tmp-{os.getpid()}'
    # JPEGs do not shrink, and bytes do not depend on a compressor's version.
    try:
      writer = array_record_module.ArrayRecordWriter(
        temporary, 'group_size:1,uncompressed'
      )
      for record in records:
        writer.write(record)
      writer.close()
      reader = array_record_module.ArrayRecordReader(temporary)
    except RuntimeError as error:  # whatever the cause
      full = os.strerror(errno.ENOSPC)
      if full in str(error):
        raise OSError(errno.ENOSPC, full, temporary) from None
      raise OSError(errno.EIO, one_line(error), temporary) from None
    if reader.num_records() != len(records):
      raise OSError(errno.EIO, 'was not written whole', temporary)
    reader.close()
    with open(temporary, 'rb') as file:
      os.fsync(file.fileno())
    write(pathlib.Path(report), json.dumps(result))
    os.replace(temporary, path)
  return result


def write(path: pathlib.Path, text: str) -> None:
  """Writes a small file whole or not at all."""
  temporary = path.with_name(f'{path.name}.tmp-{os.getpid()}')
  temporary.write_text(text)
  temporary.replace(path)


def plan(
  index: Index, split: str, place: pathlib.Path, shard_bytes: int, side: int
) -> list[Shard]:
  """Cuts a split into shards, its images shuffled, by its content alone.

  Raises:
    UserError: `place` has shards of another plan.
  """
  by_name = sorted(range(len(index)), key=index.names.__getitem__)
  order = np.random.default_rng(2012).permutation(np.array(by_name))
  count = -(-int(index.sizes.sum()) // shard_bytes)
  count = min(count, _MOST_SHARDS, len(index))
  digest = hashlib.sha256(f'{count} {side}'.encode())
  for i in by_name:
    digest.update(
      f'{index.names[i]} {index.labels[i]} {index.sizes[i]}'.encode()
    )
  wanted = {'shards': count, 'digest': digest.hexdigest()}
  file = place / 'prepare' / f'{split}.json'
  if file.exists() and json.loads(file.read_text()) != wanted:
    raise UserError(
      f'{place} was begun from other files or with other options: choose '
      f'another --out, or delete it'
    )
  file.parent.mkdir(parents=True, exist_ok=True)
  write(file, json.dumps(wanted))
  return [
    Shard(
      str(place / shard_name(split, i, count)),
      str(place / 'prepare' / f'{split}-{i:05d}.json'),
      index,
      rows,
      side,
    )
    for i, rows in enumerate(np.array_split(order, count))
  ]


def shard_name(split: str, number: int, count: int) -> str:
  """Returns the name that TFDS expects."""
  return f'imagenet2012-{split}.array_record-{number:05d}-of-{count:05d}'
