"""Other test sets, counted a second time by NumPy from the pixels on."""

import csv
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import photographs
import pytest
from conftest import OPTIMISED, make_config, random_variables, run_main

import train_lib
import zoo
from configs import alexnet
from data import arrays, sources
from data.imagenet_words import imagenet_ids, imagenet_words
from errors import UserError
from evaluation import networks
from runtime import workdir
from zoo import weights

IDS = imagenet_ids()
SIDE, WIDTH = 32, 40  # of the network's input; of photographs
MEAN, STD = 120.0, 60.0


class Tiny(nn.Module):
  """Scores of 8x8 means; a map of them where the image is larger."""

  num_classes: int = 1000
  dtype: type = jnp.float32

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.avg_pool(x, (8, 8), (8, 8))
    x = nn.Conv(self.num_classes, (4, 4), padding='VALID', name='conv')(x)
    return x[:, 0, 0] if x.shape[1:3] == (1, 1) else x


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
  network = zoo.Network(Tiny, (SIDE, SIDE, 3), 'alexnet')
  monkeypatch.setitem(zoo.NETWORKS, 'tiny', network)


def kernel_of(seed, classes=1000):
  rng = np.random.default_rng(seed)
  return rng.standard_normal((4, 4, 3, classes)).astype(np.float32)


def save(path, kernel):
  variables = {'params': {'conv': {'kernel': kernel, 'bias': kernel[0, 0, 0]}}}
  weights.save(str(path), variables)
  return path


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """Weights of 1000 outputs, and no record whose."""
  return save(tmp_path_factory.mktemp('weights') / 'tiny.npz', kernel_of(0))


def config_of(file, root, **fields):
  config = alexnet.get_config('variant=alexnet_owt,data=folder')
  with config.unlocked():
    config.model = {'name': 'tiny', 'dtype': 'float32'}
  config.update_from_flattened_dict(
    {
      'init_from': str(file), 'data.dir': str(root), 'data.image_size': SIDE,
      'data.mean': (MEAN,), 'data.std': (STD,), 'data.threads': 0,
      'data.eval_geometry.shorter_side': SIDE,
      **{k.replace('__', '.'): v for k, v in fields.items()},
    }
  )  # fmt: skip
  return config


def write(place, number):
  """Writes a photograph without loss, and no resizing is needed."""
  place.parent.mkdir(parents=True, exist_ok=True)
  pixels = photographs.pixels(number, SIDE, WIDTH)
  place.write_bytes(photographs.encode(pixels, 'PNG'))


def folder(root, names, per_class=3):
  """Returns the folder, and (number of the photograph, name of its class)."""
  images = []
  for name in names:
    for i in range(per_class):
      write(root / name / f'{i}.png', len(images))
      images.append((len(images), name))
  return images


# The second form: logits of the pixels by a product, ranks by sorting.


def scores(view, kernel):
  """Returns the logits of uint8 [32, w, 3], the mean of the map."""
  x = (view.astype(np.float64) - MEAN) / STD
  w = x.shape[1] // 8
  x = x[:, : 8 * w].reshape(4, 8, w, 8, 3).mean((1, 3))
  maps = [
    np.einsum('hwc,hwcn->n', x[:, i : i + 4], kernel) for i in range(w - 3)
  ]
  return np.mean(maps, 0) + kernel[0, 0, 0]


def views_of(protocol, image):
  if protocol == 'center':
    return [image[:, 4:36]]
  starts = [0] if protocol == 'dense' else [0, 2, 4, 6, 8]
  width = WIDTH if protocol == 'dense' else SIDE
  views = [image[:, s : s + width] for s in starts]
  return [v for view in views for v in (view, view[:, ::-1])]


def expected(images, protocol, kernels=(), kept=None):
  """Counts by (number of a photograph, its right classes)."""
  kernels = kernels or [kernel_of(0)]
  wrong = top5 = 0
  losses = []
  for number, right in images:
    image = photographs.pixels(number, SIDE, WIDTH)
    p = np.zeros(1000)
    for kernel in kernels:
      for view in views_of(protocol, image):
        z = np.full(1000, -np.inf)
        z[kept] = scores(view, kernel)[kept]
        z = np.exp(z - z.max())
        p += z / z.sum() / len(views_of(protocol, image)) / len(kernels)
    order = np.argsort(-p, kind='stable').tolist()
    wrong += order[0] not in right
    top5 += not set(order[:5]) & set(right)
    losses.append(-np.log(p[list(right)].max()))
  return wrong, top5, np.mean(losses)


def check(result, images, protocol, **options):
  wrong, top5, loss = expected(images, protocol, **options)
  assert result['protocol'] == protocol
  assert result['count'] == len(images)
  assert result['wrong'] == wrong
  assert result['top1_error'] == wrong / len(images)
  assert result['top5_error'] == pytest.approx(top5 / len(images))
  assert result['loss'] == pytest.approx(loss, rel=1e-4)


def results(place):
  files = sorted((place / 'results').glob('*.json'))
  return {f.name: json.loads(f.read_text()) for f in files}


PART = [IDS[i] for i in (999, 0, 217, 482, 491, 497, 566, 569)]


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


# Runs, whose workdirs tell their classes.


def digits(labels, names):
  rng = np.random.default_rng(3)
  images = rng.integers(0, 256, (len(labels), 28, 28, 1), np.uint8)
  return arrays.ArraySource(images, np.array(labels), names)


def test_a_run_is_evaluated_on_another_data_set(whole, monkeypatch, capsys):
  """Another data.name, other order, a part of the classes; single."""
  labels = [0, 1, 2, 0, 1, 2, 2, 1, 0, 2, 1]
  source = digits(labels, ('7', '2', '0'))
  monkeypatch.setitem(sources.SOURCES, 'mnist', lambda split, dir: source)
  config = make_config(data__name='mnist', eval__other_classes='leave_out')
  result = train_lib.evaluate_only(config, str(whole))
  variables = networks.load_variables(
    config.model.name, str(whole), num_classes=10
  )
  images = np.pad(source.images.astype('f'), ((0, 0), (2, 2), (2, 2), (0, 0)))
  module = zoo.create(config.model.name, num_classes=10)
  x = (images - config.data.mean[0]) / config.data.std[0]
  logits = np.asarray(jax.jit(module.apply)(variables, x))[:, [7, 2, 0]]
  assert result['wrong'] == (logits.argmax(1) != labels).sum()
  assert result['count'] == 11
  assert '3 of 10 classes, by name; the scores of' in capsys.readouterr().out
  found = results(whole)
  (name,) = [n for n in found if 'mnist5k' not in n]
  assert name == 'lenet5.mnist.3_of_10_left_out.single.json'
  assert found[name]['trained_on'] == {'name': 'mnist5k', 'options': {}}


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'data__name': 'fashion_mnist'}, r"'Coat' is a class .* 10 of .*whole"),
    ({'data__name': 'cifar10'}, r'3 channels, .*whole.* takes 1'),
    ({'data__name': 'mnist'}, 'images of 40x40, larger than the network'),
    ({'eval__other_classes': 'drop'}, "'drop' is unknown. Known: keep, leave"),
    ({'eval__label_sets': 'real.json'}, r"'real.json' cannot be read"),
    (
      {'eval__label_sets': 'r', 'eval__other_classes': 'leave_out'},
      'does not go with eval.label_sets',
    ),
  ],
)
def test_what_does_not_go_with_a_run_is_refused(
  whole, monkeypatch, fields, words
):
  colours = arrays.ArraySource(
    np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2), '0'
  )
  clothes = digits([0, 0], ('Coat',))
  large = arrays.ArraySource(
    np.zeros((2, 40, 40, 1), np.uint8), np.zeros(2), '0'
  )
  table = {'fashion_mnist': clothes, 'cifar10': colours, 'mnist': large}
  for name, source in table.items():
    monkeypatch.setitem(sources.SOURCES, name, lambda *_, s=source: s)
  with pytest.raises(UserError, match=words) as error:
    train_lib.evaluate_only(make_config(**fields), str(whole))
  assert '\n' not in str(error.value)


def test_sets_of_labels_are_imagenets_and_of_photographs(whole, file, tmp_path):
  (tmp_path / 'real.json').write_text('[[1]]')
  fields = {'eval__label_sets': str(tmp_path / 'real.json')}
  with pytest.raises(UserError, match=r'1000 classes; .* has 10 others'):
    train_lib.evaluate_only(make_config(**fields), str(whole))
  config = config_of(file, '', **fields)
  config.data.name = 'fake'
  with pytest.raises(UserError, match=r"data\.name 'fake' have none"):
    train_lib.evaluate_only(config, str(tmp_path / 'run'))


def test_one_class_alone_is_nothing_to_tell_from(file, tmp_path):
  folder(tmp_path / 'one', ['tench'])
  config = config_of(file, tmp_path / 'one', eval__other_classes='leave_out')
  with pytest.raises(UserError, match="leaves one class, 'n01440764'"):
    train_lib.evaluate_only(config, str(tmp_path / 'run'))


def test_another_data_name_needs_a_record_of_the_classes(tmp_path):
  config = make_config()
  (tmp_path / 'checkpoints' / '1').mkdir(parents=True)
  workdir.record_start(tmp_path, config, 1)
  other = make_config(data__name='mnist')
  with pytest.raises(UserError, match=r'data\.name: mnist5k there, mnist here'):
    workdir.check_owner(tmp_path, other)
  workdir.record_classes(tmp_path, ['0'], (28, 28, 1), 1)
  assert workdir.check_owner(tmp_path, other)
  with pytest.raises(UserError, match=r'data\.name: mnist5k there, mnist here'):
    workdir.check_owner(tmp_path, other, trains=True)


@pytest.mark.slow
def test_counts_are_the_same_on_one_and_eight_devices(tmp_path):
  folder(tmp_path / 'data', [*PART, imagenet_words()[3]][:5])
  network = zoo.create('alexnet_owt', width=1 / 32)
  weights.save(
    str(tmp_path / 'net.npz'), random_variables(network, (224, 224, 3))
  )
  found = []
  for devices in (1, 8):
    result = run_main(
      '--config=configs/alexnet.py:variant=alexnet_owt,data=folder',
      '--mode=eval', f'--workdir={tmp_path / str(devices)}',
      f'--config.data.dir={tmp_path / "data"}', '--config.model.width=0.03125',
      f'--config.init_from={tmp_path / "net.npz"}',
      '--config.eval.other_classes=leave_out', '--config.eval.scales=256',
      '--config.eval.protocol=center,ten_crop',
      env={
        **OPTIMISED,
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
      },
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found.append(
      {
        name: {k: content['result'][k] for k in ('count', 'wrong', 'test_set')}
        for name, content in results(tmp_path / str(devices)).items()
      }
    )
  assert len(found[0]) == 2
  assert found[0] == found[1]
  assert all(r['count'] == 15 for r in found[0].values())
