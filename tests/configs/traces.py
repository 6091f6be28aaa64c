"""The first three steps of every recipe, as numbers: traces.json.

    python tests/configs/traces.py            what has moved
    python tests/configs/traces.py --write    writes the file anew

Each config trains on noise, its network narrow. The numbers are not right or
wrong, they are what came of it: they move with any number of a recipe, initial
value, order of examples or of random draws, whether that was meant or not.
"""

import argparse
import importlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import conftest  # noqa: F401  before JAX: compiles quickly
import jax
import numpy as np

import experiment as experiment_lib
import input_pipeline
from training import curvature
from training.state import create_state
from training.train_step import make_train_step

FILE = pathlib.Path(__file__).with_suffix('.json')
WRITE = 'python tests/configs/traces.py --write'
STEPS = 3
TOLERANCE = 1e-3  # of a number; other versions and machines differ by 1e-5
# A network compiles for seconds, so that a text has more than one argument.
SMALL = {'train.batch_size': 4, 'model.width': 0.1}
NORMALISED = {
  'train.batch_size': 16, 'model.width': 0.1, 'model.bn_group': 16,
}  # fmt: skip
CASES = {
  'lenet5:': {},
  'lenet5:optimizer=sdlm,augment=invert': {'train.steps_per_call': 1},
  'lenet5:variant=lenet5_modern,data=mnist5k': {},  # distorts
  'alexnet:': SMALL,
  'alexnet:variant=bvlc_alexnet': SMALL,
  'zfnet:': SMALL,
  'vgg:variant=vgg_a': SMALL,
  'googlenet:': SMALL,
  'resnet:variant=resnet18': {
    **NORMALISED, 'data.image_size': 64,
    # At 0.1 errors of rounding grow a thousandfold within three steps.
    'optimizer.learning_rate': 0.01,
  },
  'resnet_cifar:decay=fb': NORMALISED,
}  # fmt: skip


def config_of(text):
  """Returns a case's config: noise in place of its data, a narrow network."""
  name, _, arg = text.partition(':')
  config = importlib.import_module(f'configs.{name}').get_config(arg)
  config.update_from_flattened_dict(CASES[text])
  side, channels = config.data.image_size, 3
  if name == 'lenet5':  # II-B: 28x28 in the centre of 32x32
    side, channels = 28, 1
  config.data.update(
    name='fake',
    options={
      'shape': (side, side, channels), 'num_classes': 10, 'examples': 512,
    },
    geometry={'name': 'none'},
    eval_geometry={'name': 'none'},
  )  # fmt: skip
  return config


def trace(text):
  """Trains for three steps; returns {field: number or numbers}."""
  experiment = experiment_lib.create_experiment(config_of(text))
  state = create_state(experiment)
  start = jax.device_get(state)
  if refresh := curvature.make_refresh(experiment):
    state, _ = refresh(state, 0)
  step, found = make_train_step(experiment), []
  for batch in input_pipeline.train_batches(
    experiment.train_source,
    experiment.config.train.batch_size,
    seed=experiment.config.seed,
    start=0,
    stop=STEPS,
    sharding=experiment.batch_sharding,
  ):
    state, metrics = step(state, batch)
    found.append(metrics)
  fields = {k: [float(m[k]) for m in found] for k in sorted(found[0])}
  fields |= _digest(start, jax.device_get(state))
  return {k: _rounded(v) for k, v in fields.items()}


def _rounded(value):
  if isinstance(value, list):
    return [_rounded(v) for v in value]
  return float(f'{value:.6g}')


def _digest(start, end):
  """What three steps changed, for each kind of parameter and statistic.

  Means are geometric: one layer among many shows, however little it moves.
  """
  fields, kernels = {}, []
  for kind, pairs in sorted(_leaves(start, end).items()):
    for name, values in (
      ('start', [old for old, _ in pairs]),
      ('moved', [new - old for old, new in pairs]),
    ):
      norms = np.array([np.linalg.norm(v) for v in values])
      if norms.any():
        mean = float(np.exp(np.log(norms[norms > 0]).mean()))
        fields[f'{name}, {kind}'] = mean
    if kind == 'kernel':
      kernels = [
        ((new - old) * old).sum() / (old**2).sum() for old, new in pairs
      ]
  fields['kernels grew by'] = float(np.median(kernels))
  if end.average:
    fields['average moved, of it'] = _share(start, end)
  return fields


def _share(start, end):
  """How far Polyak's average has come along with the parameters."""
  start, params, average = (
    np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(t)])
    for t in (start.params, end.params, end.average)
  )
  moved = params - start
  return float((average - start) @ moved / (moved @ moved))


def _leaves(start, end):
  """Returns [(before, after)] in float64 by kind: kernel, bias, mean ..."""
  kinds = {}
  for (path, old), new in zip(
    jax.tree_util.tree_leaves_with_path((start.params, start.model_state)),
    jax.tree.leaves((end.params, end.model_state)),
    strict=True,
  ):
    pair = np.float64(old), np.float64(new)
    kinds.setdefault(path[-1].key, []).append(pair)
  return kinds


def moved(before, after):
  """Returns a line for each field that is not what it was."""
  lines = []
  for field in sorted(before.keys() | after.keys()):
    old, new = (np.array(t.get(field, np.nan)) for t in (before, after))
    if old.shape != new.shape or not np.allclose(
      new, old, rtol=TOLERANCE, atol=0
    ):
      lines.append(f'{field}: {old} -> {new}')
  return lines


def read():
  """Returns the traces of the file, by case."""
  return json.loads(FILE.read_text()) if FILE.exists() else {}


def main():
  """Compares cases with the file; with --write, writes them."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--write', action='store_true')
  parser.add_argument('cases', nargs='*', help='all, if none is given')
  args, before = parser.parse_args(), read()
  after = {k: v for k, v in before.items() if k in CASES}
  for text in args.cases or CASES:
    after[text] = trace(text)
    lines = moved(before.get(text, {}), after[text])
    print('\n  '.join([text, *(lines or ['as it was'])]), flush=True)
  if args.write:
    FILE.write_text(json.dumps(after, indent=1, sort_keys=True) + '\n')


if __name__ == '__main__':
  main()
