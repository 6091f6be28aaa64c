"""Rows of images: their classes, their names, and what they add up to."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import two_processes
import worker
from photographs import make_folder

import experiment
from data import photos, sources
from evaluation import predictions


def test_keys_are_those_of_the_data_in_its_order(tmp_path):
  folder = make_folder(tmp_path, classes=7, train=1, val=5)
  config = worker.small_resnet(str(folder), {})
  order = [f'class{c}' for c in (3, 1, 0, 2, 6, 5, 4)]
  trained = experiment.Trained('a run', tuple(order), '')
  found = [
    experiment.create_source(config, 'test', who) for who in (None, trained)
  ]
  shutil.rmtree(folder)  # names are known without reading
  for source in found:
    found = photos.keys(source, np.array([34, 0]))
    assert found == ['val/class6/6_4.jpg', 'val/class0/0_0.jpg']

  class Records:  # which do not know names without reading
    num_classes, class_names = 2, ('a', 'b')

    def __len__(self):
      return 9

    def read(self, indices):
      return [photos.Photo(b'', 0, f'record {i}') for i in indices]

    def count_classes(self):
      return None

  assert photos.keys(Records(), np.array([4, 2])) == ['record 4', 'record 2']
  digits = sources.create('fake', 'test')
  assert photos.keys(digits, np.array([7, 3])) == ['7', '3']


def test_rows_of_processes_are_in_the_order_of_the_split(monkeypatch):
  """Of five images the first process has three, the other two."""
  found = np.random.default_rng(0).random((5, 7), np.float32)
  labels = np.arange(5, dtype=np.int32)

  def of(process):
    return predictions.gathered(found[process::2], labels[process::2], 5)

  said = two_processes.say(monkeypatch, lambda: of(0))
  two_processes.hear(monkeypatch, said)
  rows = of(1)
  np.testing.assert_array_equal(rows.label, labels)
  best = np.argsort(-found, 1)[:, :5]
  np.testing.assert_array_equal(rows.best, best)
  np.testing.assert_array_equal(
    rows.probability, np.take_along_axis(found, best, 1)
  )
  assert rows.rank.tolist() == [
    sorted(-row).index(-row[label]) for row, label in zip(found, labels)
  ]


def test_what_is_no_number_counts_as_wrong_in_all_of_it():
  nan = np.nan
  scores = np.array(
    [[nan] * 6, [0, 1, 2, 3, 4, nan], [nan, 1, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5]],
    np.float32,
  )
  labels = np.array([0, 5, 1, 5])
  rows = predictions.rows_of(*map(jnp.asarray, (scores, scores, labels)))
  counts = predictions.Counts(6, 2)
  counts.add(jax.device_get(rows))
  assert counts.images == counts.wrong == 4
  assert rows.best[1].tolist() == [4, 3, 2, 1, 0]
  assert counts.top5_wrong.tolist() == [1, 0, 0, 0, 0, 2]
  counts.check({'count': 4, 'wrong': 4, 'top5_error': 3 / 4})
  for wrong in ({'count': 5}, {'wrong': 3}, {'top5_error': 0.5}):
    result = {'count': 4, 'wrong': 4, 'top5_error': 3 / 4} | wrong
    with pytest.raises(RuntimeError, match='of rows'):
      counts.check(result)


def test_the_most_confident_mistakes_come_first():
  rng = np.random.default_rng(0)
  sure = rng.permutation(100).astype('f') / 100
  label, answer = rng.integers(0, 3, (2, 100))
  counts = predictions.Counts(3, 10)
  for part in np.split(np.arange(100), [30, 31, 90]):
    counts.add(
      predictions.Rows(
        label[part],
        answer[part, None],
        sure[part, None],
        (label != answer)[part].astype(int),
      )
    )
  wrong = [i for i in np.argsort(-sure) if label[i] != answer[i]][:10]
  assert [m.number for m in counts.mistakes] == wrong
  assert [m.probability for m in counts.mistakes] == [sure[i] for i in wrong]
  assert [(m.truth, m.answer) for m in counts.mistakes] == [
    (label[i], answer[i]) for i in wrong
  ]
