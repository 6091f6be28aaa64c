"""The config files as a person meets them: a list, help, names of runs."""

import ast
import importlib.util
import pathlib
import sys
import types

from ml_collections import ConfigDict

from configs import arguments

_FOLDER = pathlib.Path(__file__).parent


def files() -> dict[str, str]:
  """Returns the first line of each config file's docstring, by its path."""
  found = {}
  for path in sorted(_FOLDER.glob('*.py')):
    tree = ast.parse(path.read_text())
    takes = {
      node.name: [a.arg for a in node.args.args]
      for node in tree.body
      if isinstance(node, ast.FunctionDef)
    }
    if takes.get('get_config') == ['arg']:
      title = (ast.get_docstring(tree) or '').partition('\n')[0]
      found[f'{_FOLDER.name}/{path.name}'] = title
  return found


def listing() -> str:
  """Returns `files` as lines for a terminal."""
  return '\n'.join(f'  {path:24} {title}' for path, title in files().items())


def load(path: str) -> types.ModuleType:
  """Returns the module of a config file.

  Raises:
    OSError: there is none.
  """
  name = f'config_{pathlib.Path(path).stem}'
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None or spec.loader is None:
    raise FileNotFoundError(f'{path} is not a Python file')
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module
  spec.loader.exec_module(module)
  return module


def describe(path: str) -> str:
  """Returns what a config file says of itself, and its arguments.

  Args:
    path: of the file, as --config has it; what follows a colon is left out.

  Raises:
    OSError: there is none.
  """
  file = path.partition(':')[0]
  module = load(file)
  lines = [(module.__doc__ or '').strip()]
  if known := _arguments(module):
    lines += [
      f'\narguments: --config={file}:KEY=VALUE,KEY=VALUE,SWITCH\n'
      'of each the first value is the default',
      arguments.describe(known),
    ]
  lines.append(
    f'\nfields: --config.SECTION.FIELD=VALUE; {_FOLDER.name}/default.py has '
    'their meaning,\nconfig.json in a workdir the values of a run'
  )
  return '\n'.join(lines)


def run_name(path: str, config: ConfigDict) -> str:
  """Returns a name for a run: what of its arguments is not the default.

  Args:
    path: of the file, with the arguments that made the config; or what a run
      has left, a config.json.
    config: made from it.

  Returns:
    The variant, the data set where it is not the file's own, the others: as
    'googlenet', 'lenet5_mnist5k', 'vgg_d_scale-384', 'resnet50_fake_smoke'.
  """
  if path.endswith('.json'):
    return f'{config.model.name}_{config.data.name}'
  file, _, text = path.partition(':')
  module = load(file)
  usual = {
    f'{key}={argument.values[0]}'
    for key, argument in _arguments(module).items()
    if argument.values
  }
  try:
    own = module.get_config().data.name
  except TypeError:  # it wants an argument
    own = ''
  parts = [config.model.name]
  if 'network' in _arguments(module):  # any paper's
    parts = [module.__name__.removeprefix('config_'), *parts]
  if config.data.name != own:
    parts.append(config.data.name)
  for word in sorted(filter(None, text.split(','))):
    key = word.partition('=')[0]
    if key not in ('variant', 'network', 'data') and word not in usual:
      parts.append(word.replace('=', '-'))
  return '_'.join(parts)


def _arguments(module) -> dict[str, arguments.Argument]:
  return module.get_arguments() if hasattr(module, 'get_arguments') else {}
