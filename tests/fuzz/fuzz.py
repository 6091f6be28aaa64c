"""Damaged files and nonsense, by the thousand: what they do to the readers.

    python tests/fuzz/fuzz.py --cases=1400 --seed=0

Each case is a function of the seed and its number. A case may end well, or with
the error that its reader documents; anything else is a fault and is printed
with the number that repeats it (--only=KIND:NUMBER). So is one that takes more
than ten seconds or two gigabytes, or loses a byte that was written.
"""

import argparse
import collections
import contextlib
import functools
import hashlib
import io
import json
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator

import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parents[n]) for n in (1, 2)]

import caffe_nets
import conftest  # compiles as tests do
import idx
import jax
import keras_h5
import photographs
from ml_collections import ConfigDict

import config_lib
import experiment
from configs import alexnet, lenet5, resnet_cifar, vgg
from data import decoding, labels, mean_image, mnist
from errors import UserError
from evaluation import networks as networks_lib
from runtime import checkpoints, run_log, workdir
from training.state import abstract_state, create_state
from zoo import weights

SECONDS, BYTES = 10, 2e9
PUBLISHED = conftest.ROOT / 'published' / 'lenet5_mnist.npz'
# A case: what is done, and the errors that it may end with.
Case = tuple[Callable[[], object], tuple[type[Exception], ...]]


class LostError(Exception):
  """Something that was written is gone."""


def damaged(rng: np.random.Generator, content: bytes, head: int = 0) -> bytes:
  """Returns content with one to three places changed, cut out, doubled, ended.

  Args:
    rng: of the case.
    content: of a whole file.
    head: changes bytes before it only; 0: anywhere.
  """
  out = bytearray(content)
  for _ in range(rng.choice([1, 1, 2, 3])):
    limit = min(head or len(out), len(out))
    if limit < 2:
      break
    start = int(rng.integers(limit))
    stop = start + int(rng.integers(1, 9))
    kind = rng.integers(4 if head else 5)
    if kind == 0:
      out[start] = rng.integers(256)
    elif kind == 1:
      out[start:stop] = rng.bytes(stop - start)
    elif kind == 2:
      del out[start:stop]
    elif kind == 3:
      out[start:start] = out[start:stop]
    else:
      del out[int(rng.integers(len(out))) :]
  return bytes(out)


@functools.cache
def images() -> tuple[bytes, ...]:
  """Returns whole files of the formats that people have."""
  picture = photographs.pixels(0)
  return (
    photographs.jpeg(0),
    photographs.encode(picture, 'JPEG', 'L'),
    photographs.encode(picture, 'JPEG', 'CMYK'),
    photographs.encode(picture, 'JPEG', progressive=True),
    *(photographs.encode(picture, k) for k in ('PNG', 'WEBP', 'BMP', 'TIFF')),
  )


def headers(rng, place) -> Case:
  """An image with a damaged header."""
  content = damaged(rng, images()[rng.integers(len(images()))], head=300)
  return lambda: decoding.decode(content), (ValueError,)


LISTS = (
  'a.jpg cat\nb.jpg dog\nc d.jpg fox\n',
  'a.jpg,cat\r\nb.jpg,"dog"\r\n',
  'image;class\na.jpg;0\nb.jpg;1\nc d.jpg;2\n',
  'cat\ndog\nfox\n',
  'a,n01 1 2 3 4\nb,dog 1 2 3 4 5 6 7 8\n',
)


def lists(rng, place) -> Case:
  """A damaged list of labels, in some encoding."""
  text = LISTS[rng.integers(len(LISTS))]
  encoding = ('utf-8', 'utf-8-sig', 'utf-16', 'utf-32', 'latin-1')
  content = text.encode(encoding[rng.integers(len(encoding))])
  file = place / 'val.txt'
  file.write_bytes(damaged(rng, content))
  names, classes = ['a.jpg', 'b.jpg', 'c d.jpg'], ['cat', 'dog', 'fox']
  return lambda: labels.read(file, names, classes), (UserError,)


VALUES = (
  -1, 0, 1, 2, 3, 7, 2**31, 2**32, 2**63, 10**30, 0.0, -0.5, 0.3, 1e-30, 1e308,
  float('nan'), float('inf'), '', 'x', '3 steps', '1e999 epochs', '-1 epochs',
  'nan steps', 'ü', '\0', '../..', '~nobody/x', 'gs://', (), (1,), (0.0, 1.0),
  ('a',), ('1 epoch', '1 epoch'), (1.0, 2.0, 3.0), None, True, False,
)  # fmt: skip


def configs(rng, place) -> Case:
  """One to three fields with values that somebody may type."""
  module = (lenet5, alexnet, resnet_cifar, vgg)[rng.integers(4)]
  arg = 'smoke' if module is lenet5 else 'smoke,data=fake'
  config = module.get_config(arg)
  fields = sorted(flat(config))
  chosen = {
    fields[rng.integers(len(fields))]: VALUES[rng.integers(len(VALUES))]
    for _ in range(rng.integers(1, 4))
  }

  def call():
    try:
      config.update_from_flattened_dict(chosen)
    except (TypeError, ValueError, KeyError):
      return  # as the command line refuses it, for its type
    config_lib.check(config, 1)
    experiment.check_training(experiment.create_experiment(config))

  return call, (UserError,)


def flat(config: ConfigDict, above: str = '') -> Iterator[str]:
  """Yields the dotted names of all fields."""
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from flat(value, f'{above}{name}.')
    else:
      yield above + name


@functools.cache
def run() -> tuple[experiment.Experiment, pathlib.Path]:
  """Returns an experiment, and a workdir with two checkpoints of it."""
  place = pathlib.Path(tempfile.mkdtemp(prefix='fuzz_')) / 'run'
  made = experiment.create_experiment(conftest.make_config())
  store = checkpoints.Checkpoints(place / 'checkpoints', 2, 0)
  for step in (1, 2):
    store.save(step, create_state(made), None)
  store.wait()
  store.close()
  return made, place


def saved(rng, place) -> Case:
  """A checkpoint of which a file is damaged, emptied or gone."""
  made, whole = run()
  copy = place / 'run'
  shutil.copytree(whole, copy)
  files = sorted(f for f in copy.rglob('*') if f.is_file())
  file = files[rng.integers(len(files))]
  if rng.integers(4) == 0:
    file.unlink()
  else:
    file.write_bytes(damaged(rng, file.read_bytes()))

  def call():
    before = digests(copy)
    store = checkpoints.Checkpoints(copy / 'checkpoints', 2, 0)
    try:
      store.restore_latest(abstract_state(made))
    finally:
      store.close()
      if before - digests(copy):
        raise LostError(f'{len(before - digests(copy))} files')

  return call, (UserError,)


def digests(place: pathlib.Path) -> collections.Counter:
  """Returns what is written below a place, wherever it lies."""
  return collections.Counter(
    hashlib.sha256(file.read_bytes()).hexdigest()
    for file in place.rglob('*')
    if file.is_file()
  )


def logs(rng, place) -> Case:
  """A damaged metrics.jsonl; then the run goes on."""
  file, n = place / 'metrics.jsonl', int(rng.integers(1, 6))
  lines = [
    {'step': s, 'train/loss': 1.5, 'eval/top1_error': 0.5} for s in range(n)
  ]
  content = ''.join(json.dumps(line) + '\n' for line in lines).encode()
  content = damaged(rng, content)
  file.write_bytes(content)

  def call():
    _, strange = run_log.read_lines(file)
    log = run_log.RunLog(place, n, n + 1, 1)
    log.write(n + 1, {'train/loss': 1.0})
    log.close()
    copies = place.glob('*metrics.damaged.jsonl')
    if strange and content not in [c.read_bytes() for c in copies]:
      raise LostError('lines that are not ours')

  return call, ()


@functools.cache
def weight_files() -> dict[str, tuple[str, bytes, dict]]:
  """Returns whole files of weights by kind, with their network and options."""
  narrow = {'width': 0.0625}
  vgg16 = caffe_nets.vgg(16, **narrow)
  with tempfile.TemporaryDirectory() as place:
    file = pathlib.Path(place) / 'a.h5'
    keras_h5.write(file, vgg16, keras_h5.vgg_name)
    keras = file.read_bytes()
  caffe = caffe_nets.caffemodel(vgg16, old=True)
  return {
    'npz': ('lenet5', PUBLISHED.read_bytes(), {'num_classes': 10}),
    'caffemodel': ('vgg_d', caffe, narrow),
    'h5': ('vgg_d', keras, narrow),
  }


def networks(rng, place) -> Case:
  """A damaged file of weights."""
  kind = ('npz', 'caffemodel', 'h5')[rng.integers(3)]
  name, content, options = weight_files()[kind]
  file = place / f'a.{kind}'
  head = 400 if rng.integers(2) else 0
  file.write_bytes(damaged(rng, content, head))
  return (
    lambda: weights.load(name, str(file), **options),
    (weights.WeightsError,),
  )


def records(rng, place) -> Case:
  """Damaged JSON of a workdir; IDX files; a mean image."""
  kind = rng.integers(4)
  if kind == 0:
    content = b'{"class_names": ["a", "b"], "image_shape": [2, 2, 1]}'
    (place / 'classes.json').write_bytes(damaged(rng, content))
    return lambda: workdir.read_classes(place), (UserError,)
  if kind == 1:
    config = conftest.make_config()
    content = json.dumps(workdir.as_json(config)).encode()
    others = (b'[1]', b'17', b'null', b'"a"', b'{"data": 3}', b'{"model": []}')
    if rng.integers(3) == 0:
      content = others[rng.integers(len(others))]
    (place / 'config.json').write_bytes(damaged(rng, content))

    def call():
      workdir.check_owner(place, config)
      networks_lib.as_trained(config, str(place))
      networks_lib.scale_of(config, str(place))

    return call, (UserError,)
  if kind == 2:
    file = place / 'train-images-idx3-ubyte'
    idx.write_idx(file, rng.integers(0, 256, (3, 4, 4), np.uint8))
    file.write_bytes(damaged(rng, file.read_bytes(), 16))
    return lambda: mnist.read_idx(file), (UserError,)
  buffer = io.BytesIO()
  np.save(buffer, np.zeros((4, 4, 3), np.float32))
  (place / 'mean.npy').write_bytes(damaged(rng, buffer.getvalue(), 130))
  config = alexnet.get_config('data=fake,smoke')
  config.data.mean_image = str(place / 'mean.npy')
  return lambda: mean_image.of_config(config), (UserError,)


KINDS = {
  'headers': headers,
  'lists': lists,
  'configs': configs,
  'checkpoints': saved,
  'logs': logs,
  'weights': networks,
  'records': records,
}


def outcome(kind: str, number: int, seed: int) -> str:
  """Returns 'read', 'refused', or a fault with its traceback."""
  rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with tempfile.TemporaryDirectory(prefix='fuzz_') as place:
    call, allowed = KINDS[kind](rng, pathlib.Path(place))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
      with contextlib.redirect_stdout(io.StringIO()):
        call()
      said = 'read'
    except allowed as error:
      said = 'refused'
      if '\n' in str(error).strip():
        said = f'more than a line: {error}'
    except Exception:  # noqa: BLE001  these are what is looked for
      said = traceback.format_exc()
    finally:
      signal.alarm(0)
  grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
  if grown * 1024 > BYTES:
    said = f'took {grown / 1e6:.1f} GB'
  return said


def _too_long(*_):
  raise TimeoutError(f'more than {SECONDS} s')


def main():
  """See the module's docstring."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--cases', type=int, default=1400)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--only', default='', metavar='KIND:NUMBER')
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  each = -(-args.cases // len(KINDS))
  todo = [(kind, n) for kind in KINDS for n in range(each)]
  if args.only:
    kind, _, number = args.only.partition(':')
    todo = [(kind, int(number))]
  counts: dict[str, collections.Counter] = {
    k: collections.Counter() for k in KINDS
  }
  faults = 0
  for kind, number in todo:
    said = outcome(kind, number, args.seed)
    known = said if said in ('read', 'refused') else 'fault'
    counts[kind][known] += 1
    if known == 'fault':
      faults += 1
      print(f'{kind}:{number} {said}', flush=True)
  for kind, found in counts.items():
    if found:
      print(
        f'{kind:12s}', ', '.join(f'{v} {k}' for k, v in sorted(found.items()))
      )
  sys.exit(1 if faults else 0)


if __name__ == '__main__':
  main()
