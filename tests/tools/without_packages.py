"""Runs commands in one process in which the optional packages are not there.

Arguments are JSON: packages, and a list of [command, argument, ...]. Prints
[exit code, standard output, standard error] of each, a line a command.
"""

import contextlib
import importlib.abc
import io
import json
import runpy
import sys
import traceback

from absl import flags


class Refusing(importlib.abc.MetaPathFinder):
  """Finds none of some packages, and lets others find the rest."""

  def __init__(self, packages):
    self._packages = packages

  def find_spec(self, name, path, target=None):
    """See the class."""
    if name.partition('.')[0] in self._packages:
      raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def forget_flags(module):
  """Absl refuses a flag that is defined twice, as by a module and __main__."""
  for name, defined in flags.FLAGS.flags_by_module_dict().items():
    if name.endswith(module):
      for flag in list(defined):
        delattr(flags.FLAGS, flag.name)


def run(command, arguments):
  """Returns exit code, standard output and standard error."""
  out, err, code = io.StringIO(), io.StringIO(), 0
  sys.argv = [command, *arguments]
  # A command may have been imported by another one, of which runpy would warn.
  if sys.modules.pop(command, None):
    forget_flags(command)
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    try:
      runpy.run_module(command, run_name='__main__', alter_sys=True)
    except SystemExit as stop:
      code = stop.code or 0
    except BaseException:  # noqa: BLE001  it is what is looked for
      traceback.print_exc()
      code = 1
  forget_flags(command.replace('.', '/') + '.py')  # may be imported by the next
  return code, out.getvalue(), err.getvalue()


if __name__ == '__main__':
  packages, commands = map(json.loads, sys.argv[1:])
  sys.meta_path.insert(0, Refusing(packages))
  for command, *arguments in commands:
    print(json.dumps(run(command, arguments)), flush=True)
