"""Lists of labels: one reading, in the forms that other programs write."""

import unicodedata

import pytest

from data import labels
from errors import UserError

IMAGES = ['x.jpg', 'y.jpg', 'z.jpg']
WORDS = ['great white shark', 'hen', 'tench']
TEN = [str(i) for i in range(1, 11)]


@pytest.fixture
def read(tmp_path):
  """Reads a list given as text or bytes."""

  def function(content, images=IMAGES, classes=('a', 'b', 'c')):
    path = tmp_path / 'val.csv'
    if isinstance(content, str):
      content = content.encode()
    path.write_bytes(content)
    return labels.read(path, images, sorted(classes))

  return function


def lines(images, column):
  return ''.join(f'{image} {text}\n' for image, text in zip(images, column))


def test_a_column_of_numbers_has_one_meaning(read):
  images = [f'i{i:02d}.jpg' for i in range(1, 11)]
  got = read(lines(images, TEN), images, TEN)
  assert [sorted(TEN)[got[i]] for i in images] == TEN
  # '1' is the second class where classes are counted, and the first by name.
  with pytest.raises(UserError, match=r"line 1: '0' may be the number of two"):
    read(lines(images, range(10)), images, TEN)
  padded = [f'{i:02d}' for i in range(1, 11)]
  got = read(lines(images, range(10)), images, padded)
  assert list(got.values()) == list(range(10))
  # All are numbers, not all are names: numbers.
  assert read(lines(IMAGES, '012'), IMAGES, '123')['z.jpg'] == 2


@pytest.mark.parametrize(
  ('column', 'message'),
  [
    ('ab1', r"line 3: '1' is the number .* line 1 has a name, 'a'"),
    ('1ab', r"line 1: '1' is the number .* line 2 has a name, 'a'"),
    ('ab3', "line 3: '3' is neither a class nor a number below 3"),
    ('ab٢', "line 3: '٢' is neither"),
    (('a', 'b', 'hens'), "Did you mean 'hen'"),
    (('a', 'b', '1' * 5000), "line 3: '1{5000}' is neither"),
    (('a', 'b', '1.0'), "line 3: '1.0' is neither"),
    (('a', 'b', 'a 5'), "line 3: 'a 5' is neither"),
  ],
)
def test_a_mixture_or_an_unknown_class_is_named(read, column, message):
  with pytest.raises(UserError, match=message):
    read(lines(IMAGES, column), classes=('a', 'b', 'hen'))


@pytest.mark.parametrize(
  'content',
  [
    'file,class\nx.jpg,great white shark\ny.jpg,tench\nz.jpg,hen\n',
    'x.jpg great white shark\ny.jpg tench\nz.jpg hen\n',
    'great white shark\ntench\nhen\n',
    'names of classes\ngreat white shark\ntench\nhen\n',
    'x\tgreat white shark\t0\t7\ny\ttench\t3\t4\nz\then\t5\t6\n',
    'x,great white shark 1 2 3 4\ny,tench 1 2 3 4 tench 5 6 7 8\nz,hen\n',
    'val/x.jpg;great white shark\nval\\y.jpg;tench\n/data/z.jpg;hen\n',
  ],
)
def test_classes_of_several_words(read, content):
  got = read(content, classes=WORDS)
  assert [WORDS[got[image]] for image in IMAGES] == [WORDS[0], 'tench', 'hen']


def test_classes_with_commas_and_images_with_spaces(read):
  shark = 'great white shark, white shark'
  images, classes = ['my x.jpg', 'my.jpg'], [shark, 'hen']
  for content in (
    f'my x.jpg\t{shark}\nmy.jpg\then\n',
    f'my x.jpg;{shark}\nmy.jpg;hen\n',
    f'my x.jpg,"{shark}"\nmy.jpg,hen\n',
    f'"my x.jpg" "{shark}"\nmy hen\n',
    f'my x {shark}\nmy.jpg hen\n',
  ):
    got = read(content, images, classes)
    assert got == {'my x.jpg': 0, 'my.jpg': 1}, content


def test_one_column_needs_one_order_of_the_images(read):
  ten = [f'{i}.jpg' for i in range(1, 11)]
  column = 'a\n' * 5 + 'b\n' * 5
  with pytest.raises(UserError, match=r"'10.jpg' and '2.jpg' are sorted.*pad"):
    read(column, ten)
  for images in (['B.jpg', 'a.jpg'], ['i.jpg', 'i-1.jpg']):
    with pytest.raises(UserError, match='in more than one way'):
      read('a\nb\n', images)
  padded = [f'{i:02d}.jpg' for i in range(1, 11)]
  assert list(read(column, padded).values()) == [0] * 5 + [1] * 5
  # Two columns say which is which.
  assert read(lines(ten, 'abcabcabca'), ten)['2.jpg'] == 1


@pytest.mark.parametrize('coding', ['utf-8-sig', 'utf-16', 'utf-32'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize(
  'text',
  [
    'x.jpg,b\ny.jpg,é\nz.jpg,a\n',
    '"x.jpg","b"\n"y.jpg","é"\n"z.jpg","a"',
    'x.jpg;b;\n\ny.jpg; é ;;\n \nz.jpg;a;\n;;\n',
    'x.jpg  b\ny.jpg \té \nz.jpg   a\n\n',
  ],
)
def test_forms_that_spreadsheets_write(read, coding, end, text):
  content = text.replace('\n', end).encode(coding)
  got = read(content, classes='abé')
  assert got == {'x.jpg': 1, 'y.jpg': 2, 'z.jpg': 0}


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('x.jpg,é\n'.encode('latin-1'), 'line 1 is no text in UTF-8'),
    ('x.jpg,a\ny.jpg,é\n'.encode('cp1252'), 'line 2 is no text in UTF-8'),
    ('x.jpg,a\n'.encode('utf-16-le'), 'is no text in UTF-8'),
    ('x.jpg,a\n'.encode('utf-16')[:-1], 'is no text in UTF-16'),
    (b'PK\x03\x04\x00\x00', 'save the list as UTF-8'),  # an .xlsx
    ('x.jpg,"a\ny.jpg,b\n', 'line 2: unexpected end of data'),
    ('', 'is empty'),
    (b'\xef\xbb\xbf\n \n;;\n', 'is empty'),
  ],
)
def test_what_is_no_list_is_said_in_one_line(read, content, message):
  with pytest.raises(UserError, match=message) as error:
    read(content)
  assert '\n' not in str(error.value)


def test_names_in_two_forms_of_unicode(read):
  on_disk = unicodedata.normalize('NFD', 'é.jpg')
  for form in ('NFC', 'NFD'):
    text = unicodedata.normalize(form, 'é.jpg,ü\ny.jpg,b\n')
    assert read(text, [on_disk, 'y.jpg'], 'bü') == {on_disk: 1, 'y.jpg': 0}
  # One column goes by the order of one form: 'é' is after 'y'.
  got = read('b\nü\n', [on_disk, 'y.jpg'], 'bü')
  assert got == {'y.jpg': 0, on_disk: 1}


def test_a_first_line_is_a_title_only_if_it_names_no_class(read):
  assert read('image label\nx.jpg a\n') == {'x.jpg': 0}
  for text in ('gone.jpg b\nx.jpg a\n', 'gone.jpg 1\nx.jpg 2\n'):
    with pytest.raises(UserError, match=r"line 1: there is no image 'gone"):
      read(text)


def test_a_name_without_its_extension_is_one_image(read):
  images = ['x.jpg', 'x.jpg.png', 'y.jpg', 'y.png']
  assert read('x.jpg a\nx.jpg.png b\n', images) == {'x.jpg': 0, 'x.jpg.png': 1}
  with pytest.raises(UserError, match=r"'y' may be y.jpg or y.png: write"):
    read('x.jpg a\ny b\n', images)
