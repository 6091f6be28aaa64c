"""A run becomes a file of weights, a card and a record."""

import hashlib
import json

import jax
import numpy as np
import photographs
import pytest
from conftest import ROOT

import zoo
from configs import lenet5
from data import preprocess, sources
from errors import UserError
from evaluation import inference, protocols
from tools import publish


@pytest.mark.slow
def test_what_is_published_predicts_as_the_run(finished, tmp_path):
  workdir, _ = finished
  out = tmp_path / 'published' / 'digits'
  files = publish.publish(str(workdir), str(out))
  assert {f.name for f in files} == {
    'digits.npz', 'README.md', 'classes.json', 'config.json', 'metrics.jsonl',
    'sha256.txt',
  }  # fmt: skip
  file = out.with_name('digits.npz')
  digest = hashlib.sha256(file.read_bytes()).hexdigest()
  assert (out / 'sha256.txt').read_text() == f'{digest}  digits.npz\n'
  card = (out / 'README.md').read_text()
  line = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
  for word in (
    digest, 'lenet5, 60,000 parameters', f'{line["eval/wrong"]} of 1,000',
    '--config=configs/lenet5.py:smoke --workdir=RUN',
    '--config.init_from=published/digits.npz PICTURE',
  ):  # fmt: skip
    assert word in card
  for text in files[1:]:
    assert str(tmp_path) not in text.read_text()
    assert str(workdir) not in text.read_text()

  config = lenet5.get_config('smoke')
  protocol, picture = protocols.create(config, 'single'), photographs.jpeg(0)
  found = []
  for path in (workdir, file):
    config.init_from = str(path)
    model = inference.load(config, '')
    assert model.class_names == tuple('0123456789')
    assert model.image_shape == (28, 28, 1)
    found.append(inference.predict(model, protocol, [picture], 1))
  np.testing.assert_array_equal(found[0], found[1])

  with pytest.raises(UserError, match='is there already'):
    publish.publish(str(workdir), str(out))


def test_a_run_without_a_checkpoint_or_an_evaluation_is_refused(tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    publish.publish(str(tmp_path), str(tmp_path / 'a'))
  (tmp_path / 'classes.json').write_text(
    '{"class_names": ["a"], "image_shape": [1, 1, 1]}'
  )
  (tmp_path / 'checkpoints' / '00000002').mkdir(parents=True)
  (tmp_path / 'metrics.jsonl').write_text('{"step": 1, "eval/count": 3}\n')
  with pytest.raises(UserError, match='step 2, has no evaluation'):
    publish.publish(str(tmp_path), str(tmp_path / 'a'))


def test_places_of_a_machine_are_left_out_of_commands():
  argv = [
    '/home/me/main.py', '--config=a.py:x', '--workdir=/home/me/w',
    '--config.data.dir=/data', '--config.eval.every=2 epochs',
  ]  # fmt: skip
  said = publish.command(argv)
  assert said.startswith('python main.py --config=a.py:x --workdir=RUN')
  assert '--config.data.dir=DIR' in said
  assert '/' not in said.replace('main.py', '')


PUBLISHED = sorted((ROOT / 'published').glob('*.npz'))


@pytest.mark.parametrize('file', PUBLISHED, ids=lambda file: file.stem)
def test_what_ships_is_whole_and_reads_digits(file):
  folder = file.with_suffix('')
  digest = hashlib.sha256(file.read_bytes()).hexdigest()
  assert (folder / 'sha256.txt').read_text() == f'{digest}  {file.name}\n'
  assert f'`{digest}`' in (folder / 'README.md').read_text()
  config = json.loads((folder / 'config.json').read_text())
  name = config['model']['name']
  network, variables, preprocessing = zoo.pretrained(name, str(file))
  source = sources.create('mnist5k', 'test')
  images = preprocessing(source.images)
  expected = preprocess.of_config(lenet5.get_config(f'variant={name}'))
  np.testing.assert_array_equal(images, expected(source.images))
  logits = jax.jit(network.apply)(variables, images)
  wrong = (np.asarray(logits).argmax(1) != source.labels).mean()
  assert wrong < 0.02


def test_what_ships_is_small():
  assert PUBLISHED
  assert sum(file.stat().st_size for file in PUBLISHED) < 600_000
