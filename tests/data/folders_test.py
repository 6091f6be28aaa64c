"""Folders: what is read, what is left out and said, layouts that are not it."""

import shutil
import unicodedata

import numpy as np
import pytest
from photographs import encode, jpeg, make_folder, pixels

from data import listing, photos, sources
from errors import UserError


@pytest.fixture
def root(tmp_path):
  return make_folder(tmp_path / 'data')


def create(root, split='train', **options):
  return sources.create('folder', split, str(root), **options)


def refused(message, root, split='train', **options):
  with pytest.raises(UserError, match=message) as error:
    create(root, split, **options)
  assert '\n' not in str(error.value)


def test_nothing_is_said_of_a_folder_that_is_read_whole(root):
  assert create(root).notes == create(root, 'test').notes == ()


@pytest.mark.parametrize(
  ('kind', 'extensions'),
  [
    ('JPEG', 'jpg jpeg jpe jfif JPG'),
    ('PNG', 'png PNG'),
    ('WEBP', 'webp'),
    ('BMP', 'bmp dib'),
    ('TIFF', 'tif tiff TIF'),
    ('JPEG2000', 'jp2'),
    ('PPM', 'ppm pgm pbm pnm'),
  ],
)
def test_what_is_decoded_is_read(root, kind, extensions):
  shutil.rmtree(root / 'train/class1')
  (root / 'train/class1').mkdir()
  options = {'lossless': True} if kind == 'WEBP' else {}
  for extension in extensions.split():
    path = root / f'train/class1/photo_{extension}.{extension}'
    path.write_bytes(encode(pixels(7), kind, **options))
  train = create(root)
  number = len(extensions.split())
  assert train.count_classes().tolist() == [4, number, 4]
  assert train.notes == ()
  source = photos.Cropped(train, lambda e, *_: photos_of(e), 60, 0)
  crops = source.batch(np.arange(4, 4 + number))['image']
  assert np.abs(crops.astype(int) - pixels(7)[:60, :60]).mean() < 3


def photos_of(encoded):
  from data.crops import decode  # noqa: PLC0415

  return decode(encoded)[:60, :60]


def test_what_is_left_out_is_said_by_its_kind(root):
  place = root / 'train/class0'
  for name in ('a.heic', 'b.HEIC', 'c.gif', '._0_0.jpg', 'README'):
    (place / name).write_bytes(b'')
  (place / 'gone.jpg').symlink_to(place / 'nowhere.jpg')
  (place / 'loop.jpg').symlink_to(place / 'loop.jpg')
  (place / 'linked.jpg').symlink_to(place / '0_0.jpg')
  (place / 'more/deep').mkdir(parents=True)
  (place / 'more/m.jpg').write_bytes(jpeg(0))
  (place / 'more/deep/n.png').write_bytes(b'')
  (place / 'more/deep/n.txt').write_bytes(b'')
  (place / 'folder.jpg').mkdir()
  (root / 'train/stray.jpg').write_bytes(jpeg(0))
  train = create(root)
  assert len(train) == 13
  assert train.notes == (
    'left out 10 files: 2 .heic, 2 in folders within classes, 2 linked to '
    'nothing, 1 .gif, 1 beside the folders of classes, 1 hidden, 1 others',
  )


@pytest.mark.parametrize(
  'name',
  ['@eaDir', '__MACOSX', 'lost+found', '$RECYCLE.BIN', '#recycle', '.git',
   'System Volume Information', '.ipynb_checkpoints'],
)  # fmt: skip
def test_folders_of_systems_are_no_classes(root, name):
  for place in ('train', 'val', 'train/class1'):
    (root / place / name).mkdir()
    (root / place / name / '0_0.jpg').write_bytes(jpeg(0))
  train, test = create(root), create(root, 'test')
  assert train.class_names == test.class_names == ('class0', 'class1', 'class2')
  assert (len(train), len(test)) == (12, 6)
  assert train.notes == test.notes == (f'left out folders {name}',)


def test_a_system_folder_does_not_make_classes_of_a_flat_folder(root):
  for place in list((root / 'val').iterdir()):
    shutil.rmtree(place)
  (root / 'val/@eaDir').mkdir()
  (root / 'val/x.jpg').write_bytes(jpeg(0))
  (root / 'val/x.xmp').write_bytes(b'')
  (root / 'val/labels.csv').write_text('x.jpg,class1\n')
  assert create(root, 'test').notes == (
    f'labels from {root}/val/labels.csv',
    'left out 1 file: 1 .xmp; folders @eaDir',
    'no photographs of 2 of 3 classes: class0, class2',
  )
  (root / 'labels.csv').write_text('x.jpg,class2\n')  # goes before
  test = create(root, 'test')
  assert test.notes[0] == f'labels from {root}/labels.csv'
  assert labels_of(test) == ['x.jpg 2']
  (root / 'mine.csv').write_text('x.jpg,class0\n')
  test = create(root, 'test', labels='mine.csv')
  assert test.notes[0] == f'labels from {root}/mine.csv'
  assert labels_of(test) == ['x.jpg 0']


@pytest.mark.parametrize(
  ('part', 'split'), [('train', 'train'), ('val', 'test')]
)
def test_classes_without_photographs_are_refused_by_name(root, part, split):
  place = root / part / 'class2'
  shutil.rmtree(place)
  (place / 'images').mkdir(parents=True)
  (place / 'images/x.jpg').write_bytes(jpeg(0))
  refused(r'class2 \(1 file: 1 in folders within classes\)', root, split)
  shutil.rmtree(place / 'images')
  refused(r'class2 \(empty\)', root, split)
  (place / 'x.heic').write_bytes(b'')
  refused(r'class2 \(1 file: 1 .heic\).* \.webp', root, split)


def test_a_class_that_the_test_split_lacks_is_said_and_moves_no_other(root):
  shutil.rmtree(root / 'val/class1')
  test = create(root, 'test')
  assert test.notes == ('no photographs of 1 of 3 classes: class1',)
  assert labels_of(test) == ['class0 0'] * 2 + ['class2 2'] * 2


def labels_of(source):
  photographs = source.read(range(len(source)))
  return [f'{p.key.split("/")[1]} {p.label}' for p in photographs]


def test_labels_count_the_names_of_folders_whatever_sorts_before_a_slash(root):
  for part in ('train', 'val'):
    (root / part / 'class2').rename(root / part / 'class0+')
  assert labels_of(create(root)) == [
    f'{name} {i}'
    for i, name in enumerate(('class0', 'class0+', 'class1'))
    for _ in range(4)
  ]


def test_one_class_written_in_two_forms_of_unicode(root):
  nfc, nfd = (unicodedata.normalize(form, 'é') for form in ('NFC', 'NFD'))
  (root / 'train/class0').rename(root / 'train' / nfd)
  (root / 'val/class0').rename(root / 'val' / nfc)
  for part in ('train', 'val'):  # comes after one form, before the other
    (root / part / 'class2').rename(root / part / 'f')
  train, test = create(root), create(root, 'test')
  assert train.class_names == test.class_names == ('class1', 'f', nfc)
  assert labels_of(train)[-1] == f'{nfd} 2'
  assert labels_of(test)[-1] == f'{nfc} 2'
  (root / 'train' / nfc).mkdir()
  refused("two folders 'é'", root)


def test_a_folder_above_or_below_leads_to_the_right_one(root):
  for split in ('train', 'test'):
    for wrong in (root.parent, root / 'train', root / 'val/class0'):
      refused(
        rf'train/CLASS/NAME.jpg and val/CLASS/NAME.jpg .* it holds .* '
        rf'Set --config.data.dir={root}$',
        wrong,
        split,
      )
  refused('it holds 4 photographs', root / 'train/class1')
  refused('it holds folders class0, class1, class2', root / 'train')


def test_a_split_by_another_name_leads_to_its_option(root):
  (root / 'val').rename(root / 'Validation')
  refused(
    r'has no val: .* Set --config.data.options.test_folder=Validation$',
    root,
    'test',
  )
  (root / 'train').rename(root / 'training')
  refused(
    'has no train and no val: .*train_folder=training .*=Validation$', root
  )
  (root / 'training').rename(root / 'train')
  (root / 'Validation').rename(root / 'other')
  refused(r'test_folder=NAME; for none: .*\.holdout=N', root, 'test')
  (root / 'train').rename(root / 'other2')
  (root / 'other').rename(root / 'val')
  refused('train_folder=NAME$', root)
  shutil.rmtree(root)
  root.mkdir()
  refused('it holds no photographs', root)


def test_a_folder_too_many_in_a_split_is_no_class(root):
  (root / 'train').rename(root / 'inner')
  (root / 'train').mkdir()
  (root / 'inner').rename(root / 'train/train')
  refused("one folder only, 'train', and class0, class1, class2 in it", root)


def test_labels_beside_folders_of_classes_are_refused(root):
  refused(
    r"labels 'x.csv' is for photographs without folders, .*class0",
    root,
    'test',
    labels='x.csv',
  )


def test_many_names_are_cut():
  assert listing.shown([str(i) for i in range(9)]) == (
    '0, 1, 2, 3, 4, 5 and 3 more'
  )


# Only to evaluate on: `folders.only_test`.


def create_test(root, classes=('class0', 'class1', 'class2'), **options):
  return sources.create_test('folder', str(root), classes, **options)


def test_a_test_folder_needs_none_to_train_on(root):
  expected = create(root, 'test')
  shutil.rmtree(root / 'train')
  found = create_test(root)
  assert found.keys(np.arange(6)) == expected.keys(np.arange(6))
  assert found.class_names == ('class0', 'class1', 'class2')
  assert found.read(np.arange(6)) == expected.read(np.arange(6))


def test_a_folder_of_classes_is_a_test_folder_itself(root):
  found = create_test(root / 'val')
  assert found.keys(np.arange(1)) == ['class0/0_0.jpg']
  (photo,) = found.read(np.array([3]))
  assert photo.encoded == (root / 'val/class1/1_1.jpg').read_bytes()
  assert (photo.label, photo.key) == (1, 'class1/1_1.jpg')


def test_a_list_of_labels_counts_as_the_training_folder_or_the_network(root):
  shutil.rmtree(root / 'val')
  (root / 'val').mkdir()
  (root / 'val/a.jpg').write_bytes(jpeg(0))
  (root / 'val.txt').write_text('a.jpg 1')
  names = ('x', 'class2', 'class1')
  assert create_test(root, names).class_names[1] == 'class1'
  shutil.rmtree(root / 'train')
  found = create_test(root, names)
  assert found.class_names == names
  assert found.count_classes().tolist() == [0, 1, 0]
  (root / 'val.txt').unlink()
  with pytest.raises(UserError, match='there is no file of labels'):
    create_test(root, names)
  assert create_test(root, names, labelled=False).keys([0]) == ['val/a.jpg']


@pytest.mark.parametrize(
  ('move', 'options', 'words'),
  [
    ('test', {}, r'has no val: .* Set --config.data.options.test_folder=test'),
    ('below/val', {}, r'has no val: .*Set --config.data.dir=.*below'),
    ('', {}, r'has no val: val/CLASS/NAME.jpg is expected there'),
    ('other', {'test_folder': 'tset'}, r'has no tset: tset/CLASS'),
    ('val', {'test_fodler': 'x'}, r"no field 'test_fodler'.*'test_folder'"),
    ('val', {'labels': 'a.txt'}, 'is for photographs without folders'),
  ],
)
def test_what_is_no_test_folder_is_refused(root, move, options, words):
  shutil.rmtree(root / 'train')
  if not move:
    shutil.rmtree(root / 'val')
  elif move != 'val':
    (root / move).parent.mkdir(exist_ok=True)
    (root / 'val').rename(root / move)
  with pytest.raises(UserError, match=words) as error:
    create_test(root, **options)
  assert '\n' not in str(error.value)


def test_what_is_left_out_of_a_list_is_counted():
  names = [*'abcdefgh']
  assert listing.shown(names[:6]) == 'a, b, c, d, e, f'
  assert listing.shown(names) == 'a, b, c, d, e, f and 2 more'
