"""What `eval.save` writes: rows and tables that add up, or nothing at all."""

import csv
import errno
import functools
import json
import os

import jax
import numpy as np
import pytest
import two_processes
import worker
from conftest import LENET, ROOT, make_config, random_variables
from photographs import make_folder
from pod import Pod

import train_lib
import zoo
from configs import lenet5
from data import sources
from errors import UserError
from evaluation import inference, protocols, saving
from runtime.claim import Claim
from seeing import confusion
from zoo import weights

FILES = set(saving.FILES)


def config_of(save, file, **fields):
  config = lenet5.get_config('data=mnist5k')
  config.init_from, config.eval.save = str(file), str(save)
  config.loss.scale = 1 / 14
  config.eval.batch_size = 64
  config.update_from_flattened_dict(
    {k.replace('__', '.'): v for k, v in fields.items()}
  )
  return config


@pytest.fixture(scope='module')
def network(tmp_path_factory):
  """Returns a file of LeNet-5 with random weights: most digits are wrong."""
  module = zoo.create('lenet5', num_classes=10)
  variables = random_variables(module, (32, 32, 1))
  file = tmp_path_factory.mktemp('network') / 'random.npz'
  weights.save(str(file), variables)
  return file


@pytest.fixture(scope='module')
def saved(network, tmp_path_factory):
  """Returns the folder of a run, and its result."""
  place = tmp_path_factory.mktemp('saved')
  config = config_of(place / 'a', network)
  return place / 'a', train_lib.evaluate_only(config, str(place / 'run'))


@pytest.fixture
def undrawn(monkeypatch):
  """Drawing takes most of the time, and is tested once."""
  monkeypatch.setattr(confusion, 'draw', lambda *_: None)


def read(file):
  with file.open(newline='') as lines:
    return list(csv.DictReader(lines))


def probabilities_of(file, images):
  """Returns float64 [N, 10]: LeNet-5's penalties, divided by its variance."""
  module = zoo.create('lenet5', num_classes=10)
  variables = weights.load('lenet5', str(file), num_classes=10)
  config = lenet5.get_config('data=mnist5k').data
  x = np.pad(images.astype('f'), ((0, 0), (2, 2), (2, 2), (0, 0)))
  x = (x - np.float32(config.mean)) / np.float32(config.std)
  logits = np.asarray(jax.jit(module.apply)(variables, x), np.float64) / 14
  found = np.exp(logits - logits.max(1, keepdims=True))
  return found / found.sum(1, keepdims=True)


def test_each_image_has_its_classes_and_probabilities(saved, network):
  rows = read(saved[0] / 'predictions.csv')
  source = sources.create('mnist5k', 'test')
  assert [r['index'] for r in rows] == [str(i) for i in range(1000)]
  assert [r['key'] for r in rows] == [str(i) for i in range(1000)]
  assert [r['label'] for r in rows] == [str(c) for c in source.labels]
  expected = probabilities_of(network, source.images)
  order = np.argsort(-expected, 1, kind='stable')
  for row, p, best, label in zip(rows, expected, order, source.labels):
    classes = [int(row[f'class_{i}']) for i in range(1, 6)]
    found = [float(row[f'probability_{i}']) for i in range(1, 6)]
    np.testing.assert_allclose(found, p[classes], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found, p[best[:5]], rtol=1e-3, atol=1e-6)
    assert found == sorted(found, reverse=True)
    rank = int(row['rank'])
    assert (rank <= 5) == (label in classes)
    if rank <= 5:
      assert classes[rank - 1] == label


def check_adds_up(place, result, classes=10):
  """Counts the rows, and compares tables and result with them."""
  rows = read(place / 'predictions.csv')
  pairs = [(r['label'], r['class_1']) for r in rows]
  five = [[r[f'class_{i}'] for i in range(1, 6)] for r in rows]
  beyond = [r['label'] for r, best in zip(rows, five) if r['label'] not in best]
  assert len(rows) == result['count']
  assert sum(a != b for a, b in pairs) == result['wrong']
  assert len(beyond) / len(rows) == result['top5_error']
  assert result['top1_error'] == result['wrong'] / result['count']
  confusions = read(place / 'confusion.csv')
  names = [r['label'] for r in confusions]
  assert len(names) == classes
  for row in confusions:
    for answer in names:
      assert int(row[answer]) == pairs.count((row['label'], answer))
  for number, row in enumerate(read(place / 'classes.csv')):
    name = row['class']
    wrong = [b for a, b in pairs if a == name != b]
    images = sum(a == name for a, _ in pairs)
    assert (int(row['number']), name) == (number, names[number])
    assert (int(row['images']), int(row['wrong'])) == (images, len(wrong))
    assert float(row['top1_error']) == pytest.approx(len(wrong) / images, 1e-5)
    assert int(row['top5_wrong']) == beyond.count(name)
    if wrong:
      assert int(row['times']) == wrong.count(row['taken_for'])
      assert int(row['times']) == max(map(wrong.count, names))
  recorded = json.loads((place / 'result.json').read_text())['result']
  assert {k: recorded[k] for k in result} == result


def test_rows_tables_and_result_line_add_up(saved):
  place, result = saved
  assert {p.name for p in place.iterdir()} == FILES
  assert 500 < result['wrong'] < 1000
  assert 0.1 < result['top5_error'] < 0.9
  check_adds_up(place, result)
  (filed,) = (place.parent / 'run' / 'results').iterdir()
  assert filed.read_text() == (place / 'result.json').read_text()


def test_an_ensemble_adds_up(network, saved, tmp_path, undrawn):
  config = config_of(tmp_path / 'a', network)
  config.eval.members = str(ROOT / 'published' / 'lenet5_mnist.npz')
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  check_adds_up(tmp_path / 'a', result)
  assert 0 < result['wrong'] < saved[1]['wrong']
  images = sources.create('mnist5k', 'test').images
  files = (network, config.eval.members)
  expected = np.mean([probabilities_of(file, images) for file in files], 0)
  rows = read(tmp_path / 'a' / 'predictions.csv')
  found = [float(r['probability_1']) for r in rows]
  np.testing.assert_allclose(found, expected.max(1), rtol=1e-3)


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
  """Returns the config of a narrow ResNet and 35 photographs of 7 classes."""
  place = tmp_path_factory.mktemp('photographs')
  folder = make_folder(place / 'data', classes=7, train=1, val=5)
  config = worker.small_resnet(str(folder), {})
  options = {k: v for k, v in config.model.items() if k != 'name'}
  module = zoo.create('resnet18', num_classes=7, **options)
  for seed in range(2):
    variables = random_variables(module, (64, 64, 3))
    factor = 1 + seed / 2
    variables = jax.tree.map(functools.partial(np.multiply, factor), variables)
    weights.save(str(place / f'{seed}.npz'), variables)
  config.init_from = str(place / '0.npz')
  config.eval.batch_size = 16
  return config, place


@pytest.mark.slow
def test_protocols_and_an_ensemble_add_up_in_folders_of_their_own(
  photographs, tmp_path, undrawn
):
  config, place = photographs
  config = config.copy_and_resolve_references()
  config.eval.members = str(place / '1.npz')
  config.eval.protocol, config.eval.scales = 'center,ten_crop', (72,)
  config.eval.save = str(tmp_path / 'a')
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  assert {p.name for p in (tmp_path / 'a').iterdir()} == {'center', 'ten_crop'}
  check_adds_up(tmp_path / 'a' / 'ten_crop', result, 7)
  there = tmp_path / 'a' / 'center'
  other = json.loads((there / 'result.json').read_text())['result']
  assert (other['protocol'], other['passes']) == ('center', 2)
  check_adds_up(there, other, 7)
  rows = read(there / 'predictions.csv')
  ten = read(tmp_path / 'a' / 'ten_crop' / 'predictions.csv')
  names = [f'val/class{c}/{c}_{i}.jpg' for c in range(7) for i in range(5)]
  assert [r['key'] for r in rows] == [r['key'] for r in ten] == names
  assert [r['label'] for r in rows] == [n.split('/')[1] for n in names]
  assert rows != ten
  model = inference.load(config, '')
  files = [(place / 'data' / n).read_bytes() for n in names]
  protocol = protocols.create(config, 'ten_crop')
  expected = inference.predict(model, protocol, files, 16)
  found = [float(r['probability_1']) for r in ten]
  np.testing.assert_allclose(found, expected.max(1), rtol=1e-4)


def test_a_later_evaluation_replaces_an_earlier_one_and_says_so(
  network, tmp_path, undrawn, capsys
):
  place = tmp_path / 'a'
  config = config_of(place, network)
  train_lib.evaluate_only(config, str(tmp_path / 'run'))
  (place / 'mistakes.png').write_text('of the first')
  (place / 'notes.txt').write_text('mine')
  before = (place / 'predictions.csv').read_text()
  assert 'replaced' not in capsys.readouterr().out
  config.init_from = str(ROOT / 'published' / 'lenet5_mnist.npz')
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  assert f'{place}: the evaluation of 20' in capsys.readouterr().out
  assert (place / 'predictions.csv').read_text() != before
  check_adds_up(place, result)
  # One that was killed while it moved its files: result.json comes last.
  (place / 'result.json').unlink()
  (place / '.unfinished' / 'all').mkdir(parents=True)
  train_lib.evaluate_only(config, str(tmp_path / 'run'))
  assert 'the evaluation of a stopped run there' in capsys.readouterr().out
  names = {p.name for p in place.iterdir()}
  assert names == FILES - {'confusion.png', 'mistakes.png'} | {'notes.txt'}


class Stopped(BaseException):
  """Stands for a kill, or for Ctrl-C."""


@pytest.mark.parametrize('there', [True, False])
def test_a_run_that_is_stopped_leaves_what_was_there(
  network, tmp_path, undrawn, monkeypatch, there
):
  place = tmp_path / 'b' / 'a'
  config = config_of(place, network)
  if there:
    train_lib.evaluate_only(config, str(tmp_path / 'run'))
  before = {p: p.read_bytes() for p in place.rglob('*')}

  def stop(saves, rows):
    assert (place / '.unfinished' / 'all' / 'predictions.csv').exists()
    raise Stopped

  monkeypatch.setattr(saving.Saving, 'take', stop)
  with pytest.raises(Stopped):
    train_lib.evaluate_only(config, str(tmp_path / 'run'))
  assert {p: p.read_bytes() for p in place.rglob('*')} == before
  assert place.exists() == there


@pytest.mark.parametrize('when', ['rows', 'tables', 'pictures'])
def test_a_full_disk_costs_no_result_and_is_said(
  network, tmp_path, undrawn, monkeypatch, capsys, when
):
  full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  def fail(*_):
    raise full

  if when == 'rows':
    monkeypatch.setattr(saving.tables, 'lines', fail)
  elif when == 'tables':
    monkeypatch.setattr(saving.tables, 'matrix', fail)
  else:
    monkeypatch.setattr(confusion, 'draw', fail)
  config = config_of(tmp_path / 'a', network)
  with pytest.raises(
    UserError, match=r'eval.save .*/a: No space left'
  ) as error:
    train_lib.evaluate_only(config, str(tmp_path / 'run'))
  assert '\n' not in str(error.value)
  assert 'top-1 error' in capsys.readouterr().out
  assert not (tmp_path / 'a').exists()
  assert list((tmp_path / 'run' / 'results').iterdir())


def test_what_cannot_be_written_is_said_before_anything_is_read(
  network, tmp_path, monkeypatch
):
  def unread(*_, **__):
    raise AssertionError('it is too late')

  monkeypatch.setattr(train_lib, 'create_experiment', unread)
  file, other = tmp_path / 'file', tmp_path / 'other'
  file.write_text('mine')
  other.mkdir()
  (other / 'classes.csv').write_text('mine')
  (tmp_path / 'folder' / 'result.json').mkdir(parents=True)
  (tmp_path / 'damaged').mkdir()
  (tmp_path / 'damaged' / 'result.json').write_text('[1]')
  held = tmp_path / 'held'
  (held / '.unfinished').mkdir(parents=True)
  claim = Claim(held / '.unfinished')
  claim.take()
  for place, words in (
    (file, f'eval.save: {file} is a file, where a folder'),
    (file / 'a', f'eval.save: {file / "a"} is a file, where a folder'),
    ('/proc/saved', 'eval.save: /proc/saved cannot be written to (No such'),
    (tmp_path / ('a' * 300), 'cannot be written to (File name too long): take'),
    ('s3://a/b', 'eval.save: s3://a/b: of addresses, only gs://'),
    (other, f'eval.save: {other / "classes.csv"} is there, and is not of a'),
    (tmp_path / 'folder', 'folder/result.json is there, and is not of'),
    (tmp_path / 'damaged', 'damaged/result.json is there, and is not of'),
    (held, f'eval.save {held / ".unfinished"} is in use by process'),
  ):
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError) as error:
      train_lib.evaluate_only(config_of(place, network), str(tmp_path / 'run'))
    assert str(error.value).startswith('eval.save')
    assert words in str(error.value)
    assert '\n' not in str(error.value)
    assert sorted(tmp_path.rglob('*')) == before
  claim.release()
  monkeypatch.setattr(confusion.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match='pip install matplotlib'):
    train_lib.evaluate_only(config_of(tmp_path / 'a', network), str(tmp_path))


def test_a_folder_that_one_process_cannot_write_ends_all(
  network, tmp_path, monkeypatch
):
  (tmp_path / 'file').write_text('mine')
  bad = config_of(tmp_path / 'file', network)

  def enter():
    with saving.opened(bad, lambda *_: None):
      pass

  with pytest.raises(UserError, match='is a file'):
    enter()
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  two_processes.hear(monkeypatch, [np.array([True])])
  with pytest.raises(UserError, match=r"eval.save '.*file' .*see process 0"):
    enter()


def test_training_saves_nothing_and_says_so(tmp_path):
  config = make_config(eval__save=str(tmp_path / 'a'))
  with pytest.raises(UserError, match=r'eval.save .*add --mode=eval'):
    train_lib.train_and_evaluate(config, str(tmp_path / 'run'))
  assert not list(tmp_path.iterdir())


def check_same(found, expected):
  """Equal rows; probabilities up to rounding, in classes that are not tied."""
  assert len(found) == len(expected) == 1000
  for a, b in zip(found, expected):
    for name in ('index', 'key', 'label', 'rank', 'class_1', 'class_2'):
      assert a[name] == b[name]
    for i in range(1, 6):
      p, q = (float(r[f'probability_{i}']) for r in (a, b))
      assert p == pytest.approx(q, rel=1e-3, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
  'members',
  [
    pytest.param(
      '',
      marks=pytest.mark.skipif(
        'DEEP' not in os.environ, reason='half of the other: run with DEEP=1'
      ),
    ),
    'published/lenet5_mnist.npz',
  ],
)
def test_devices_and_processes_write_the_same_rows(tmp_path, members):
  """In passing as in training, and image by image as an ensemble needs."""
  expected = None
  for processes, devices in ((1, 1), (1, 8), (2, 1)):
    place = tmp_path / f'{processes}_{devices}'
    arguments = (
      '--mode=eval', LENET + 'data=mnist5k', f'--config.eval.save={place}',
      '--config.init_from=published/lenet5_mnist.npz',
      '--config.eval.batch_size=96', f'--config.eval.members={members}',
    )  # fmt: skip
    with Pod(
      tmp_path / f'run_{place.name}', processes, devices, *arguments
    ) as p:
      assert p.codes() == [0] * processes, p.said()
      assert p.said().count('saved to') == 1
      assert all('saved to' not in p.said(i) for i in range(1, processes))
    assert {f.name for f in place.iterdir()} == FILES
    found = read(place / 'predictions.csv')
    expected = expected or found
    check_same(found, expected)
    assert sum(r['rank'] != '1' for r in found) == 6
