"""tools.features: files and splits, their rows and names, what is refused."""

import json
import shutil

import forking
import jax
import numpy as np
import photographs
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT, run_main

import experiment
import zoo
from configs import lenet5, resnet
from data import crops, sources
from errors import UserError
from evaluation import features, protocols
from tools import features as tool
from tools import overview

NETWORK = ROOT / 'published' / 'lenet5_mnist.npz'
LAYERS = ('C3', 'F6')


@pytest.fixture(scope='module')
def digits():
  """Test images of MNIST's 5,000, and what the network says of them."""
  source = sources.create('mnist5k', 'test')
  network, variables, preprocessing = zoo.pretrained('lenet5', str(NETWORK))

  @jax.jit
  def states(variables, images):
    return zoo.activations(network, variables, preprocessing(images), LAYERS)

  return source, states(variables, source.images)


def call(*arguments, config=(), **known):
  """Runs the tool in this process: fields of the config, and flags."""
  flags.FLAGS.mark_as_parsed()
  fields = {'init_from': str(NETWORK), **dict(config)}
  config = lenet5.get_config('data=mnist5k')
  config.update_from_flattened_dict(fields)
  with flagsaver.flagsaver(**known):
    return tool.main(config, list(map(str, arguments)))


def check(found, expected, rows):
  """C3 is of maps, F6 of single units; to rounding, as batches differ."""
  assert (found['C3'].dtype, found['F6'].dtype) == (np.float32, np.float32)
  close = {'rtol': 1e-4, 'atol': 1e-5}
  np.testing.assert_allclose(found['C3'], expected['C3'][rows], **close)
  units = expected['F6'][:, 0, 0]
  np.testing.assert_allclose(found['F6'], units[rows], **close)


def test_files_have_their_paths_and_no_rows_where_they_cannot_be_read(
  digits, tmp_path, capsys
):
  source, expected = digits
  rows = np.array([700, 3, 512])
  photos = tmp_path / 'photos'
  photos.mkdir()
  for name, row in zip('acd', rows):
    image = np.repeat(source.images[row], 3, -1)
    (photos / f'{name}.png').write_bytes(photographs.encode(image, 'PNG'))
  (photos / 'b.png').write_bytes(b'nothing')
  out = tmp_path / 'out.npz'
  assert call(photos, layer=LAYERS, out=str(out)) == 1
  said = capsys.readouterr()
  assert said.err.startswith(f'error: {photos}/b.png cannot be decoded')
  assert said.err.count('\n') == 1
  assert said.out.endswith('out.npz: C3 [3, 10, 10, 16], F6 [3, 84]\n')
  found = np.load(out)
  assert set(found) == {'C3', 'F6', 'keys', 'class_names', 'about'}
  assert found['keys'].tolist() == [f'{photos}/{n}.png' for n in 'acd']
  assert found['class_names'].tolist() == list('0123456789')
  check(found, expected, rows)
  about = json.loads(found['about'].item())
  assert (about['network'], about['protocol']) == ('lenet5', 'single')
  assert about['mean'] == [20.0]


@pytest.mark.slow
def test_a_split_has_labels_and_may_be_a_folder(digits, tmp_path):
  source, expected = digits
  out = tmp_path / 'out'
  # The config is that of the folder beside the file.
  done = forking.run(
    'tools.features', f'--config.init_from={NETWORK}',
    '--config.data.name=mnist5k', '--layer=F6,C3,F6', '--split=test',
    f'--out={out}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  found = {p.stem: np.load(p, mmap_mode='r') for p in out.iterdir()}
  check(found, expected, slice(None))
  assert found['labels'].dtype == np.int32
  np.testing.assert_array_equal(found['labels'], source.labels)
  assert found['keys'].tolist() == [str(i) for i in range(1000)]
  assert done.stdout.endswith(
    'F6 [1000, 84], C3 [1000, 10, 10, 16], labels of 10 classes\n'
  )


def test_photographs_of_a_split_are_seen_as_in_evaluation(tmp_path):
  """Those to train on too, whatever crops training takes of them."""
  place = photographs.make_folder(tmp_path)
  (place / 'train' / 'class1' / '1_2.jpg').write_bytes(b'nothing')
  config = resnet.get_config('variant=resnet18,data=folder,smoke')
  config.data.dir = str(place)
  protocol = protocols.create(config, protocols.natural(config))
  geometry = crops.create('x', 224, **config.data.eval_geometry)
  for split, count in (('train', 12), ('test', 6)):
    source = experiment.create_source(config, split)
    read = features.of_source(source, protocol, 224)
    items = [read(i) for i in range(count)]
    for i, item in enumerate(items):
      (photo,) = source.photos.read(np.array([i]))
      assert (item.key, item.label) == (photo.key, photo.label) or i == 6
      if photo.encoded == b'nothing':
        assert isinstance(item.view, ValueError)
        assert item.key.endswith('1_2.jpg')
        continue
      expected = geometry(photo.encoded, np.random.default_rng(0), 224)
      np.testing.assert_array_equal(item.view, expected)
  assert len(source) == count


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    # Before photographs and weights are looked for.
    ({'layer': ['F7']}, r"^--layer: no layer 'F7'\. Did you mean F6"),
    ({'layer': []}, r'^--layer is missing.*--list'),
    ({'out': ''}, r'^--out is missing: NAME\.npz'),
    ({'out': 'a.h5'}, r'^--out a\.h5: NAME\.npz for one file, NAME for'),
    ({'out': 'none/a.npz'}, r'^--out none/a\.npz: there is no folder .*/none'),
    ({'eval.members': 'a.npz'}, r'^eval\.members: features are of one'),
    ({'split': None}, r"^no images: name files or folders, or --split=train"),
    ({'model.name': 'lenet6'}, r"^model.name 'lenet6' is unknown"),
    ({'data.image_size': 20}, r'^model or data.image_size: '),
  ],
)  # fmt: skip
def test_what_cannot_work_is_one_line_before_anything_is_read(
  fields, message, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  given = {'layer': ['F6'], 'split': 'test', 'out': 'a.npz', **fields}
  config = {'init_from': 'none.npz', 'data.dir': 'none'}
  config |= {k: given.pop(k) for k in fields if '.' in k}
  with pytest.raises(UserError, match=message) as error:
    call(config=config, **given)
  assert '\n' not in str(error.value)
  assert not list(tmp_path.iterdir())


def test_images_are_named_or_a_split_is_not_both(tmp_path):
  known = {'layer': ['F6'], 'out': str(tmp_path / 'a.npz')}
  with pytest.raises(UserError, match=r'^--split=test is .*b\.jpg, not both'):
    call('b.jpg', split='test', **known)
  with pytest.raises(UserError, match=r'b\.jpg cannot be read: there is no'):
    call('b.jpg', **known)
  (tmp_path / 'b.jpg').write_bytes(b'nothing')
  with pytest.raises(UserError, match=r'^no image can be read'):
    call(tmp_path / 'b.jpg', **known)
  (tmp_path / 'b').mkdir()
  with pytest.raises(UserError, match=r'/b is there already: take another'):
    call(split='test', layer=['F6'], out=str(tmp_path / 'b'))
  assert {p.name for p in tmp_path.iterdir()} == {'b', 'b.jpg'}


def test_what_does_not_fit_on_the_disk_is_not_begun(tmp_path, monkeypatch):
  """1,000 images of 84 floats, and once more on the way into an archive."""
  for name, free, fits in (
    ('a.npz', 671_999, False),
    ('a.npz', 672_000, True),
    ('b', 335_999, False),
    ('b', 336_000, True),
  ):
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _, u=usage: u)
    arguments = tmp_path / name, 1000, {'F6': (84,)}
    if fits:
      tool.check_room(*arguments)
      continue
    with pytest.raises(
      UserError, match=r'1,000 images need 0.0 GB there, 0.0 GB'
    ):
      tool.check_room(*arguments)
    monkeypatch.undo()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('runtime.array_files.Writer.add', full)
  with pytest.raises(UserError, match=r'a\.npz cannot be written: No space'):
    call(split='test', layer=['F6'], out=str(tmp_path / 'a.npz'))
  assert not list(tmp_path.iterdir())


class Means:
  """Stands for an extractor: the mean of an image; keeps what it was given."""

  devices = 4

  def __init__(self):
    self.sizes = []

  def __call__(self, images):
    self.sizes.append(len(images))
    return {'mean': images.mean((1, 2, 3)).astype('f')}


@pytest.mark.parametrize('threads', [0, 2])
def test_batches_are_full_in_order_and_only_a_few_are_read_ahead(threads):
  read, extractor = [], Means()

  def item(number):
    read.append(number)
    if number in (3, *range(24, 32)):  # a whole batch of bad ones
      return features.Item(f'{number}', ValueError('bad'))
    return features.Item(f'{number}', np.full((2, 2, 1), number, np.uint8), 7)

  found = features.stream(extractor, item, 90, batch_size=7, threads=threads)
  batches = [next(found)]
  assert len(read) < 64
  batches += found
  keys = [key for batch in batches for key in batch.keys]
  good = [n for n in range(90) if n != 3 and not 24 <= n < 32]
  assert keys == [str(n) for n in good]
  means = [x for b in batches if b.keys for x in b.features['mean'].tolist()]
  assert means == good
  assert {label for b in batches for label in b.labels} == {7}
  assert [n for b in batches for n, _ in b.bad] == [
    '3',
    *(str(n) for n in range(24, 32)),
  ]
  assert set(extractor.sizes) == {8}  # a multiple of the devices


def test_the_list_is_of_what_is_written(capsys):
  call(config={'init_from': ''}, list=True)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == 'C1      [28, 28, 6]'
  assert lines[-2:] == ['F6      [84]', 'output  [classes]']


def test_the_page_names_every_block():
  (row,) = [r for r in overview._table('resnet34') if '14x14' in r]
  assert row == '| 14x14 | `conv4_1` to `conv4_6` 256 |'
  shapes = zoo.layer_shapes(zoo.create('resnet34'), (224, 224, 3))
  assert [n for n, shape in shapes.items() if shape[0] == 14] == [
    f'conv4_{i}' for i in range(1, 7)
  ]


@pytest.mark.slow
def test_a_run_may_look_at_other_data_but_with_no_other_network(
  finished, tmp_path
):
  workdir, out = finished[0], tmp_path / 'a.npz'
  known = {'split': 'test', 'layer': ['F6'], 'out': str(out)}
  config = {'init_from': '', 'data.name': 'fake'}
  assert call(config=config, workdir=str(workdir), **known) == 0
  assert np.load(out)['F6'].shape == (4096, 84)
  config['data.image_size'] = 36
  with pytest.raises(UserError, match=r'another run \(data\.image_size: 32 th'):
    call(config=config, workdir=str(workdir), **known)


@pytest.mark.slow
def test_a_run_that_started_from_others_is_what_is_looked_at(
  finished, tmp_path
):
  """By the tools, and by --mode=eval, where no --config is given."""
  workdir, out = tmp_path / 'run', tmp_path / 'a.npz'
  shutil.copytree(finished[0], workdir)
  record = workdir / 'config.json'
  config = {**json.loads(record.read_text()), 'init_from': 'gone.npz'}
  record.write_text(json.dumps(config))
  done = forking.run(
    'tools.features', f'--workdir={workdir}', '--layer=F6', '--split=test',
    f'--out={out}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(f'lenet5 of {workdir}, protocol single: ')
  done = run_main('--mode=eval', f'--workdir={workdir}')
  assert done.stdout.startswith(f'{workdir}: mnist5k test, single: '), done


@pytest.mark.slow
def test_the_page_of_layers_is_current():
  assert (ROOT / 'docs' / 'layers.md').read_text() == overview.layers() + '\n'
