"""Input of ImageNet's kind: JPEG files -> batches of 224x224, against peers.

    pip install scikit-learn                   # ships the photographs
    pip install tensorflow torch torchvision   # peers; what is missing is left
    python -m benchmarks.input --rounds=3      # out
    python -m benchmarks.input --waiting       # beside train steps

Files: 256 JPEGs of 500x375, some 90 KB, cut from the two photographs that ship
in scikit-learn. All from the page cache.

- ours: `input_pipeline.train_batches`, geometry `inception`, to the device;
  'linear' with one interpolation instead of a random one of four
- tf.data: as in the flax imagenet example: decode_and_crop of a distorted
  bounding box, bicubic, flip, normalised to float32
- torchvision: ImageFolder, RandomResizedCrop, flip, ToTensor, Normalize, in
  DataLoader workers

Each measurement is a process of its own that may use the given number of cores,
with as many threads or workers; sides take turns, a round after the other.
Medians; the ratio is ours over the peer in the same round. What more cores
would give is computed, from the CPU time that an image takes: on paper.

--waiting: the train steps of configs/alexnet.py and configs/resnet.py with
their own geometries and augmentations, on what devices there are, and the share
of the time in which they wait for our input: `time/data_wait_fraction`.
"""

import argparse
import datetime
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tools import usage

BATCH, SIZE, FILES = 128, 224, 256
# A channel of a pixel: a byte, or float32 where the host normalises.
SIDES = {
  'ours': ('jax', 1),
  'ours, linear': ('jax', 1),
  'tf.data': ('tensorflow', 4),
  'torchvision': ('torchvision', 4),
}
STEPS = {'alexnet': 12, 'resnet': 6}  # to be measured with --waiting
FULL = 6  # steps before that, until what was read ahead is used up
CORES = (8, 32, 64)  # on paper
FED = 2_500  # images/s of an accelerator, on paper
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_files(root: pathlib.Path) -> float:
  """Writes the JPEGs as a folder of two classes; returns their mean size.

  Raises:
    UserError: scikit-learn is not installed.
  """
  import simplejpeg  # noqa: PLC0415

  with usage.needs('scikit-learn'):
    from sklearn.datasets import load_sample_images  # noqa: PLC0415

  rng, sizes = np.random.default_rng(0), []
  for c, photo in enumerate(load_sample_images().images):  # 427x640
    for part in ('train', 'val'):
      (root / part / str(c)).mkdir(parents=True)
    for i in range(FILES // 2):
      top, left = rng.integers(427 - 375), rng.integers(640 - 500)
      cut = photo[top : top + 375, left : left + 500][:, :: rng.choice((-1, 1))]
      encoded = simplejpeg.encode_jpeg(
        np.ascontiguousarray(cut), 96, colorsubsampling='420'
      )
      (root / 'train' / str(c) / f'{i}.jpg').write_bytes(encoded)
      sizes.append(len(encoded))
    (root / 'val' / str(c) / '0.jpg').write_bytes(encoded)
  return statistics.mean(sizes)


def ours(root, threads, interpolation='random'):
  """Yields batches as `train_lib` gets them."""
  import input_pipeline  # noqa: PLC0415
  from data import crops, folders, photos  # noqa: PLC0415
  from runtime.mesh import all_devices, batch_sharding  # noqa: PLC0415

  geometry = crops.create(
    'geometry', SIZE, 'inception', interpolation=interpolation
  )
  source = photos.Cropped(folders.folder('train', root), geometry, SIZE, seed=0)
  yield from input_pipeline.train_batches(
    source,
    BATCH,
    seed=0,
    start=0,
    stop=1 << 30,
    sharding=batch_sharding(all_devices()),
    threads=threads,
  )


def tf_data(root, threads):
  """Yields batches of github.com/google/flax examples/imagenet."""
  import tensorflow as tf  # noqa: PLC0415

  def load(path):
    encoded = tf.io.read_file(path)
    begin, size, _ = tf.image.sample_distorted_bounding_box(
      tf.io.extract_jpeg_shape(encoded),
      tf.constant([0.0, 0.0, 1.0, 1.0], shape=[1, 1, 4]),
      min_object_covered=0.1,
      aspect_ratio_range=(3 / 4, 4 / 3),
      area_range=(0.08, 1.0),
      max_attempts=10,
      use_image_if_no_bounding_boxes=True,
    )
    y, x, _ = tf.unstack(begin)
    h, w, _ = tf.unstack(size)
    image = tf.io.decode_and_crop_jpeg(encoded, [y, x, h, w], channels=3)
    image = tf.image.resize(
      [image], [SIZE, SIZE], tf.image.ResizeMethod.BICUBIC
    )[0]
    image = tf.image.random_flip_left_right(image)
    return (image - 255 * np.array(MEAN)) / (255 * np.array(STD))

  paths = [str(p) for p in sorted(pathlib.Path(root).glob('train/*/*'))]
  dataset = tf.data.Dataset.from_tensor_slices(paths).repeat()
  dataset = dataset.shuffle(FILES).map(
    load, num_parallel_calls=tf.data.experimental.AUTOTUNE
  )
  options = tf.data.Options()
  options.threading.private_threadpool_size = threads
  dataset = dataset.batch(BATCH, drop_remainder=True).prefetch(10)
  yield from dataset.with_options(options).as_numpy_iterator()


def torchvision(root, threads):
  """Yields batches of torchvision's reference recipe."""
  import torch  # noqa: PLC0415
  from torchvision import datasets, transforms  # noqa: PLC0415

  torch.set_num_threads(1)
  steps = transforms.Compose(
    [
      transforms.RandomResizedCrop(SIZE),
      transforms.RandomHorizontalFlip(),
      transforms.ToTensor(),
      transforms.Normalize(MEAN, STD),
    ]
  )
  files = datasets.ImageFolder(f'{root}/train', steps)
  loader = torch.utils.data.DataLoader(
    torch.utils.data.ConcatDataset([files] * 64),  # no restart of workers
    BATCH,
    shuffle=True,
    num_workers=threads,
    drop_last=True,
  )
  while True:
    yield from loader


def _cpu_seconds():
  """CPU time of this process and of its workers."""
  seconds = time.process_time()
  for child in multiprocessing.active_children():
    stat = pathlib.Path(f'/proc/{child.pid}/stat').read_text()
    ticks = stat.rpartition(')')[2].split()[11:13]
    seconds += sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')
  return seconds


def measure(side: str, root: str, cores: int, seconds: float) -> None:
  """Prints {'rate', 'cpu_ms'} of one side, in this process."""
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
  functions: dict[str, Callable[[str, int], Iterator]] = {
    'ours': ours,
    'ours, linear': functools.partial(ours, interpolation='linear'),
    'tf.data': tf_data,
    'torchvision': torchvision,
  }
  batches = functions[side](root, cores)
  for _ in range(8):  # past what is read ahead while it starts
    next(batches)
  began, cpu, images = time.perf_counter(), _cpu_seconds(), 0
  while time.perf_counter() - began < seconds:
    next(batches)
    images += BATCH
  rate = images / (time.perf_counter() - began)
  cpu_ms = 1e3 * (_cpu_seconds() - cpu) / images
  print(json.dumps({'rate': rate, 'cpu_ms': cpu_ms}), flush=True)
  os._exit(0)  # no waiting for workers


def step_and_wait(
  name: str, root: str, batch_size: int, steps: int
) -> dict[str, float]:
  """Trains a few steps of configs/NAME.py as `train_lib` does.

  Returns:
    'time/images_per_second' and 'time/data_wait_fraction', of
    `runtime.clock.Clock`.
  """
  import experiment as experiment_lib  # noqa: PLC0415
  import input_pipeline  # noqa: PLC0415
  from runtime.clock import Clock  # noqa: PLC0415
  from training.state import create_state  # noqa: PLC0415
  from training.train_step import make_train_step  # noqa: PLC0415

  config = importlib.import_module(f'configs.{name}').get_config('data=folder')
  config.data.dir, config.train.batch_size = root, batch_size
  if 'bn_group' in config.model:
    config.model.bn_group = min(config.model.bn_group, batch_size)
  experiment = experiment_lib.create_experiment(config)
  state = create_state(experiment)
  step = make_train_step(experiment)
  batches = input_pipeline.train_batches(
    experiment.train_source,
    batch_size,
    seed=config.seed,
    start=0,
    stop=FULL + steps,
    sharding=experiment.batch_sharding,
    threads=config.data.threads,
  )
  clock = Clock(batch_size)
  losses: list[Any] = []
  for number, batch in enumerate(clock.waiting(batches)):
    if number == FULL:
      float(losses[-1])
      clock.start()
    state, metrics = step(state, batch)
    if losses:  # one step late
      float(losses[-1])
    losses.append(metrics['loss'])
    clock.step_done()
  float(losses[-1])
  return clock.lap()


def print_waiting(batch_size: int) -> None:
  """Prints the table of --waiting."""
  import jax  # noqa: PLC0415

  devices = jax.devices()
  print(
    f'batch {batch_size}, {len(devices)} x {devices[0].device_kind}, '
    f'{len(os.sched_getaffinity(0))} cores; {processor()}; '
    f'{_versions(["ours"])}; {datetime.date.today():%d %B %Y}\n'
  )
  print('| config | images/s in training | waiting for data |\n|---|---:|---:|')
  with tempfile.TemporaryDirectory() as root:
    make_files(pathlib.Path(root))
    for name, steps in STEPS.items():
      found = step_and_wait(name, root, batch_size, steps)
      print(
        f'| {name} | {found["time/images_per_second"]:,.1f} | '
        f'{found["time/data_wait_fraction"]:.1%} |',
        flush=True,
      )


def in_process(
  side: str, root: str, cores: int, seconds: float
) -> dict[str, float]:
  """Returns what `measure` of a process of its own finds."""
  command = [sys.executable, '-m', 'benchmarks.input', f'--side={side}']
  command += [f'--root={root}', f'--cores={cores}', f'--seconds={seconds}']
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'CUDA_VISIBLE_DEVICES': '',
  }
  done = subprocess.run(
    command, capture_output=True, text=True, check=False, env=environment
  )
  if done.returncode:
    raise RuntimeError(f'{side}: {done.stderr[-2000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def _versions(sides):
  packages = {'grain', 'simplejpeg', 'opencv-python-headless', 'jax'}
  packages |= {SIDES[side][0] for side in sides}
  known = [f'{p} {importlib.metadata.version(p)}' for p in sorted(packages)]
  return ', '.join(known)


def processor() -> str:
  """Returns the CPU's name."""
  for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
    if line.startswith('model name'):
      return line.partition(':')[2].strip()
  return platform.processor()


def compare(rounds: int, seconds: float) -> None:
  """Prints the table."""
  here = [s for s, (p, _) in SIDES.items() if importlib.util.find_spec(p)]
  for side in SIDES.keys() - set(here):
    print(f'{side}: left out, {SIDES[side][0]} is not installed')
  with tempfile.TemporaryDirectory() as root:
    size = make_files(pathlib.Path(root))
    print(
      f'{FILES} JPEGs of 500x375, {size / 1e3:.0f} KB in the mean; '
      f'{processor()}; {_versions(here)}; '
      f'{datetime.date.today():%d %B %Y}; {rounds} rounds of {seconds:g} s\n'
    )
    print(
      '| cores | side | images/s | ours / side | over rounds | CPU, ms/image | '
      'bytes/image to the device |\n|---:|---|---:|---:|---|---:|---:|'
    )
    mine = {}
    for cores in (1, 2):
      found: dict[str, list[dict[str, float]]] = {side: [] for side in here}
      for _ in range(rounds):
        for side in here:
          found[side].append(in_process(side, root, cores, seconds))
      for side in here:
        print(_row(cores, side, found[side], found['ours']), flush=True)
      mine[cores] = found['ours']
  print('\n' + '\n'.join(on_paper(mine)))


def _row(cores, side, found, mine):
  rates = [f['rate'] for f in found]
  ratios = [m['rate'] / rate for m, rate in zip(mine, rates)]
  return (
    f'| {cores} | {side} | {statistics.median(rates):,.0f} | '
    f'{statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} '
    f'| {statistics.median(f["cpu_ms"] for f in found):.2f} | '
    f'{SIZE * SIZE * 3 * SIDES[side][1]:,} |'
  )


def on_paper(measured: dict[int, list[dict[str, float]]]) -> list[str]:
  """Returns the table of what more cores would give.

  Args:
    measured: results of `measure`, by the number of cores.
  """
  lines = ['| cores | images/s | |', '|---:|---:|---|']
  for cores, found in measured.items():
    rate = statistics.median(f['rate'] for f in found)
    lines.append(f'| {cores} | {rate:,.0f} | measured |')
  # Of the most cores: with them, time for what they share is in it.
  cpu_ms = statistics.median(f['cpu_ms'] for f in measured[max(measured)])
  lines += [
    f'| {cores} | {cores * 1e3 / cpu_ms:,.0f} | on paper |' for cores in CORES
  ]
  need = FED * cpu_ms / 1e3
  return [*lines, '', f'{FED:,} images/s take {need:.1f} cores, on paper']


def main() -> None:
  """Compares; with --side measures one, for `compare`."""
  parser = usage.parser(__name__)
  parser.add_argument(
    '--rounds', type=int, default=3, help='of all sides (%(default)s)'
  )
  parser.add_argument(
    '--seconds', type=float, default=5.0, help='of a side (%(default)s)'
  )
  parser.add_argument(
    '--waiting', action='store_true', help='measures train steps instead'
  )
  parser.add_argument(
    '--batch', type=int, default=16, help='of --waiting (%(default)s)'
  )
  parser.add_argument('--side', choices=list(SIDES), help=argparse.SUPPRESS)
  parser.add_argument('--root', help=argparse.SUPPRESS)
  parser.add_argument('--cores', type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  with usage.errors():
    if args.side:
      measure(args.side, args.root, args.cores, args.seconds)
    elif args.waiting:
      print_waiting(args.batch)
    else:
      compare(args.rounds, args.seconds)


if __name__ == '__main__':
  main()
