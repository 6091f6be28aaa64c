"""Standard output in ASCII, and where nobody reads it any more.

DEEP=1 in the environment: --mode=train in ASCII too.
"""

import os
import subprocess
import sys

import pytest
from conftest import FEW, ROOT, SMOKE

ASCII = {'LC_ALL': 'C', 'PYTHONIOENCODING': 'ascii'}


def unread(*command, **options):
  """Runs Python with an output that is closed at the other end."""
  read, write = os.pipe()
  os.close(read)
  try:
    return subprocess.run(
      [sys.executable, *command],
      stdout=write, cwd=ROOT, check=False, timeout=120,
      **{'stderr': subprocess.PIPE, **options},
    )  # fmt: skip
  finally:
    os.close(write)


def test_what_is_done_goes_on_unread_and_says_so_once():
  code = (
    'import sys; from runtime import console; console.say("a"); '
    'console.say("b"); print("end", file=sys.stderr)'
  )
  result = unread('-c', code)
  assert result.returncode == 0
  said = b'standard output is closed: this goes on without\nend\n'
  assert result.stderr == said
  result = unread('-c', code, stderr=subprocess.STDOUT)
  assert result.returncode == 0


def test_what_only_prints_ends_quietly_with_the_code_of_a_shell():
  code = (
    'from tools import usage\nwith usage.errors(OSError): print("a" * 100_000)'
  )
  result = unread('-c', code)
  assert (result.returncode, result.stderr) == (141, b'')
  code = 'from tools import usage\nwith usage.errors(): print("short")'
  result = unread('-c', code)
  assert (result.returncode, result.stderr) == (141, b'')


def test_letters_that_a_terminal_lacks_are_escaped():
  code = (
    'from runtime import console; console.accept_all_letters(); '
    'console.say("l\\xe4uf")'
  )
  result = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True, check=True, cwd=ROOT, env={**os.environ, **ASCII},
  )  # fmt: skip
  assert result.stdout == b'l\\xe4uf\n'


@pytest.mark.slow
def test_a_run_unread_and_with_a_name_in_other_letters(tmp_path):
  place = tmp_path / 'läuf'
  command = ['main.py', SMOKE, f'--workdir={place}', *FEW]
  result = unread(*command, env={**os.environ, **ASCII})
  assert result.returncode == 0, result.stderr
  assert result.stderr.count(b'\n') == 1
  lines = (place / 'metrics.jsonl').read_text()
  assert 'eval/top1_error' in lines
  for mode in ('train', 'eval') if 'DEEP' in os.environ else ('eval',):
    again = subprocess.run(
      [sys.executable, *command, f'--mode={mode}'],
      capture_output=True, check=False, cwd=ROOT, env={**os.environ, **ASCII},
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert b'l\\xe4uf' in again.stdout


@pytest.mark.slow
def test_help_unread():
  result = unread('main.py', '--help')
  assert (result.returncode, result.stderr) == (141, b'')
