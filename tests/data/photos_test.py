"""Photographs: folders, crops by position, records that cannot be decoded."""

import json
import re

import jax
import numpy as np
import pytest
from conftest import make_config
from photographs import encode, jpeg, make_folder, pixels

import experiment
import input_pipeline
import train_lib
from data import crops, photos, sources
from errors import UserError
from runtime.mesh import all_devices, batch_sharding
from runtime.preemption import PreemptedError, Preemption


@pytest.fixture
def root(tmp_path):
  return make_folder(tmp_path)


def config_of(root, **fields):
  return make_config(
    'smoke,variant=lenet5_modern',
    data__name='folder',
    data__options={},
    data__dir=str(root),
    data__image_size=32,
    data__geometry={'name': 'inception'},
    data__eval_geometry={'name': 'center', 'shorter_side': 40},
    data__threads=2,
    train__augment='none',
    train__augment_options={},
    **fields,
  )


def cropped(root, split='train', seed=0, **options):
  found = sources.create('folder', split, str(root))
  geometry = crops.create('data.geometry', 32, 'inception')
  return photos.Cropped(found, geometry, 32, seed, **options)


def test_a_folder_gives_its_files_classes_and_names(root):
  (root / 'train/class1/notes.txt').write_text('no photograph')
  (root / 'train/class1/.hidden.jpg').write_bytes(b'')
  (root / 'train/class2/2_0.jpg').rename(root / 'train/class2/2_0.JPEG')
  (root / 'train/class2/png.png').write_bytes(encode(pixels(0), 'PNG'))
  train, test = (
    sources.create('folder', s, str(root)) for s in ('train', 'test')
  )
  assert train.class_names == test.class_names == ('class0', 'class1', 'class2')
  assert (len(train), len(test), train.num_classes) == (13, 6, 3)
  assert train.count_classes().tolist() == [4, 4, 5]
  first, last = train.read(np.array([0, 12]))
  assert first == (jpeg(0), 0, 'train/class0/0_0.jpg')
  assert last.key == 'train/class2/png.png'
  assert [p.label for p in test.read(np.arange(6))] == [0, 0, 1, 1, 2, 2]


def flat(root):
  """Moves the photographs of val/ out of their classes' folders."""
  for place in list((root / 'val').iterdir()):
    for file in place.iterdir():
      file.rename(root / 'val' / file.name)
    place.rmdir()


@pytest.mark.parametrize(
  ('name', 'text'),
  [
    ('val.txt', '0_0.jpg 2\n0_1.jpg 1\n1_0.jpg 0\n1_1.jpg 0\n2_0.jpg 2\n'
     '2_1.jpg 1\n'),
    ('val/labels.csv', 'file,class\n2_1.jpg,class1\n0_0.jpg,class2\n'
     '0_1.jpg,class1\n1_0.jpg,class0\n1_1.jpg,class0\n2_0.jpg,class2\n'),
    ('LOC_val_solution.csv', 'ImageId,PredictionString\n'
     '0_0,class2 1 2 3 4\n0_1,class1 1 2 3 4\n'
     '1_0,class0 1 2 3 4 class0 5 6 7 8\n'
     '1_1,class0 9 9 9 9 \n2_0,class2 9 9 9 9\n2_1,class1 9 9 9 9\n'),
    ('val_labels.txt', 'class2\nclass1\nclass0\nclass0\nclass2\nclass1\n'),
  ],
)  # fmt: skip
def test_a_flat_folder_takes_the_usual_files_of_labels(root, name, text):
  flat(root)
  (root / name).write_text(text)
  test = sources.create('folder', 'test', str(root))
  read = test.read(np.arange(6))
  assert [p.label for p in read] == [2, 1, 0, 0, 2, 1]
  assert [p.key for p in read][:2] == ['val/0_0.jpg', 'val/0_1.jpg']


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('0_0.jpg 2\n', 'no label for val/0_1.jpg'),
    ('0_0.jpg 3\n', "line 1: '3' is neither a class nor a number below 3"),
    ('0_0.jpg 1\nx.jpg 1\n', "line 2: there is no image 'x.jpg'"),
    ('0_0.jpg 1\n0_0.jpg 2\n', "line 2: '0_0.jpg' has two classes"),
    ('0_0.jpg 1\n0_1.jpg\n', "line 2: '0_1.jpg' has no class"),
    ('1\n2\n', '2 labels in one column, but there are 6 images'),
    ('1\n2\n0\n0\n0\n0\n', "one column, and '1' is no class"),
  ],
)
def test_bad_labels_are_named(root, text, message):
  flat(root)
  (root / 'val.txt').write_text(text)
  with pytest.raises(UserError, match=message):
    sources.create('folder', 'test', str(root))


def test_bad_folders_are_named(root):
  def refused(message, split='test', directory=root, **options):
    with pytest.raises(UserError, match=message):
      sources.create('folder', split, str(directory), **options)

  refused("data.dir '/no/such' is not", directory='/no/such')
  refused('no train and no val', directory=root / 'train')
  refused('has no folders', directory=root, train_folder='train/class0')
  (root / 'val/clas1').mkdir()
  refused("'clas1' is no class .*Did you mean 'class1'")
  (root / 'val/clas1').rmdir()
  flat(root)
  refused('set data.options.labels')
  refused("data.options.labels 'x.txt'", labels='x.txt')


def test_crops_depend_on_seed_and_position_only(root):
  source = cropped(root)
  indices, positions = np.arange(12), np.arange(12) + 10**9
  whole = source.batch(indices, positions)
  assert whole['image'].shape == (12, 32, 32, 3)
  assert whole['image'].dtype == np.uint8
  assert whole['label'].tolist() == [0] * 4 + [1] * 4 + [2] * 4
  some = np.array([7, 2])
  part = cropped(root).batch(indices[some], positions[some])
  np.testing.assert_array_equal(part['image'], whole['image'][some])
  again = source.batch(np.zeros(3, int), np.array([0, 1, 0]))['image']
  np.testing.assert_array_equal(again[0], again[2])
  assert (again[0] != again[1]).any()
  other = cropped(root, seed=1).batch(indices, positions)['image']
  assert all((a != b).any() for a, b in zip(other, whole['image']))


def global_batches(source, threads, start=0):
  sharding = batch_sharding(all_devices())
  batches = input_pipeline.train_batches(
    source, 8, seed=0, start=start, stop=6, sharding=sharding, threads=threads
  )
  return [jax.device_get(b) for b in batches]


def test_batches_do_not_depend_on_threads_or_start(root):
  whole = global_batches(cropped(root), 0)
  for threads, start in ((1, 0), (3, 0), (2, 4)):
    got = global_batches(cropped(root), threads, start)
    for a, b in zip(got, whole[start:], strict=True):
      np.testing.assert_array_equal(a['image'], b['image'])
      np.testing.assert_array_equal(a['label'], b['label'])


def test_a_process_reads_its_rows_of_the_same_batch(root):
  """The second of two processes: rows 4 to 7, their positions."""
  source, order = cropped(root), input_pipeline.Order(12, 0)
  rows = np.arange(4, 8)
  mine = cropped(root).batch(order(24 + rows), 24 + rows)
  np.testing.assert_array_equal(
    mine['image'], global_batches(source, 0, 3)[0]['image'][4:]
  )


def damage(root, *names):
  for name in names:
    content = (root / name).read_bytes()
    (root / name).write_bytes(content[: len(content) // 2])


def test_a_bad_photograph_stops_training_with_key_and_index(root):
  damage(root, 'train/class1/1_0.jpg')
  source = cropped(root)
  with pytest.raises(UserError) as error:
    global_batches(source, 2)
  assert source.replaced() == []  # it ends the run, and nothing takes its place
  for word in ('train/class1/1_0.jpg (index 4)', 'Premature end', 'on_error'):
    assert word in str(error.value)


def test_skip_takes_the_next_photograph_and_counts(root):
  damage(root, 'train/class1/1_0.jpg', 'train/class1/1_1.jpg')
  source = cropped(root, max_errors=2)
  got = source.batch(np.array([3, 4, 5, 6]), np.array([0, 1, 2, 3]))
  same = source.batch(np.array([3, 6, 6, 6]), np.array([0, 1, 2, 3]))
  np.testing.assert_array_equal(got['image'], same['image'])
  assert source.replaced() == [
    'train/class1/1_0.jpg (index 4)',
    'train/class1/1_1.jpg (index 5)',
    'train/class1/1_1.jpg (index 5)',
  ]
  assert source.replaced() == []
  # The same again is not a new error; a third bad one is too many.
  source.batch(np.array([4]))
  damage(root, 'train/class2/2_0.jpg')
  with pytest.raises(UserError, match=r'3 photographs .*max_errors is 2.*2_0'):
    source.batch(np.array([8]))
  assert not any('2_0' in name for name in source.replaced())


def test_a_file_that_went_away_is_a_bad_photograph(root):
  source = cropped(root, max_errors=1)
  (root / 'train/class0/0_1.jpg').unlink()
  assert source.batch(np.arange(4))['label'].tolist() == [0] * 4
  assert 'index 1' in source.replaced()[0]


def test_geometry_and_data_must_fit(root):
  config = config_of(root)
  source = experiment.create_source(config, 'train')
  assert source.image_shape == (32, 32, 3)
  crops = source.batch(np.arange(4))['image']
  config.seed = 1
  other = experiment.create_source(config, 'train').batch(np.arange(4))['image']
  assert (crops != other).any()
  config.data.geometry = {'name': 'none'}
  with pytest.raises(UserError, match=r"geometry.name 'none'.*scale_jitter"):
    experiment.create_source(config, 'train')
  config.data.name, config.data.options = 'fake', {}
  with pytest.raises(UserError, match=r"eval_geometry.name 'center'.*set none"):
    experiment.create_source(config, 'test')


@pytest.mark.slow
def test_a_run_says_what_was_replaced_and_evaluation_takes_no_replacement(
  root, tmp_path_factory, capsys
):
  damage(root, 'train/class1/1_0.jpg')
  (root / 'train/class1/1_4.heic').write_bytes(b'')
  (root / 'val/class2/2_2.heic').write_bytes(b'')
  config = config_of(root, data__on_error='skip', train__steps=3)
  workdir = tmp_path_factory.mktemp('run')
  result = train_lib.train_and_evaluate(config, str(workdir))
  assert result['eval/count'] == 6
  said = capsys.readouterr().out
  left_out = [
    f'data        {split}: left out 1 file: 1 .heic\n'
    for split in ('train', 'test')
  ]
  assert 'images), 3 steps of 16' in said
  assert all(line in said for line in left_out)
  assert 'replaced by the next one: train/class1/1_0.jpg (index 4)' in said
  lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
  counts = [line.get('time/replaced_photographs', 0) for line in lines]
  # 48 positions, 4 epochs of 12.
  assert sum(counts) == 4
  damage(root, 'val/class1/1_0.jpg')
  with pytest.raises(UserError, match=r'val/class1/1_0.jpg \(index 2\)'):
    train_lib.evaluate_only(config, str(workdir))
  said = capsys.readouterr().out
  assert left_out[1] in said
  assert left_out[0] not in said  # evaluation does not look there


@pytest.mark.slow
def test_a_run_that_stops_says_what_was_replaced_since_its_last_line(
  root, tmp_path_factory, capsys
):
  damage(root, 'train/class1/1_0.jpg', 'train/class1/1_1.jpg')
  config = config_of(
    root, data__on_error='skip', train__steps=3, train__log_every=100
  )
  workdir = tmp_path_factory.mktemp('run')

  class Stop(Preemption):
    def agreed(self):
      return True

  with pytest.raises(PreemptedError):
    train_lib.train_and_evaluate(config, str(workdir), preemption=Stop())
  said = capsys.readouterr().out
  assert re.search(r'step 1: \d+ photographs could not be decoded', said)
  lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
  assert sum('time/replaced_photographs' in line for line in lines) == 1


def test_on_error_is_checked(root):
  for field, value in (('on_error', 'ignore'), ('max_errors', -1)):
    config = config_of(root, **{f'data__{field}': value})
    with pytest.raises(UserError, match=f'data.{field}'):
      train_lib.create_experiment(config)
