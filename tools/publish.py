"""Makes a trained run into something that others can hold.

    python -m tools.publish --workdir=RUN --out=published/NAME

Writes NAME.npz, the weights of the newest checkpoint, which `init_from` and
`zoo.weights.load` read, and beside it a folder NAME with README.md, a card that
says what it is and how it was made; classes.json; config.json and metrics.jsonl
of the run; sha256.txt. Directories of this machine are left out.
"""

import hashlib
import json
import pathlib
import shlex
from typing import Any

import jax

from configs import default
from data import mean_image, parts
from errors import UserError
from evaluation import networks
from runtime import mesh, run_log, storage
from runtime import workdir as workdir_lib
from tools import record, usage
from zoo import weights

# Flags whose values are places on the machine of the run.
_PLACES = {'--workdir': 'RUN', '--config.data.dir': 'DIR'}


def read(workdir: str) -> dict[str, Any]:
  """Returns what a workdir says of its run.

  Raises:
    UserError: it is no workdir of a run that has been evaluated at its newest
      checkpoint.
  """
  place = storage.path(workdir)
  classes = workdir_lib.read_classes(place)
  steps = sorted(p.name for p in (place / 'checkpoints').glob('[0-9]*'))
  if classes is None or not steps:
    raise UserError(
      f'--workdir {workdir} holds no run: no checkpoint, no names'
    )
  lines, _ = run_log.read_lines(place / 'metrics.jsonl')
  evaluations = [line for line in lines if 'eval/count' in line]
  step = int(steps[-1])
  if not evaluations or evaluations[-1]['step'] != step:
    raise UserError(
      f'--workdir {workdir}: its newest checkpoint, step {step}, has no '
      'evaluation. The command of the run makes it'
    )
  starts = (place / 'versions.jsonl').read_text().splitlines()
  return {
    'config': workdir_lib.read_config(place),
    'classes': {'class_names': classes[0], 'image_shape': classes[1]},
    'metrics': [json.dumps(line) for line in lines],
    'evaluation': evaluations[-1],
    'start': json.loads(starts[-1]),
    'mean_image': place / mean_image.NAME,
    'workdir': workdir,
  }


def publish(workdir: str, out: str) -> list[pathlib.Path]:
  """Writes the files of the module's docstring; returns their paths.

  Raises:
    UserError: as `read`; or `out` is there already.
  """
  run = read(workdir)
  folder = storage.local(out)
  file = folder.with_name(f'{folder.name}.npz')
  for path in (folder, file):
    if path.exists():
      raise UserError(f'--out {out}: {path} is there already')
  config = default.get_config()
  config.eval.members = workdir
  names = run['classes']['class_names']
  (network,) = networks.members(config, names)
  folder.mkdir(parents=True)
  weights.save(str(file), network.variables)
  digest = hashlib.sha256(file.read_bytes()).hexdigest()
  contents = {
    **record.contents(run['config'], *run['classes'].values()),
    'metrics.jsonl': '\n'.join(run['metrics']) + '\n',
    'sha256.txt': f'{digest}  {file.name}\n',
    'README.md': card(run, folder.name, digest, network),
  }
  copy, size = run['mean_image'], run['config']['data']['image_size']
  mean = mean_image.read(copy, size) if copy.exists() else None
  record.write(folder, contents, mean)
  return [file, *sorted(folder.iterdir())]


def command(argv: list[str]) -> str:
  """Returns a recorded command line without the places of its machine."""
  parts = []
  for argument in argv[1:]:
    flag, equals, _ = argument.partition('=')
    known = _PLACES.get(flag) if equals else None
    parts.append(f'{flag}={known}' if known else shlex.quote(argument))
  return ' '.join(['python', pathlib.Path(argv[0]).name, *parts])


def card(run: dict, name: str, digest: str, network: networks.Network) -> str:
  """Returns the text of README.md."""
  config, evaluation, start = run['config'], run['evaluation'], run['start']
  train, data = config['train'], config['data']
  count = evaluation['eval/count']
  trained = command(start['command'])
  flag = next(
    (a for a in shlex.split(trained) if a.startswith('--config=')),
    '--config=FILE',
  )
  split = 'test'
  if parts.is_held_out(data['options'] or {}, config['eval'].get('split', '')):
    split = 'held out'
  versions = ', '.join(
    f'{k} {v}'
    for k, v in start.items()
    if k in ('python', 'jax', 'jaxlib', 'flax', 'optax', 'devices') and v
  )
  return f"""# {name}

| | |
|---|---|
| network | {config['model']['name']}, {_parameters(network):,} parameters |
| data | {data['name']}, {len(run['classes']['class_names'])} classes |
| error | **{evaluation['eval/top1_error']:.2%}** top-1: \
{evaluation['eval/wrong']:,} of {count:,} ({split}, protocol \
{evaluation['eval/protocol']}), at the last step, {evaluation['step']:,} |
| recipe | {config['optimizer']['name']}, rate \
{config['optimizer']['learning_rate']:g}, {train['batch_size']} an update, \
augmentation {train['augment']}, seed {config['seed']}; all of it in \
[config.json](config.json), the record in [metrics.jsonl](metrics.jsonl) |
| made | {start['time'][:10]}, {versions} |
| SHA-256 | `{digest}` |

Trained by

```
{trained}
```

What is on a picture:

```
python -m tools.predict {flag} --config.init_from=published/{name}.npz PICTURE
```

To evaluate it, or to train on from it, give the same `--config.init_from` to
`main.py`. In Python:

```python
from zoo import weights
variables = weights.load('{config['model']['name']}', 'published/{name}.npz', \
num_classes={network.num_classes})
```
"""


def _parameters(network):
  leaves = jax.tree.leaves(network.variables['params'])
  return sum(leaf.size for leaf in leaves)


def main():
  """See the module's docstring."""
  parser = usage.parser(__name__)
  parser.add_argument('--workdir', required=True, help='of the run')
  parser.add_argument(
    '--out', required=True, metavar='DIR/NAME', help='the folder to make'
  )
  args = parser.parse_args()
  with usage.errors(), mesh.devices_by_name():
    for path in publish(args.workdir, args.out):
      print(path)


if __name__ == '__main__':
  main()
