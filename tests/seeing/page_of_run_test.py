"""The page of a run that was trained: its numbers are those of the workdir."""

import base64
import io
import json
import shlex

import forking
import numpy as np
import pages
import PIL.Image
import pytest
from conftest import make_config

import train_lib
from data import sources
from seeing.page import network, record, report

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """That of a short run with its page."""
  place = tmp_path_factory.mktemp('run')
  config = make_config(train__log_every=2, report=True)
  train_lib.train_and_evaluate(config, str(place))
  return place


@pytest.fixture(scope='module')
def page(workdir):
  return pages.check((workdir / 'report' / 'index.html').read_text())


def lines_of(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def test_the_result_is_that_of_the_record(page, workdir):
  last = [v for v in lines_of(workdir) if 'eval/count' in v][-1]
  header, row, counted = (page.tables['results'][i] for i in (0, 1, -1))
  told = dict(zip(header, row))
  assert told['wrong'] == str(last['eval/wrong'])
  assert told['of'] == '1,000'
  assert told['top-1 error'] == f'{100 * last["eval/top1_error"]:.2f}%'
  assert (told['split'], told['protocol']) == ('test', 'single')
  assert told['when'].startswith('step 12, pass 0.04')
  # Counted anew, of the images: the same.
  assert counted[0] == 'counted for this page'
  assert counted[1:5] == row[1:5]
  assert 'other weights' not in page.texts['result']


def test_what_ran_is_what_the_workdir_has(page, workdir):
  start = json.loads((workdir / 'versions.jsonl').read_text())
  told = {row[0]: row[1] for row in page.tables['what ran']}
  assert f'jax {start["jax"]}, ' in told['versions']
  assert told['code'] == start['git']
  assert told['hardware'] == f'{start["devices"]}, 1 process'
  assert told['seed'] == '0'
  assert told['network'] == 'lenet5, 60,000 parameters'
  config = {row[0]: row[1] for row in page.tables['config']}
  there = json.loads((workdir / 'config.json').read_text())
  assert config['optimizer.learning_rate'] == str(
    there['optimizer']['learning_rate']
  )
  assert config['report'] == 'true'
  assert len(config) == 1 + len(
    list(record.workdir_lib.flatten(there))
  )  # the header


def test_classes_add_up_to_the_result(page):
  header, *rows = page.tables['worst classes']
  wrong = [int(row[header.index('wrong')]) for row in rows]
  assert len(rows) == 10
  assert sum(wrong) == int(page.tables['results'][1][2])
  assert wrong == sorted(wrong, reverse=True)  # of 100 images each


def test_pictures_of_mistakes_are_those_images(page):
  found = [
    v for v in page.of('img') if v['alt'].startswith('image ')
  ]  # fmt: skip
  assert len(found) == network.MISTAKES
  source = sources.create('mnist5k', 'test')
  for image in found[:3]:
    number, said = image['alt'].removeprefix('image ').split(': ')
    content = base64.b64decode(image['src'].partition(',')[2])
    shown = np.asarray(PIL.Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(shown, source.images[int(number), ..., 0])
    label, answer = said.split(' → ')
    assert label == str(source.labels[int(number)]) != answer


def test_points_of_curves_are_the_values_of_the_record(page, workdir):
  lines = lines_of(workdir)
  panels = dict(zip([v['id'] for v in page.of('figure') if 'id' in v],
                    page.told))  # fmt: skip
  drawn = iter(page.of('polyline'))
  metrics = {
    'curve-error': ('train/mean_top1_error', 'eval/top1_error'),
    'curve-loss': ('train/mean_loss', 'eval/loss'),
    'curve-rate': ('train/learning_rate',),
    'curve-speed': ('time/images_per_second',),
    'curve-wait': ('time/data_wait_fraction',),
  }
  assert list(panels) == list(metrics)
  for key, names in metrics.items():
    told = panels[key]
    assert len(told['lines']) == len(names)
    for line, metric in zip(told['lines'], names):
      steps = [v['step'] for v in lines if metric in v]
      values = [v[metric] for v in lines if metric in v]
      assert line['x'] == steps
      np.testing.assert_allclose(line['y'], values, rtol=1e-5)
      points = next(drawn)['points'].split()
      places = np.array([p.split(',') for p in points], float)
      np.testing.assert_allclose(back(places[:, 0], told['x']), steps, atol=0.1)
      low, high = sorted(told['y'][:2])
      np.testing.assert_allclose(
        back(places[:, 1], told['y'], told['log']), values,
        atol=(high - low) / 1e4,
      )  # fmt: skip
  assert [v['class'] for v in page.of('polyline')][:2] == ['c0 thin', 'c1 bold']
  # 12 steps of 16 of 4,000 images
  assert panels['curve-error']['pass'] == 250


def back(places, scale, log=False):
  """Returns the values at places; with the axis of `Scale`."""
  low, high, first, last = scale
  share = (places - first) / (last - first)
  if log:
    return low * (high / low) ** share
  return low + share * (high - low)


def test_commands_parse_as_they_stand(page, workdir):
  run = record.read(str(workdir))
  commands = report.about.commands(run.path, [f'--workdir={workdir}'])
  for words in commands.values():
    assert shlex.join(['python', *words]) in page.texts['commands']
    script, *arguments = words if words[0] != '-m' else words[1:]
    if script == 'tools.predict':
      said = 'PHOTOS cannot be read: there is no such file'
    else:  # which is seen after all flags
      arguments.append('stray')
      said = "stray argument 'stray'"
    result = forking.run(script, *arguments)
    assert result.returncode == 2
    assert said in result.stderr


def test_a_page_that_cannot_be_drawn_costs_no_run(workdir, monkeypatch, capsys):
  def fail(*_):
    raise ValueError('no ink\nleft')

  monkeypatch.setattr(report, 'page', fail)
  config = make_config(train__log_every=2, report=True)
  result = train_lib.train_and_evaluate(config, str(workdir))
  assert result['eval/count'] == 1000
  said = capsys.readouterr().out.splitlines()[-1]
  assert said == 'report      not written: ValueError: no ink left'
