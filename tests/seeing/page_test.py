"""The page of a run: escaping, what is missing, pictures."""

import base64
import io

import numpy as np
import pages
import PIL.Image
import pytest
from conftest import make_config

import train_lib
from errors import UserError
from evaluation.predictions import Counts, Rows
from seeing.page import (
  figures,
  fragments,
  network,
  outcome,
  pixels,
  record,
  report,
)

HOSTILE = '</script><img src=http://a onerror=alert(1)> & "\'\udcff'


def test_without_matplotlib_a_run_does_not_begin(tmp_path, monkeypatch):
  monkeypatch.setattr(report.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match='report draws pictures: pip install mat'):
    train_lib.train_and_evaluate(make_config(report=True), str(tmp_path / 'a'))
  assert not (tmp_path / 'a').exists()


def test_names_are_text_and_nothing_else():
  counts = Counts(3, 5)
  best = np.array([[0, 1, 2], [1, 0, 2], [0, 1, 2]])
  counts.add(
    Rows(np.array([0, 0, 2]), best, np.full((3, 3), 0.9), np.array([0, 1, 2]))
  )
  found = network.Counted(
    {}, counts, [HOSTILE] * 2, np.zeros((2, 70, 90, 3), np.uint8)
  )
  names = (HOSTILE, 'b', '$c$')
  run = record.Run(
    HOSTILE, HOSTILE,
    {'model': {'name': HOSTILE}, 'data': {'name': HOSTILE, 'options': []}},
    [{'command': [HOSTILE], 'devices': HOSTILE}],
    [{'step': 1, 'diverged': HOSTILE}],
    [], names, (8, 8, 3), 3, [HOSTILE],
  )  # fmt: skip
  axes = outcome.Axes(
    'a', HOSTILE, HOSTILE, [outcome.Line(HOSTILE, [1, 2], [0.1, 0.2], True)]
  )
  text = fragments.page(
    HOSTILE,
    HOSTILE,
    [
      ('a1', HOSTILE, figures.classes(found, names, 'a')),
      ('a2', HOSTILE, figures.mistakes(found, names)),
      ('a3', HOSTILE, report.about.ran(run, 0)),
      ('a4', HOSTILE, outcome.results(run, None)),
      ('a5', HOSTILE, outcome.plot(axes)),
      ('a6', HOSTILE, report.about.how_to(run.path, [HOSTILE])),
    ],
  )
  text.encode()  # a name that is no UTF-8 is none here either
  page = pages.check(text)
  shown = HOSTILE.replace('\udcff', '?')
  assert page.texts['a2'].count(shown) == 2 + 2 + 1  # keys, names, the title
  assert page.told[0]['lines'][0]['name'] == HOSTILE
  assert shown in page.texts['a4']
  assert len(page.of('script')) == 2


def test_what_a_workdir_does_not_have_is_said(tmp_path):
  (tmp_path / 'results').mkdir()
  (tmp_path / 'results' / 'a.json').write_text('{"result": 3}')
  (tmp_path / 'metrics.jsonl').write_text('{"step": 1, "train/loss": 2}\n{}\n')
  (tmp_path / 'versions.jsonl').write_text('{"jax": "1"}\n[3]\nnonsense\n')
  run = record.read(str(tmp_path))
  assert run.starts == [{'jax': '1'}]
  assert [said.partition(':')[0] for said in run.missing] == [
    'config.json is not there', 'metrics.jsonl', 'classes.json is not there',
    'results/a.json cannot be read',
  ]  # fmt: skip
  config = make_config()
  seen = report.look(config, str(tmp_path))
  assert seen.missing.startswith('The network cannot be read: ')
  page = pages.check(report.page(run, config, seen, ['--workdir=a']))
  for key in ('classes', 'mistakes', 'filters', 'maps'):
    assert 'The network cannot be read' in page.texts[key]
  assert 'No evaluation is on record' in page.texts['result']
  assert 'No times are on record' in page.texts['time']
  assert page.told[0]['lines'][0]['y'] == [2]


def test_times_are_those_of_the_laps():
  laps = ((10, 100.0, 0.5), (20, 50.0, 0.1), (25, 0.0, 0.0))
  lines = [
    {'step': s, record.RATE: rate, record.WAIT: wait} for s, rate, wait in laps
  ]
  run = record.Run(
    '', '', {'train': {'batch_size': 8}}, [], lines, [], (), (), 0, []
  )
  found = record.timing(run)
  assert found.seconds == pytest.approx(80 / 100 + 80 / 50)
  assert found.images_per_second == pytest.approx(160 / 2.4)
  assert found.waiting == pytest.approx((0.5 * 0.8 + 0.1 * 1.6) / 2.4)
  assert (found.mfu, found.memory) == (None, None)
  assert 'memory' not in str(outcome.times(run))
  for line, mfu, memory in zip(lines, (0.3, 0.6, 0.9), (2.0, 3.04, 3.0)):
    line |= {record.MFU: mfu, record.MEMORY: memory}
  assert record.timing(run).mfu == pytest.approx((0.3 * 0.8 + 0.6 * 1.6) / 2.4)
  said = str(outcome.times(run))
  assert '50.0% of their published rate' in said
  assert '3.0 GB at most' in said


def test_fields_other_than_the_files_are_marked():
  argv = [
    'main.py',
    '--config=configs/lenet5.py:data=mnist5k',
    '--config.seed=3',
  ]
  config = make_config('data=mnist5k', seed=3)
  run = record.Run(
    '', '', record.workdir_lib.as_json(config), [{'command': argv}], [], [],
    (), (), 0, [],
  )  # fmt: skip
  typed, usual = record.typed_config(run)
  assert typed == 'configs/lenet5.py:data=mnist5k'
  found = record.differing(record.workdir_lib.flatten(run.config), usual)
  assert set(found) == {
    'seed', 'train.steps', 'train.epochs', 'train.log_every',
    'train.batch_size', 'eval.every', 'checkpoint.every',
  }  # fmt: skip


def test_colours_and_greys_are_kept():
  image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  src = pages.Page(pixels.image(image, 'a')).of('img')[0]['src']
  content = base64.b64decode(src.partition(',')[2])
  shown = np.asarray(PIL.Image.open(io.BytesIO(content)))
  np.testing.assert_array_equal(shown, image)
  values = np.array([[0.0, np.nan], [0.5, 1.0]])
  assert pixels.grey(values).tolist() == [[255, 255], [128, 0]]
  assert pixels.grey(np.full((1, 2), np.nan)).tolist() == [[255, 255]]


def test_kernels_are_grey_at_zero_and_scaled_each():
  kernels = np.zeros((3, 1, 2, 3), np.float32)
  kernels[1] = np.arange(-3, 3).reshape(1, 2, 3)
  kernels[2] = 10 * kernels[1]
  dark, found, same = network.kernel_pictures(kernels)
  assert (dark == 128).all()
  np.testing.assert_array_equal(found, same)
  expected = np.rint(127.5 + 127.5 * np.arange(-3, 3) / 3)
  np.testing.assert_array_equal(found.ravel(), expected)
