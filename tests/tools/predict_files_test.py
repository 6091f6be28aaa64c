"""tools.predict on many files: folders, chunks, positions, bad ones."""

import os
import subprocess
import sys

import cv2
import flax.linen as nn
import numpy as np
import pytest
from conftest import ROOT
from photographs import encode, jpeg, pixels

from data import decoding, listing
from errors import UserError
from evaluation import inference, protocols
from evaluation.inference import Model, Network
from evaluation.protocols import Part, Protocol
from runtime import console
from tools import predict

SIDE = 16
PROTOCOL = Protocol(
  'center', (SIDE,), (Part(SIDE, protocols.centre, 1, False, 1.0),)
)


class Means(nn.Module):
  """Scores are the means of the channels: softmax tells images apart."""

  @nn.compact
  def __call__(self, images, train):
    del train
    return images.mean((1, 2)) / 50


def model_of(networks=1):
  network = Network('none', Means(), {}, lambda x: x * 1.0, SIDE, 3)
  return Model([network] * networks, ('r', 'g', 'b'), (SIDE, SIDE, 3))


def test_any_number_is_read_in_chunks_in_order_and_bad_ones_are_told():
  count, read = 150, []

  def reader(number):
    def call():
      read.append(number)
      if number == 3:
        raise FileNotFoundError(2, 'No such file')
      return b'nothing' if number == 70 else jpeg(number)

    return call

  model = model_of(networks=2)
  reads = map(reader, range(count))
  found = inference.stream(model, PROTOCOL, reads, 1000)
  first = next(found)
  assert len(read) < 100  # of 150: no more than a chunk
  found = [first, *found]
  assert read == list(range(count))
  bad = [i for i, f in enumerate(found) if isinstance(f, Exception)]
  assert bad == [3, 70]
  assert isinstance(found[3], FileNotFoundError)
  assert isinstance(found[70], ValueError)
  good = [i for i in range(count) if i not in bad]
  files = [jpeg(i) for i in good]
  expected = inference.predict(model, PROTOCOL, files, 1000)
  np.testing.assert_array_equal(np.array([found[i] for i in good]), expected)
  alone = inference.predict(model_of(), PROTOCOL, [files[80]], 8)
  np.testing.assert_allclose(expected[80], alone[0], rtol=1e-6)
  assert len(np.unique(expected.round(4), axis=0)) > 140
  with pytest.raises(ValueError, match=r'not a whole image'):
    inference.predict(model, PROTOCOL, [files[0], b'nothing'], 8)


def oriented(encoded, position):
  tiff = b'II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0' + bytes([position, 0, 0, 0])
  content = b'Exif\0\0' + tiff + bytes(4)
  size = (len(content) + 2).to_bytes(2, 'big')
  return encoded[:20] + b'\xff\xe1' + size + content + encoded[20:]


@pytest.mark.parametrize('position', [1, 3, 6, 8])
def test_a_position_is_applied_to_every_view(position):
  plain = jpeg(5, 60, 80)
  upright = decoding.turned(decoding.decode(plain), position)
  upright = encode(upright, 'PNG')  # exact
  for protocol in (PROTOCOL, Protocol('single', (), ())):
    network = model_of().networks[0]
    got, expected = (
      inference.views(e, protocol, network, (28, 28, 1))[0].astype(int)
      for e in (oriented(plain, position), upright)
    )
    if protocol.name == 'center':  # as the JPEG is decoded at a smaller size
      assert np.abs(got - expected).mean() < 4
    else:
      np.testing.assert_array_equal(got, expected)


def make(root, *names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b'x')


def names_of(*arguments):
  return [name for name, _ in predict.find([str(a) for a in arguments])]


def test_folders_are_searched_at_any_depth_but_for_what_is_hidden(
  tmp_path, capsys
):
  root = tmp_path / 'photos'
  make(
    root, 'b.jpg', 'a.JPEG', 'x/y/c.webp', 'x/d.png', 'w/e.tif', '._b.jpg',
    '.hidden/f.jpg', 'notes.txt', 'x/g.mp4', 'noend', '.DS_Store',
  )  # fmt: skip
  (root / 'x' / 'loop').symlink_to(root)
  (root / 'link.jpg').symlink_to(tmp_path / 'nowhere')
  expected = ['a.JPEG', 'b.jpg', 'link.jpg', 'w/e.tif', 'x/d.png', 'x/y/c.webp']
  assert names_of(root) == [str(root / n) for n in expected]
  said = capsys.readouterr().err
  assert said == (
    f'{root}: left out 5 files: 2 hidden, 1 .mp4, 1 .txt, 1 without an '
    'extension; folders .hidden\n'
  )
  # By its name anything is taken, and what cannot be read is told later.
  given = [root / n for n in ('noend', '._b.jpg', 'link.jpg')]
  assert names_of(*given) == [str(n) for n in given]
  (_, read), *_ = predict.find([str(given[2])])
  with pytest.raises(FileNotFoundError):
    read()
  assert len(names_of(root / '.hidden', root / 'x' / 'loop')) == 7
  assert capsys.readouterr().err.count('\n') == 1


def test_what_names_no_images_is_one_clear_line(tmp_path):
  make(tmp_path, 'sub/a.txt', '.b.jpg')
  with pytest.raises(UserError, match=r'images \(.*\), but 2 files: 1 .txt'):
    predict.find([str(tmp_path)])
  with pytest.raises(UserError, match=r'missing\.jpg cannot be read: there is'):
    predict.find([str(tmp_path / 'missing.jpg')])
  with pytest.raises(UserError, match='no images: name'):
    predict.find([])


def test_formats_that_folders_give_are_decoded():
  picture = pixels(0, 48, 64)
  for kind in listing.EXTENSIONS:
    if not cv2.haveImageWriter(f'a{kind}'):
      continue
    grey = kind in ('.pbm', '.pgm')
    ok, encoded = cv2.imencode(kind, picture[..., 0] if grey else picture)
    assert ok
    assert decoding.decode(encoded.tobytes()).shape == (48, 64, 3)


def run(*arguments, **more):
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONIOENCODING': 'ascii'}
  return subprocess.Popen(
    [
      sys.executable, '-m', 'tools.predict', '--config=configs/lenet5.py',
      '--config.init_from=published/lenet5_mnist.npz', *map(str, arguments),
    ],
    cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    text=True, **more,
  )  # fmt: skip


@pytest.mark.slow
def test_a_line_an_image_on_any_terminal_and_the_bad_ones_on_another(tmp_path):
  good = tmp_path / 'sub' / 'd\u00e9j\u00e0.png'
  make(tmp_path, 'bad.jpg', 'sub/link.png')
  good.write_bytes(encode(pixels(0), 'PNG'))
  process = run(tmp_path, good)
  out, err = process.communicate(timeout=120)
  assert process.returncode == 1
  name = f'{tmp_path}/sub/d\\xe9j\\xe0.png'
  assert [s.partition(': ')[0] for s in out.splitlines()] == [name, name]
  said = err.splitlines()
  assert said[0] == 'protocol: single'
  assert said[1].startswith(f'error: {tmp_path}/bad.jpg cannot be decoded: ')
  assert said[2].startswith(f'error: {tmp_path}/sub/link.png cannot be')
  assert len(said) == 3


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path):
  for number in range(100):
    (tmp_path / f'{number:03d}.jpg').write_bytes(jpeg(number))
  process = run(tmp_path)
  process.stdout.close()
  assert process.stderr.read() == 'protocol: single\n'
  assert process.wait(120) == console.UNREAD
