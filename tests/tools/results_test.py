"""docs/results.md has numbers of ours only from files."""

import copy
import json

import pytest
from conftest import ROOT

from errors import UserError
from evaluation import exact
from tools import reported, results


def result_file(row, **changes):
  config = results.expected(row)
  images = {'imagenet2012': 50_000}.get(config['data']['name'], 10_000)
  total = {'count': images, 'top1': images // 2, 'top5': images, 'loss': 1.0}
  result = exact.as_result(total, row.protocol, 10)
  result['scales'] = list(row.scales)
  return {
    'time': '2026-01-01', 'networks': ['DIR'] * row.members, 'config': config,
    'result': {**result, **changes}, 'versions': {'devices': '1 x cpu'},
    'file': 'docs/results/a.json',
  }  # fmt: skip


def test_each_row_is_matched_by_its_own_result_only():
  configs = [results.expected(row) for row in reported.ROWS]
  for row in reported.ROWS:
    found = result_file(row)
    matched = [
      r for r, c in zip(reported.ROWS, configs) if results.matches(r, c, found)
    ]
    own = [r for r in reported.ROWS if r.config == row.config]
    assert row in matched
    for other in matched:
      assert other.protocol == row.protocol
      assert other.members == row.members
      assert other in own or results.expected(other) == found['config']


def test_part_of_a_split_is_no_result():
  row = reported.ROWS[2]
  config = results.expected(row)
  assert results.matches(row, config, result_file(row))
  assert not results.matches(row, config, result_file(row, count=49_999))
  short = copy.deepcopy(result_file(row))
  short['config']['train']['epochs'] = 1.0
  assert not results.matches(row, config, short)
  for option in ('first', 'held_out', 'holdout', 'per_class'):
    part = copy.deepcopy(result_file(row))
    part['config']['data']['options'] = {option: 1000}
    assert not results.matches(row, config, part)


def test_another_test_set_is_no_row(tmp_path):
  row = reported.ROWS[2]
  config = results.expected(row)
  part = result_file(row, test_set='imagenet2012 test (labels of real.json)')
  assert not results.matches(row, config, part)
  other = {**result_file(row), 'trained_on': {'name': 'mnist', 'options': {}}}
  assert not results.matches(row, config, other)
  page = results.page([part])
  assert page.count('needs ImageNet') == 56
  assert '| alexnet | imagenet2012 test (labels of real.json) | ' in page


def test_the_page_shows_files_and_says_what_is_missing(tmp_path):
  row = reported.ROWS[2]
  (tmp_path / 'run' / 'results').mkdir(parents=True)
  file = tmp_path / 'run' / 'results' / 'a.json'
  other = result_file(row, count=12)
  for name, content in (('a', result_file(row)), ('b', other)):
    file.with_name(f'{name}.json').write_text(json.dumps(content))
  said = results.page(results.read([str(tmp_path)]))
  assert (
    f'1 CNN | ten_crop 256 | 40.70 / 18.20 | 50.00 / 0.00 ([file]({file}'
    in said
  )
  assert said.count('needs ImageNet') == 55
  assert (
    '| alexnet | imagenet2012 | momentum, lighting | ten_crop 256 | 12 | 50.'
    in said
  )
  other['config']['data']['options'] = {'holdout': 5000, 'draw': 1}
  other['split'] = 'held out'
  said = results.page([{**other, 'file': 'c.json'}])
  assert '| imagenet2012, holdout 5,000, draw 1, held out | momentum' in said
  file.write_text('{}')
  with pytest.raises(UserError, match=r'a\.json is no result file'):
    results.read([str(tmp_path)])


def test_seeds_of_a_row_are_one_mean_with_its_range():
  row = reported.ROWS[2]
  found = []
  for seed, wrong in enumerate((20_000, 20_500, 21_000)):
    content = result_file(row, top1_error=wrong / 50_000, top5_error=0.1)
    content['config']['seed'] = seed
    found.append({**content, 'file': f'docs/results/{seed}.json'})
  said = results.page([found[0], *found])  # one of them twice
  assert (
    '41.00 / 10.00, mean of 3 seeds, 40.00 to 42.00 ([file](results/0.json), '
    '[file](results/1.json), [file](results/2.json))'
  ) in said
  assert 'Of 64 rows, 1 were run here' in said


def test_the_page_is_up_to_date(monkeypatch):
  monkeypatch.chdir(ROOT)
  page = (ROOT / 'docs' / 'results.md').read_text()
  assert results.page(results.read(['docs/results'])) == page
