"""No test is left out in silence."""

import ast
import re

from conftest import ROOT

# What requirements-dev.txt leaves out. The rest is imported as anything else:
# without it the file fails, unless a person leaves it out: --ignore=FILE.
OPTIONAL = {'jax2onnx', 'keras', 'playwright', 'torch', 'torchvision'}
# How to have it run: a switch, a package, or a command of the system.
WAY = re.compile(r'run with [A-Z]+=1|pip install |needs .*(unshare|setpriv)|'
                 r'run where it is installed')  # fmt: skip


def skips():
  """Yields (place, function, its node) of each call that leaves tests out."""
  for file in sorted(ROOT.glob('tests/**/*.py')):
    for node in ast.walk(ast.parse(file.read_text())):
      if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition('.')[2]
        if name in ('importorskip', 'skip', 'skipif', 'xfail', 'SkipTest'):
          yield f'{file.relative_to(ROOT)}:{node.lineno}', name, node


def test_a_skip_says_how_to_run_what_it_leaves_out():
  found = list(skips())
  assert {'importorskip', 'skip', 'skipif'} <= {name for _, name, _ in found}
  for place, name, node in found:
    if name == 'importorskip':
      assert ast.literal_eval(node.args[0]) in OPTIONAL, place
    reason = [k.value for k in node.keywords if k.arg == 'reason']
    if name == 'skip':
      reason = node.args
    (text,) = reason
    said = 'pip install ' if ast.unparse(text) == 'WAY' else text.value
    assert WAY.search(said), place


def test_what_may_be_absent_is_not_what_is_installed_for_tests():
  text = (ROOT / 'requirements.txt').read_text()
  text += (ROOT / 'requirements-dev.txt').read_text()
  assert not OPTIONAL & set(re.findall(r'^[\w-]+', text, re.M))
