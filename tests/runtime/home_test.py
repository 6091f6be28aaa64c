"""A user without a home directory, or with one that cannot be written to."""

import os
import shutil
import subprocess
import sys

import jax
import pooch
import pytest
from conftest import FEW, ROOT, SMOKE

import zoo.weights
from data import sources
from errors import UserError
from runtime import compile_cache, storage


def test_a_home_that_is_not_there_is_one_line():
  for place in (storage.local, storage.path):
    with pytest.raises(UserError, match='~nosuchuser is no home directory'):
      place('~nosuchuser/run')
  for name, options in (
    ('mnist', {}), ('cifar10', {}), ('folder', {}), ('imagenet2012', {}),
    ('tfds', {'builder': 'mnist'}),
  ):  # fmt: skip
    with pytest.raises(UserError, match='~nosuchuser is no home directory'):
      sources.create(name, 'train', '~nosuchuser/data', **options)
  with pytest.raises(zoo.weights.WeightsError, match='home directory'):
    zoo.weights.load('vgg_a', '~nosuchuser/a.npz')


def test_a_name_that_is_no_text_is_refused():
  with pytest.raises(UserError, match=r'dcc3.*PYTHONUTF8=1'):
    storage.path('/tmp/l\udcc3\udca4uf')
  assert storage.path('/tmp/l\xe4uf').name == 'l\xe4uf'


def test_paths_are_expanded_in_one_place():
  files = [*ROOT.glob('*.py'), *ROOT.glob('[!.]*/*.py')]
  found = {
    str(file.relative_to(ROOT))
    for file in files
    if 'tests' not in file.parts and 'expanduser(' in file.read_text()
  }
  # The zoo imports nothing of ours.
  assert found == {
    'runtime/storage.py', 'zoo/published.py', 'zoo/weights.py',
  }  # fmt: skip


def no_home(name):
  raise RuntimeError(f'no home for {name}')


@pytest.mark.parametrize('found', [no_home, lambda name: f'~/.cache/{name}'])
def test_data_are_not_fetched_without_a_cache(monkeypatch, found):
  monkeypatch.setattr(pooch, 'os_cache', found)
  with pytest.raises(UserError, match=r'XDG_CACHE_HOME.*mnist5k.*data\.dir'):
    sources.create('mnist', 'train')


@pytest.fixture
def cache_setting():
  fields = ('jax_compilation_cache_dir', 'jax_enable_compilation_cache')
  before = {f: jax.config.values[f] for f in fields}
  yield
  for field, value in before.items():
    jax.config.update(field, value)


@pytest.mark.usefixtures('cache_setting')
def test_without_a_cache_programs_are_not_kept(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(pooch, 'os_cache', no_home)
  (tmp_path / 'file').write_text('')
  for given in (None, str(tmp_path / 'file' / 'jax')):
    jax.config.update('jax_enable_compilation_cache', True)
    jax.config.update('jax_compilation_cache_dir', given)
    compile_cache.enable()
    assert not jax.config.values['jax_enable_compilation_cache']
    said = capsys.readouterr().err
    assert said.startswith('compiled programs are not kept (')
    assert said.count('\n') == 1
  compile_cache.enable()  # switched off: nothing to say
  assert not capsys.readouterr().err


@pytest.mark.usefixtures('cache_setting')
def test_programs_are_kept_in_the_users_cache(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(pooch, 'os_cache', lambda name: tmp_path / name)
  jax.config.update('jax_enable_compilation_cache', True)
  jax.config.update('jax_compilation_cache_dir', None)
  compile_cache.enable()
  place = tmp_path / 'convnet-classics' / 'jax'
  assert jax.config.values['jax_compilation_cache_dir'] == str(place)
  assert not capsys.readouterr().err


@pytest.mark.slow
def test_a_run_without_a_home_directory(tmp_path):
  prefix = ['unshare', '-U', '--map-user=12345']  # no entry among the users
  if (
    not shutil.which('unshare')
    or subprocess.run(
      [*prefix, 'true'], check=False, capture_output=True
    ).returncode
  ):
    pytest.skip('needs a user without an entry: unshare -U --map-user')
  taken = ('HOME', 'XDG_CACHE_HOME', 'JAX_COMPILATION_CACHE_DIR')
  env = {k: v for k, v in os.environ.items() if k not in taken}
  result = subprocess.run(
    [*prefix, sys.executable, 'main.py', SMOKE, f'--workdir={tmp_path}', *FEW],
    capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=120,
  )  # fmt: skip
  assert result.returncode == 0, result.stderr
  assert result.stderr.startswith('compiled programs are not kept (there is no')
  assert result.stderr.count('\n') == 1
  assert not (ROOT / '~').exists()
