"""What has changed between two starts of a run, or in what it reads."""

import json
import shutil

import numpy as np
import pytest
from conftest import make_config
from pod import digests, record

import train_lib
from data import mnist, sources
from errors import UserError


def test_a_result_that_cannot_be_kept_is_told_all_the_same(
  whole, tmp_path, capsys
):
  copy = tmp_path / 'copy'
  shutil.copytree(whole, copy)
  shutil.rmtree(copy / 'results', ignore_errors=True)
  (copy / 'results').write_text('in the way')
  result = train_lib.evaluate_only(make_config(), str(copy))
  said = capsys.readouterr().out
  assert result['count'] == 1000
  assert f'{result["wrong"]} of 1,000' in said
  assert 'not written: ' in said


def test_another_batch_size_is_another_run(whole):
  """Steps are positions in the data: 125 of 64 are not 125 of 128."""
  config = make_config(train__batch_size=32, train__steps=24)
  with pytest.raises(UserError, match=r'train\.batch_size: 16 there, 32'):
    train_lib.train_and_evaluate(config, str(whole))
  assert train_lib.evaluate_only(config, str(whole))['count'] == 1000


@pytest.fixture
def renamed(monkeypatch):
  """The digits by other names: 9 is 'nine'."""
  monkeypatch.setattr(mnist, '_DIGITS', (*'012345678', 'nine'))


@pytest.mark.parametrize('start', ['resume', 'evaluate', 'init_from'])
def test_other_classes_are_refused_by_name(whole, tmp_path, renamed, start):
  fields = {'init_from': str(whole)} if start == 'init_from' else {}
  config = make_config(train__steps=24, **fields)
  place = tmp_path if start == 'init_from' else whole
  call = {'evaluate': train_lib.evaluate_only}.get(
    start, train_lib.train_and_evaluate
  )
  words = r"10 classes, .* 10 others: 'nine' is not one of those, '9' of those"
  if start == 'evaluate':
    words = r"'nine' is a class of the data, but none of the 10 of .*whole"
  with pytest.raises(UserError, match=words):
    call(config, str(place))
  classes = json.loads((whole / 'classes.json').read_text())
  assert classes['class_names'] == list('0123456789')


def test_members_of_other_classes_are_refused(whole, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(whole, copy)
  text = (copy / 'classes.json').read_text().replace('"9"', '"nine"')
  (copy / 'classes.json').write_text(text)
  config = make_config(eval__members=str(copy))
  words = "class 9 is 'nine' there, '9' in the network that it joins"
  with pytest.raises(UserError, match=words):
    train_lib.evaluate_only(config, str(whole))


def test_classes_in_another_order_are_matched_by_name(whole, monkeypatch):
  """What the labels count changes, not what they mean."""
  expected = train_lib.evaluate_only(make_config(), str(whole))
  order = np.random.default_rng(0).permutation(10)
  load = mnist.mnist5k

  def shuffled(split, directory):
    source = load(split, directory)
    source.labels = np.argsort(order)[source.labels].astype(np.int32)
    source.class_names = tuple(str(n) for n in order)
    return source

  monkeypatch.setitem(sources.SOURCES, 'mnist5k', shuffled)
  found = train_lib.evaluate_only(make_config(), str(whole))
  for name in ('wrong', 'loss', 'count'):
    assert found[name] == expected[name]


def test_a_training_set_that_has_grown_is_told(whole, tmp_path, capsys):
  copy = tmp_path / 'copy'
  shutil.copytree(whole, copy)
  text = (copy / 'classes.json').read_text()
  assert '"train_examples": 4000' in text
  (copy / 'classes.json').write_text(text.replace('4000', '3999'))
  train_lib.train_and_evaluate(make_config(train__steps=13), str(copy))
  said = capsys.readouterr().out
  assert (
    'changed since the last start: 3,999 -> 4,000 examples to train' in said
  )


def test_a_test_image_that_cannot_be_decoded_loses_no_step(
  tmp_path, whole, monkeypatch
):
  """The steps since the last checkpoint are saved before it is told."""
  load = mnist.mnist5k

  def damaged(split, directory):
    source = load(split, directory)
    if split == 'test':

      def batch(indices, positions=None):
        raise UserError('val/a.jpg cannot be decoded')

      source.batch = batch
    return source

  config = make_config(checkpoint__every='12 steps')
  with monkeypatch.context() as patch:
    patch.setitem(sources.SOURCES, 'mnist5k', damaged)
    for _ in range(2):  # the second start has nothing to lose
      with pytest.raises(UserError, match=r'decoded\. Step 4 is saved: '):
        train_lib.train_and_evaluate(config, str(tmp_path))
      steps = [p.name for p in (tmp_path / 'checkpoints').glob('[0-9]*')]
      assert steps == ['00000004']
  train_lib.train_and_evaluate(config, str(tmp_path))
  assert digests(tmp_path, 12) == digests(whole, 12)
  assert record(tmp_path) == record(whole)
