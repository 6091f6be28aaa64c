"""Other test sets, counted a second time by NumPy from the pixels on."""

import csv
import json

import numpy as np
import photographs
import pytest
from tiny_network import (
  IDS,
  PART,
  SIDE,
  WIDTH,
  check,
  config_of,
  expected,
  folder,
  kernel_of,
  register,
  results,
  save,
  scores,
  write,
)

import train_lib
from data import arrays, sources
from errors import UserError
from runtime import workdir


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
  register(monkeypatch)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """Weights of 1000 outputs, and no record whose."""
  return save(tmp_path_factory.mktemp('weights') / 'tiny.npz', kernel_of(0))


@pytest.mark.parametrize('protocol', ['center', 'dense', 'multi_crop'])
@pytest.mark.parametrize('rule', ['keep', 'leave_out'])
def test_a_part_of_the_classes_is_counted_as_its_field_says(
  rule, protocol, file, tmp_path, capsys
):
  """A test folder alone, as ImageNet-A and -R come."""
  images = folder(tmp_path / 'imagenet-a', PART)
  (tmp_path / 'imagenet-a' / 'README.txt').write_text('natural')
  fields = {'eval__protocol': protocol} if protocol != 'center' else {}
  config = config_of(
    file, tmp_path / 'imagenet-a', eval__other_classes=rule,
    eval__scales=(SIDE,) if fields else (), **fields,
  )  # fmt: skip
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  classes = sorted(IDS.index(name) for name in PART)
  images = [(number, [IDS.index(name)]) for number, name in images]
  kept = classes if rule == 'leave_out' else range(1000)
  check(result, images, protocol, kept=list(kept))
  said = capsys.readouterr().out
  what = {'keep': 'kept', 'leave_out': 'left out'}[rule]
  assert (
    f'data        test: 8 of 1,000 classes, by WordNet id; the scores of the '
    f'other 992 are {what}' in said
  )
  assert f': folder imagenet-a (8 of 1000 classes, others {what}), ' in said
  ((name, content),) = results(tmp_path / 'run').items()
  of = f'8_of_1000_{what.replace(" ", "_")}'
  scale = '.32' if fields else ''
  assert name == f'tiny.folder.imagenet-a.{of}.{protocol}{scale}.json'
  assert content['result']['test_set'] == (
    f'folder imagenet-a (8 of 1000 classes, others {what})'
  )


def test_the_rules_are_not_the_same_question(file, tmp_path):
  images = folder(tmp_path, PART)
  images = [(number, [IDS.index(name)]) for number, name in images]
  classes = sorted(IDS.index(name) for name in PART)
  assert expected(images, 'center') != expected(images, 'center', kept=classes)


def test_an_ensemble_leaves_out_what_its_first_network_does(file, tmp_path):
  images = folder(tmp_path / 'words', ['tench', 'French_horn', 'gas pump'])
  other = save(tmp_path / 'other.npz', kernel_of(1))
  config = config_of(
    file, tmp_path / 'words', eval__other_classes='leave_out',
    eval__members=str(other),
  )  # fmt: skip
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  numbers = {'tench': 0, 'French_horn': 566, 'gas pump': 571}
  images = [(number, [numbers[name]]) for number, name in images]
  kernels = kernel_of(0), kernel_of(1)
  wrong, _, loss = expected(
    images, 'center', kernels=kernels, kept=list(numbers.values())
  )
  assert (result['wrong'], result['count']) == (wrong, 9)
  assert result['loss'] == pytest.approx(loss, rel=1e-4)
  assert 'top5_error' not in result  # of three classes


def test_numbered_folders_are_places_in_the_order_of_the_ids(
  file, tmp_path, capsys
):
  """As ImageNet-V2's: a ninth of the 1000, whose names sort as text."""
  root = tmp_path / 'imagenetv2-top-images-format-val'
  images = folder(root, [str(i) for i in range(0, 1000, 9)], per_class=1)
  result = train_lib.evaluate_only(config_of(file, root), str(tmp_path / 'run'))
  check(result, [(n, [int(name)]) for n, name in images], 'center')
  said = capsys.readouterr().out
  assert "112 of 1,000 classes, by number in the order of ImageNet's" in said
  (name,) = results(tmp_path / 'run')
  assert name.startswith('tiny.folder.imagenetv2-top-images-format-val.112_of')


@pytest.mark.parametrize('flat', [False, True])
def test_any_label_of_a_set_is_right_and_images_without_are_left_out(
  flat, file, tmp_path, capsys
):
  rng = np.random.default_rng(0)
  sets = [
    sorted(rng.choice(1000, n, replace=False).tolist())
    for n in rng.choice([0, 1, 2, 300, 700], 20)
  ]
  # The first and the fifth prediction of some, and images that are not there.
  order = np.argsort(
    -scores(photographs.pixels(1, SIDE, WIDTH)[:, 4:36], kernel_of(0))
  )
  sets[0], sets[1], sets[2] = [int(order[0]), 3], [], [5]
  (tmp_path / 'real.json').write_text(json.dumps(sets))
  images = []
  for number in (1, 2, 3, 5, 8, 11, 12, 13, 20):
    place = '' if flat else f'{IDS[number]}/'
    name = f'ILSVRC2012_val_{number:08d}.png'
    write(tmp_path / 'val' / f'{place}{name}', number)
    if sets[number - 1]:
      images.append((number, sets[number - 1]))
  fields = {'eval__label_sets': str(tmp_path / 'real.json')}
  if not flat:  # by several protocols, else by the natural one
    fields |= {'eval__protocol': 'center,dense', 'eval__scales': (SIDE,)}
  config = config_of(file, tmp_path, **fields)
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  last = 'center' if flat else 'dense'
  check(result, images, last)
  found = results(tmp_path / 'run')
  root = tmp_path.name
  protocols = ['center'] if flat else ['center', 'dense']
  assert sorted(found) == [
    f'tiny.folder.{root}.real.{p}.32.json' for p in protocols
  ]
  first = found[f'tiny.folder.{root}.real.center.32.json']
  check(first['result'], images, 'center')
  assert 0 < result['wrong'] < len(images) < 9
  said = capsys.readouterr().out
  assert f'{len(images)} of 9 images have any' in said
  assert f'folder {root} (labels of real.json), {last} at 32: ' in said


def write_list(root):
  """A folder without classes, a list of labels, and nothing to train on."""
  for number in range(4):
    write(root / 'test' / f'{number}.png', number)
  lines = [f'{i}.png {c}\n' for i, c in enumerate((7, 7, 999, 0))]
  (root / 'labels.txt').write_text(''.join(lines))
  return [(0, [7]), (1, [7]), (2, [999]), (3, [0])]


@pytest.mark.parametrize('rule', ['keep', 'leave_out'])
def test_a_list_of_labels_needs_no_training_folder(rule, file, tmp_path):
  images = write_list(tmp_path)
  config = config_of(file, tmp_path, eval__other_classes=rule)
  config.data.options = {'test_folder': 'test'}
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  kept = [0, 7, 999] if rule == 'leave_out' else list(range(1000))
  wrong, _, loss = expected(images, 'center', kept=kept)
  assert (result['count'], result['wrong']) == (4, wrong)
  assert result['loss'] == pytest.approx(loss, rel=1e-4)


def test_weights_of_other_classes_count_as_the_training_folder(file, tmp_path):
  """Not ImageNet's, though there is no record: as many outputs, other names."""
  photographs.make_folder(tmp_path / 'data')
  few = save(tmp_path / 'few.npz', kernel_of(2, 3))
  result = train_lib.evaluate_only(
    config_of(few, tmp_path / 'data'), str(tmp_path / 'run')
  )
  assert result['count'] == 6
  assert 'test_set' in result  # it may be any folder
  with pytest.raises(
    UserError, match=r"'class0' .* none of the 1,000 of .*npz"
  ):
    train_lib.evaluate_only(
      config_of(file, tmp_path / 'data'), str(tmp_path / 'run')
    )


def test_as_many_classes_of_ones_own_are_not_imagenets(
  file, tmp_path, monkeypatch
):
  labels = [3, 999, 0, 3]
  images = np.stack([photographs.pixels(i, SIDE, SIDE) for i in range(4)])
  names = [f'own{i}' for i in range(1000)]
  source = arrays.ArraySource(images, np.array(labels), names)
  monkeypatch.setitem(sources.SOURCES, 'cifar10', lambda *_: source)
  config = config_of(file, '', data__eval_geometry__name='none')
  config.data.geometry.name, config.data.name = 'none', 'cifar10'
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  logits = [scores(image, kernel_of(0)) for image in images]
  assert result['wrong'] == (np.argmax(logits, 1) != labels).sum()
  assert result['count'] == 4


def test_the_test_split_of_a_run_has_its_own_name_and_others_theirs(
  file, tmp_path, capsys
):
  """No training folder is there any more; the record tells the classes."""
  names = ['zebra', 'ape', 'bat']
  few = save(tmp_path / 'run.npz', kernel_of(2, 3))
  home = config_of(few, tmp_path / 'home')
  (tmp_path / 'run').mkdir()
  workdir.record_start(tmp_path / 'run', home, 1)
  workdir.record_classes(tmp_path / 'run', names, (SIDE, SIDE, 3), 9)
  # Weights bring their record: what tools.publish writes beside them.
  folder(tmp_path / 'home' / 'val', names)
  images = folder(tmp_path / 'away', ['zebra', 'ape', 'bat'])
  result = train_lib.evaluate_only(home, str(tmp_path / 'out'))
  assert 'test_set' not in result
  assert 'classes, by' not in capsys.readouterr().out
  away = config_of(few, tmp_path / 'away')
  result = train_lib.evaluate_only(away, str(tmp_path / 'out'))
  logits = [
    scores(photographs.pixels(n, SIDE, WIDTH)[:, 4:36], kernel_of(2, 3))
    for n, _ in images
  ]
  right = [names.index(name) for _, name in images]
  assert result['wrong'] == (np.argmax(logits, 1) != right).sum()
  found = results(tmp_path / 'out')
  assert list(found) == [
    'tiny.folder.away.center.json',
    'tiny.folder.center.json',
  ]
  assert found['tiny.folder.away.center.json']['result']['test_set'] == (
    'folder away'
  )
  assert not any('trained_on' in content for content in found.values())


@pytest.mark.parametrize('sets', [False, True])
def test_what_is_saved_of_each_image_is_of_the_same_classes(
  sets, file, tmp_path
):
  root = tmp_path / 'val'
  for number, name in enumerate((5, 900, 900, 41), 1):
    write(root / IDS[name] / f'ILSVRC2012_val_{number:08d}.png', number)
  (tmp_path / 'real.json').write_text('[[5, 6], [], [900], [1, 2, 3]]')
  config = config_of(file, tmp_path, eval__save=str(tmp_path / 'saved'))
  if sets:
    config.eval.label_sets = str(tmp_path / 'real.json')
  else:
    config.eval.other_classes = 'leave_out'
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  with (tmp_path / 'saved' / 'predictions.csv').open() as lines:
    rows = list(csv.DictReader(lines))
  assert len(rows) == result['count'] == (3 if sets else 4)
  assert sum(row['rank'] != '1' for row in rows) == result['wrong']
  labels = {IDS[i] for i in ((1, 2, 3, 5, 6, 900) if sets else (5, 41, 900))}
  assert {row['label'] for row in rows} <= labels
  assert all(row['key'].startswith('val/n') for row in rows)


class Album:
  """Photographs of TFDS: all names, which images have which is not known."""

  class_names, num_classes = IDS, 1000

  def __init__(self, images):
    self.images = images

  def __len__(self):
    return len(self.images)

  def read(self, indices):
    from data.photos import Photo  # noqa: PLC0415

    return [
      Photo(
        photographs.encode(photographs.pixels(n, SIDE, WIDTH), 'PNG'), c, str(n)
      )
      for n, c in (self.images[i] for i in indices)
    ]

  def count_classes(self):
    return None


def test_the_classes_of_photographs_without_folders_are_counted(
  file, tmp_path, monkeypatch
):
  """As TFDS has ImageNet-A: with the names of all 1000."""
  images = [(i, c) for i, c in enumerate([5, 5, 900, 41, 7, 8, 9] * 12)]
  monkeypatch.setitem(sources.SOURCES, 'tfds', lambda split, dir: Album(images))
  config = config_of(file, '', eval__other_classes='leave_out')
  config.data.name = 'tfds'
  result = train_lib.evaluate_only(config, str(tmp_path / 'run'))
  kept = [5, 7, 8, 9, 41, 900]
  check(result, [(i, [c]) for i, c in images], 'center', kept=kept)
