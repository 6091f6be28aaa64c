"""tools.report: pages of files and of several runs, and what is refused."""

import json

import pages
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import ROOT

from configs import lenet5
from errors import UserError
from tools import report

WEIGHTS = ROOT / 'published' / 'lenet5_mnist.npz'


def call(config, *arguments, **more):
  flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**more):
    report.main(config, list(map(str, arguments)))


def run_of(place, values=(), count=100, **train):
  """Writes the record of a run; returns its config."""
  place.mkdir(parents=True)
  lines = [
    {
      'step': 10 * i, 'train/loss': 1 / i, 'train/learning_rate': 0.1,
      'eval/loss': 2 / i, 'eval/top1_error': wrong / count,
      'eval/wrong': wrong, 'eval/count': count, 'eval/protocol': 'single',
      'time/images_per_second': 100.0, 'time/data_wait_fraction': 0.5,
    }
    for i, wrong in enumerate(values, 1)
  ]  # fmt: skip
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (place / 'metrics.jsonl').write_text(text)
  config = {
    'seed': 0, 'model': {'name': 'lenet5'}, 'data': {'name': 'fake'},
    'train': {'batch_size': 5, **train}, 'optimizer': {}, 'loss': {},
  }  # fmt: skip
  (place / 'config.json').write_text(json.dumps(config))
  content = {'class_names': ['a'], 'image_shape': [2, 2, 1]}
  content['train_examples'] = 20
  (place / 'classes.json').write_text(json.dumps(content))
  return config


def test_runs_beside_each_other(tmp_path, capsys):
  there = {
    'a': run_of(tmp_path / 'a', (50, 30, 20)),
    'b': run_of(tmp_path / 'b', (40, 45), batch_size=10, average=0.5),
  }
  (tmp_path / 'a' / 'results').mkdir()
  result = {'protocol': 'ten_crop', 'count': 100, 'wrong': 9,
            'top1_error': 0.09, 'scales': [2, 3]}  # fmt: skip
  content = {'result': result, 'networks': ['a'], 'split': 'test'}
  (tmp_path / 'a' / 'results' / 'r.json').write_text(json.dumps(content))
  out = tmp_path / 'out'
  paths = [tmp_path / name for name in there]
  call(None, *paths, compare=True, out=str(out))
  said = capsys.readouterr().out.splitlines()
  assert said[0] == '2 runs'
  assert said[1].startswith(f'written to {out / "index.html"}, 0.0')
  page = pages.check((out / 'index.html').read_text())
  assert page.tables['differences'] == [
    ['field', 'a', 'b'],
    ['train.average', '—', '0.5'],
    ['train.batch_size', '5', '10'],
  ]
  header, *rows = page.tables['results']
  found = [dict(zip(header, row)) for row in rows]
  assert [(f['run'], f['what'], f['wrong']) for f in found] == [
    ('a', 'last', '20'), ('a', 'evaluation, r.json', '9'),
    ('b', 'last', '45'), ('b', 'best', '40'),
  ]  # fmt: skip
  assert found[1]['protocol'] == 'ten_crop at 2, 3'
  assert found[0]['when'] == 'step 30, pass 7.5'
  assert found[2]['when'] == 'step 20, pass 10'
  assert {f['of'] for f in found} == {'100'}
  error = page.told[0]
  assert error['name'] == 'pass'
  tests = [line for line in error['lines'] if line['name'].endswith('test')]
  assert [line['x'] for line in tests] == [[2.5, 5, 7.5], [5, 10]]
  assert [line['y'] for line in tests] == [[0.5, 0.3, 0.2], [0.4, 0.45]]
  assert [line['colour'] for line in tests] == [0, 1]
  assert 'Not all errors' not in page.texts['result']
  # The same again, over the page that is there; the runs in another order.
  call(None, *paths[::-1], compare=True, out=str(out))
  again = pages.check((out / 'index.html').read_text())
  assert again.tables['differences'][2] == ['train.batch_size', '10', '5']


def test_what_a_run_lacks_is_said_beside_the_others(tmp_path):
  run_of(tmp_path / 'x' / 'a', (50,))
  run_of(tmp_path / 'y' / 'a', (), count=7)
  (tmp_path / 'y' / 'a' / 'classes.json').unlink()
  run_of(tmp_path / 'c', (3,), count=8)
  (tmp_path / 'c' / 'config.json').unlink()
  paths = [tmp_path / name for name in ('x/a', 'y/a', 'c')]
  call(None, *paths, compare=True, out=str(tmp_path / 'out'))
  page = pages.check((tmp_path / 'out' / 'index.html').read_text())
  one, two = str(paths[0]), str(paths[1])
  assert f'size of a pass is not known: {two}, c.' in page.texts['curves']
  assert page.told[0]['name'] == 'step'
  assert 'for want of a config.json: c.' in page.texts['differences']
  assert page.tables['results'][2][:2] == [two, 'no evaluation']
  assert 'Not all errors are of the same images' in page.texts['result']
  assert f'{two}: classes.json is not there' in page.texts['runs']
  assert page.tables['results'][1][0] == one


@pytest.fixture
def published(tmp_path):
  """Published weights, without the data."""
  config = lenet5.get_config('optimizer=sdlm')
  config.init_from, config.data.dir = str(WEIGHTS), str(tmp_path)
  return config


def test_a_file_of_weights_has_a_page_without_the_data(
  published, tmp_path, capsys, monkeypatch
):
  argv = ['report.py', f'--config.init_from={WEIGHTS}', '--config.data.dir',
          'D', '--out=o', '--config.report']  # fmt: skip
  monkeypatch.setattr('sys.argv', argv)
  call(published, out=str(tmp_path / 'out'))
  said = capsys.readouterr().out
  assert 'missing: The test images are not at hand (' in said
  page = pages.check((tmp_path / 'out' / 'index.html').read_text())
  for key in ('classes', 'mistakes', 'maps'):
    assert '--config.data.dir=DIR says where they are' in page.texts[key]
  assert 'C1: 6 of 5 x 5 x 1' in page.texts['filters']
  assert len(page.of('img')) == 6
  assert page.tables['results'][1][1:4] == ['0.75%', '75', '10,000']
  named = f'--config.init_from={WEIGHTS} --config.data.dir=D --config.report'
  assert f'python main.py {named} --mode=eval' in page.texts['commands']
  assert f'main.py {named} --workdir=RUN' in page.texts['commands']


@pytest.mark.parametrize(
  ('arguments', 'more', 'words'),
  [
    ((), {'compare': True}, '--compare has 0 of the two or more runs'),
    (('a',), {'compare': True}, '--compare has 1 of the two or more runs'),
    (('a', 'a/'), {'compare': True}, '--compare: a/ is given twice'),
    (('no', 'a'), {'compare': True}, '--compare: no does not exist'),
    (('empty', 'a'), {'compare': True}, '--compare: empty is no workdir: it '),
    (
      ('a', 'b'),
      {'compare': True, 'workdir': 'a'},
      '--compare takes workdirs as arguments',
    ),
    (('a', 'b'), {'compare': True, 'out': ''}, '--out=DIR is missing'),
    (('a', 'b'), {'compare': True, 'out': 'file'}, '--out file is a file'),
    (('a', 'b'), {'compare': True, 'out': 'theirs'}, 'none of this command'),
  ],
)
def test_mistakes_of_the_user_are_one_line(
  tmp_path, monkeypatch, arguments, more, words
):
  monkeypatch.chdir(tmp_path)
  for name in 'ab':
    run_of(tmp_path / name, (1,))
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'theirs').mkdir()
  (tmp_path / 'theirs' / 'index.html').write_text('<html>mine</html>')
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError) as error:
    call(None, *arguments, **{'out': 'out', **more})
  assert words in str(error.value)
  assert '\n' not in str(error.value)
  assert (
    (tmp_path / 'theirs' / 'index.html').read_text().endswith('mine</html>')
  )
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
  ('arguments', 'more', 'words'),
  [
    (('a',), {}, "stray argument 'a': several runs need --compare"),
    ((), {'out': ''}, '--out=DIR is missing'),
    (('a', 'b'), {'compare': True}, '--compare takes workdirs as arguments'),
    ((), {'init_from': 'no.npz'}, 'no.npz does not exist: a workdir, or'),
    ((), {'init_from': ''}, '--workdir is missing, or --config.init_from=FILE'),
  ],
)
def test_mistakes_with_one_run_are_one_line(
  published, tmp_path, arguments, more, words
):
  published.init_from = more.pop('init_from', published.init_from)
  with pytest.raises(UserError) as error:
    call(published, *arguments, **{'out': str(tmp_path / 'out'), **more})
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_matplotlib_is_asked_for_first(published, tmp_path, monkeypatch):
  find_spec = report.report.importlib.util.find_spec
  monkeypatch.setattr(
    report.report.importlib.util,
    'find_spec',
    lambda name: None if name == 'matplotlib' else find_spec(name),
  )
  with pytest.raises(UserError, match=r'tools.report draws pictures: pip inst'):
    call(published, out=str(tmp_path / 'out'))
