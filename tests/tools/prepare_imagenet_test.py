"""prepare_imagenet on tars in ImageNet's layout, good, odd and bad."""

import errno
import hashlib
import io
import pathlib
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from conftest import ROOT
from photographs import encode, jpeg, pixels
from PIL import Image

from data import decoding, sources
from errors import UserError
from tools import imagenet_index, imagenet_shards, prepare_imagenet

WORDS = ('n01440764', 'n01443537', 'n02119789')
CLASSES = (0, 1, 278)  # their numbers in the list of 1,000
ODD = {
  'n01443537_0.JPEG': ('JPEG', 'CMYK', 'CMYK'),
  'n01443537_1.JPEG': ('PNG', 'RGB', 'not a JPEG'),
  'n02119789_2.JPEG': ('JPEG', 'L', 'Gray'),
}


def train_files(number=6, height=60, width=80):
  """Returns {class: {name: content}}."""
  files = {}
  for c, word in enumerate(WORDS):
    files[word] = {
      f'{word}_{i}.JPEG': jpeg(10 * c + i, height, width) for i in range(number)
    }
    for i, name in enumerate(files[word]):
      if name in ODD:
        kind, mode, _ = ODD[name]
        files[word][name] = encode(pixels(10 * c + i), kind, mode)
  return files


def add(tar, name, content):
  info = tarfile.TarInfo(name)
  info.size = len(content)
  tar.addfile(info, io.BytesIO(content))


def tar_of(files):
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode='w') as tar:
    for name, content in files.items():
      add(tar, name, content)
  return out.getvalue()


def make_tars(root, files=None, val=5):
  files = files or train_files()
  train = {f'{word}.tar': tar_of(images) for word, images in files.items()}
  (root / 'train.tar').write_bytes(tar_of(train))
  names = [f'ILSVRC2012_val_{i:08d}.JPEG' for i in range(1, val + 1)]
  content = {n: jpeg(500 + i) for i, n in enumerate(names)}
  # The real one is not in order.
  (root / 'val.tar').write_bytes(tar_of(dict(reversed(content.items()))))
  return [f'--train_tar={root}/train.tar', f'--val_tar={root}/val.tar']


def digests(out):
  files = sorted(pathlib.Path(out).rglob('*-of-?????'))
  return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def prepare(monkeypatch, out, *arguments, shard_bytes=8_000):
  """Runs the tool in this process, with shards of a few images."""
  original = prepare_imagenet.plan
  monkeypatch.setattr(
    prepare_imagenet,
    'plan',
    lambda index, split, place, _, side: original(
      index, split, place, shard_bytes, side
    ),
  )
  prepare_imagenet.main([f'--out={out}', '--processes=1', *arguments])
  return pathlib.Path(out) / 'imagenet2012' / '5.1.0'


@pytest.fixture(autouse=True)
def in_process(monkeypatch, request):
  """Workers are threads here: a process takes seconds to import TFDS."""
  if 'slow' in request.keywords:
    return

  class Pool(prepare_imagenet.concurrent.futures.ThreadPoolExecutor):
    def __init__(self, workers, context, initializer, initargs):
      del context, initializer, initargs
      super().__init__(workers)

  monkeypatch.setattr(
    prepare_imagenet.concurrent.futures, 'ProcessPoolExecutor', Pool
  )


def test_the_stock_builder_reads_what_was_in_the_tars(
  tmp_path, monkeypatch, capsys
):
  place = prepare(monkeypatch, tmp_path / 'out', *make_tars(tmp_path))
  said = capsys.readouterr().out
  assert 'train: 18 images of 3 classes: a part of ImageNet' in said
  assert 'validation: 5 images' in said
  builder = tfds.builder('imagenet2012', data_dir=tmp_path / 'out')
  raw = {'image': tfds.decode.SkipDecoding()}
  train = builder.as_data_source('train', decoders=raw)
  assert len(train) == 18
  assert len(list(place.glob('*-train.*'))) > 3
  got = {_name(e): e for e in (train[i] for i in range(18))}
  files = train_files()
  for number, word in zip(CLASSES, WORDS):
    for name, content in files[word].items():
      assert got[name]['label'] == number
      image = got[name]['image']
      if name not in ODD:
        assert image == content
      else:
        decoded = Image.open(io.BytesIO(image))
        assert (decoded.format, decoded.mode) == ('JPEG', 'RGB')
        difference = np.asarray(decoded).astype(int) - decoding.decode(content)
        assert np.abs(difference).max() <= 6
  assert [_name(train[i]) for i in range(18)] != sorted(got)  # shuffled
  lines = (place / 'prepare/reencoded.txt').read_text().splitlines()
  assert dict(line.split('\t') for line in lines) == {
    name: why for name, (_, _, why) in ODD.items()
  }
  folder = tfds.core.tfds_path('datasets/imagenet2012')
  official = (folder / 'validation_labels.txt').read_text().split()
  words = (folder / 'labels.txt').read_text().split()
  validation = builder.as_data_source('validation', decoders=raw)
  for i in range(5):
    example = validation[i]
    number = int(_name(example)[15:23])
    assert words[example['label']] == official[number - 1]
    assert example['image'] == jpeg(499 + number)
  assert 'tensorflow' not in sys.modules


def _name(example):
  name = example['file_name']
  return name.decode() if isinstance(name, bytes) else name


def test_our_source_reads_it(tmp_path, monkeypatch):
  prepare(monkeypatch, tmp_path / 'out', *make_tars(tmp_path))
  train, test = (
    sources.create('imagenet2012', s, str(tmp_path / 'out'))
    for s in ('train', 'test')
  )
  assert (len(train), len(test), train.num_classes) == (18, 5, 1000)
  assert train.class_names[278] == 'n02119789'
  photo = train.read(np.array([4]))[0]
  assert photo.encoded[:2] == b'\xff\xd8'
  assert photo.key[:9] == train.class_names[photo.label]
  part = sources.create(
    'imagenet2012', 'train', str(tmp_path / 'out'), train_split='train[:50%]'
  )
  assert len(part) == 9
  with pytest.raises(UserError, match=r'tools\.prepare_imagenet'):
    sources.create('imagenet2012', 'train', str(tmp_path))
  info = tmp_path / 'out/imagenet2012/5.1.0/dataset_info.json'
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  with pytest.raises(UserError, match='stored there as tfrecord'):
    sources.create('imagenet2012', 'train', str(tmp_path / 'out'))


def test_folders_give_the_same_shards(tmp_path, monkeypatch):
  prepare(monkeypatch, tmp_path / 'a', *make_tars(tmp_path))
  for word, images in train_files().items():
    (tmp_path / 'train' / word).mkdir(parents=True)
    for name, content in images.items():
      (tmp_path / 'train' / word / name).write_bytes(content)
    (tmp_path / 'train' / word / '.DS_Store').write_bytes(b'x')
  with tarfile.open(tmp_path / 'val.tar') as tar:
    tar.extractall(tmp_path / 'val', filter='data')
  folders = [f'--train_dir={tmp_path}/train', f'--val_dir={tmp_path}/val']
  prepare(monkeypatch, tmp_path / 'b', *folders)
  assert digests(tmp_path / 'a') == digests(tmp_path / 'b')


def test_a_shorter_side_is_stored_resized(tmp_path, monkeypatch):
  arguments = make_tars(tmp_path)
  prepare(monkeypatch, tmp_path / 'out', *arguments, '--shorter_side=30')
  train = sources.create('imagenet2012', 'train', str(tmp_path / 'out'))
  sizes = {decoding.image_size(p.encoded) for p in train.read(np.arange(18))}
  assert sizes == {(30, 40)}
  with pytest.raises(SystemExit):  # half the shards of another plan
    prepare(monkeypatch, tmp_path / 'out', *arguments, '--shorter_side=20')


def test_truncated_files_are_refused_by_name_then_mended_or_left_out(
  tmp_path, monkeypatch, capsys
):
  files = train_files()
  good = files[WORDS[0]]['n01440764_3.JPEG']
  files[WORDS[0]]['n01440764_3.JPEG'] = good[: len(good) // 2]
  arguments = make_tars(tmp_path, files)
  with pytest.raises(SystemExit) as error:
    prepare(monkeypatch, tmp_path / 'out', *arguments)
  assert error.value.code == 2
  said = capsys.readouterr().err
  assert '1 images cannot be decoded: n01440764_3.JPEG' in said
  assert 'Premature end' in said
  assert '\n' not in said.strip()
  place = tmp_path / 'out/imagenet2012/5.1.0'
  assert not (place / 'dataset_info.json').exists()
  bad = place / 'prepare/bad.txt'
  prepare(monkeypatch, tmp_path / 'less', *arguments, f'--exclude={bad}')
  train = sources.create('imagenet2012', 'train', str(tmp_path / 'less'))
  assert len(train) == 17


def test_shapes_that_no_photograph_has_are_refused_by_name(
  tmp_path, monkeypatch, capsys
):
  files = train_files()
  line = np.zeros((1, 4000, 3), np.uint8)
  files[WORDS[0]]['n01440764_3.JPEG'] = encode(line, 'PNG')
  files[WORDS[1]]['n01443537_4.JPEG'] = encode(line.swapaxes(0, 1))
  with pytest.raises(SystemExit):
    prepare(monkeypatch, tmp_path / 'out', *make_tars(tmp_path, files))
  said = capsys.readouterr().err
  assert '2 images cannot be decoded: ' in said
  assert 'n01440764_3.JPEG (ValueError: 4000 x 1 pixels, one side more' in said
  assert 'n01443537_4.JPEG (ValueError: 1 x 4000 pixels, one side more' in said


@pytest.mark.parametrize('what', ['shard', 'report', 'metadata'])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
  tmp_path, monkeypatch, capsys, what
):
  class Writer(array_record_module.ArrayRecordWriter):
    def close(self):
      if len(digests(tmp_path / 'out')) == 2:
        # As it says on a full tmpfs.
        raise RuntimeError('write() failed: No space left on device; writing x')
      super().close()

  def write(path, text):
    raise OSError(errno.ENOSPC, 'No space left on device', str(path))

  arguments = make_tars(tmp_path)
  target, name, value = {
    'shard': (array_record_module, 'ArrayRecordWriter', Writer),
    'report': (imagenet_shards, 'write', write),
    'metadata': (prepare_imagenet, 'write', write),
  }[what]
  with monkeypatch.context() as patch:
    patch.setattr(target, name, value)
    with pytest.raises(SystemExit) as ended:
      prepare(patch, tmp_path / 'out', *arguments)
  assert ended.value.code == 2
  said = capsys.readouterr().err
  assert said.count('\n') == 1
  assert said.startswith(f'error: {tmp_path}/out/imagenet2012/5.1.0/')
  assert ': No space left on device. Free some space; the same command' in said
  if what == 'shard':
    assert len(digests(tmp_path / 'out')) == 2
  prepare(monkeypatch, tmp_path / 'out', *arguments)
  prepare(monkeypatch, tmp_path / 'whole', *arguments)
  assert digests(tmp_path / 'out') == digests(tmp_path / 'whole')


@pytest.mark.parametrize('damage', ['outer', 'inner', 'class', 'name'])
def test_bad_tars_are_named(tmp_path, monkeypatch, capsys, damage):
  arguments = make_tars(tmp_path)
  path, word = tmp_path / 'train.tar', 'is no whole tar'
  if damage == 'outer':
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
  elif damage == 'inner':
    inner = tar_of(train_files()[WORDS[0]])
    path.write_bytes(tar_of({f'{WORDS[0]}.tar': inner[: len(inner) // 2]}))
  elif damage == 'class':
    path.write_bytes(tar_of({'n0144076.tar': tar_of({'a.JPEG': jpeg(0)})}))
    word = "Did you mean 'n01440764'"
  else:
    path = tmp_path / 'val.tar'
    path.write_bytes(tar_of({'val_1.JPEG': jpeg(0)}))
    word = "'val_1.JPEG' is no validation image"
  with pytest.raises(SystemExit):
    prepare(monkeypatch, tmp_path / 'out', *arguments)
  said = capsys.readouterr().err
  assert word in said
  assert str(path) in said
  assert 'Traceback' not in said


def test_counts_of_imagenet_are_checked(capsys, monkeypatch):
  monkeypatch.setitem(imagenet_index.COUNTS, 'train', 18)

  def index_of(count):
    index = imagenet_index.Index()
    for i in range(count):
      index.add(f'{i}.JPEG', i % 3, 'x.tar', 0, 1)
    return index

  prepare_imagenet._check_count(index_of(18), 'train', 0)
  assert 'all of ImageNet' in capsys.readouterr().out
  prepare_imagenet._check_count(index_of(17), 'train', 1)
  for count in (17, 19):
    with pytest.raises(UserError, match='ImageNet has 18'):
      prepare_imagenet._check_count(index_of(count), 'train', 0)


@pytest.mark.slow
def test_killed_half_way_and_run_again_gives_identical_shards(tmp_path):
  files = train_files(300, 240, 320)
  arguments = make_tars(tmp_path, files)

  def command(out):
    return [
      sys.executable, '-m', 'tools.prepare_imagenet', f'--out={out}',
      '--processes=2', '--shard_mb=1', *arguments,
    ]  # fmt: skip

  def options():
    return {'cwd': ROOT, 'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}

  subprocess.run(command(tmp_path / 'whole'), check=True, **options())
  whole = digests(tmp_path / 'whole')
  assert len(whole) >= 8
  out, killed_with = tmp_path / 'killed', []
  for _ in range(3):
    before = len(digests(out))
    process = subprocess.Popen(
      command(out), start_new_session=True, **options()
    )
    while len(digests(out)) <= before and process.poll() is None:
      time.sleep(0.005)
    process.kill()
    killed_with.append((process.wait(), len(digests(out))))
  assert killed_with[0][0] == -signal.SIGKILL
  assert 0 < killed_with[0][1] < len(whole)
  times = {f: f.stat().st_mtime_ns for f in out.rglob('*-of-?????')}
  subprocess.run(command(out), check=True, **options())
  assert digests(out) == whole
  for file, time_ns in times.items():
    assert file.stat().st_mtime_ns == time_ns  # kept, not written again
  assert not list(out.rglob('*.tmp-*'))
