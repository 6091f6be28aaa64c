"""Every command in tools/ and benchmarks/ has a --help, and needs no more."""

import ast
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

OPTIONAL = (
  'PIL', 'gcsfs', 'h5py', 'huggingface_hub', 'jax2onnx', 'libtpu', 'matplotlib',
  'mlxtend', 'onnx', 'onnxruntime', 'safetensors', 'sklearn', 'tensorboard',
  'tensorflow', 'tensorflow_datasets', 'torch', 'torchvision',
)  # fmt: skip
# Commands that need a package, and what their error says to install.
NEEDY = {
  f'tools.export --config={ROOT}/configs/lenet5.py --out=a.onnx': 'jax2onnx',
  f'tools.export --config={ROOT}/configs/lenet5.py --out=a.safetensors': (
    'safetensors'
  ),
  'tools.summarize --chart=chart.png': 'matplotlib',
  'tools.visualize curves --out=curves.png run': 'matplotlib',
  'tools.prepare_imagenet --out=out --train_dir=train': (
    'tensorflow-datasets importlib_resources'
  ),
  'benchmarks.lenet5_pytorch': 'torch',
  'benchmarks.operations': 'torch torchvision',
  'benchmarks.step': 'torch torchvision',
}


def find_commands():
  """Returns {name: tree} of all files with a __main__ block.

  Those of tools/ are first: benchmarks import some of them.
  """
  files = [
    file
    for folder in ('tools', 'benchmarks')
    for file in sorted((ROOT / folder).glob('*.py'))
  ]
  trees = {f'{f.parent.name}.{f.stem}': ast.parse(f.read_text()) for f in files}
  return {name: tree for name, tree in trees.items() if has_main(tree)}


def has_main(tree):
  return any(
    isinstance(node, ast.If) and '__main__' in ast.unparse(node.test)
    for node in tree.body
  )


def arguments_of(tree):
  """Yields the names of flags and arguments that a file defines."""
  for node in ast.walk(tree):
    if not isinstance(node, ast.Call) or 'SUPPRESS' in ast.unparse(node):
      continue
    called = ast.unparse(node.func)
    first = node.args[0] if node.args else None
    if called == 'parser.add_argument':
      metavar = [k.value.value for k in node.keywords if k.arg == 'metavar']
      is_flag = first.value.startswith('--')
      yield metavar[0] if metavar and not is_flag else first.value
    elif called.startswith('flags.DEFINE_'):
      yield f'--{first.value}'


COMMANDS = find_commands()


def run(commands, folder):
  done = subprocess.run(
    [
      sys.executable, str(ROOT / 'tests' / 'tools' / 'without_packages.py'),
      json.dumps(OPTIONAL), json.dumps([c.split() for c in commands]),
    ],
    capture_output=True, text=True, timeout=120, check=False, cwd=folder,
    env={**os.environ, 'COLUMNS': '80', 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'Traceback' not in done.stderr
  results = [json.loads(line) for line in done.stdout.splitlines()]
  return dict(zip(commands, results, strict=True))


@pytest.fixture(scope='module')
def said(tmp_path_factory):
  """{command line: exit code, standard output, standard error}."""
  folder = tmp_path_factory.mktemp('empty')
  found = run([*(f'{c} --help' for c in COMMANDS), *NEEDY], folder)
  assert not list(folder.iterdir())
  return found


@pytest.mark.parametrize('command', COMMANDS)
def test_help_is_the_docstring_and_the_flags(command, said):
  code, out, err = said[f'{command} --help']
  assert (code, err) == (0, '')
  assert out.startswith(f'usage: python -m {command} [-h]')
  tree = COMMANDS[command]
  text = ast.get_docstring(tree, clean=False)
  assert f'python -m {command}' in text
  _, found, described = out.partition(text)
  assert found
  words = described.split()
  arguments = list(arguments_of(tree))
  assert arguments or '--config' in words
  assert set(arguments) <= set(words)


@pytest.mark.parametrize('line', NEEDY)
def test_what_to_install_is_said_in_one_line(line, said):
  code, out, err = said[line]
  assert (code, out) == (2, '')
  assert err.startswith('error: needs a package (No module named ')
  assert err.endswith(f'): pip install {NEEDY[line]}\n')
  assert err.count('\n') == 1
