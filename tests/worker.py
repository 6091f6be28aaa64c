"""One process of a training run, for tests: python tests/worker.py JSON

JSON: {"workdir", "fields": {config fields}, "digests": steps to digest,
"folder": photographs for a small ResNet instead of LeNet-5, "coordinator",
"processes", "process"}. Prints a JSON line with the digests of
the first global batches and the last evaluation.
"""

import hashlib
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax
import numpy as np
from absl import logging
from conftest import make_config
from jax.experimental import multihost_utils

import input_pipeline
import train_lib
from configs import resnet
from experiment import create_experiment


def batch_digests(config, steps):
  """Returns the digest of each of the first global batches."""
  experiment = create_experiment(config)
  batches = input_pipeline.train_batches(
    experiment.train_source, config.train.batch_size, seed=config.seed,
    start=0, stop=steps, sharding=experiment.batch_sharding,
  )  # fmt: skip
  found = []
  for batch in batches:
    rows = batch
    if jax.process_count() > 1:
      rows = multihost_utils.process_allgather(batch, tiled=True)
    content = [np.asarray(rows[k]).tobytes() for k in ('image', 'label')]
    found.append(hashlib.sha256(b''.join(content)).hexdigest())
  return found


def small_resnet(folder, fields):
  """Returns the config of a narrow ResNet-18 on photographs of 64x64."""
  config = resnet.get_config('variant=resnet18,data=folder,smoke')
  geometry = {'name': 'scale_jitter', 'smallest': 64, 'largest': 80}
  config.data.geometry = geometry
  config.data.eval_geometry = {'name': 'center', 'shorter_side': 64}
  config.update_from_flattened_dict(
    {
      'data.dir': folder,
      'data.image_size': 64,
      'model.width': 0.1,
      'train.statistics_batches': 0,
      **{k.replace('__', '.'): v for k, v in fields.items()},
    }
  )
  return config


def main():
  task = json.loads(sys.argv[1])
  logging.set_verbosity(logging.ERROR)
  if task.get('processes', 1) > 1:
    jax.distributed.initialize(
      task['coordinator'], task['processes'], task['process']
    )
  if 'folder' in task:
    config = small_resnet(task['folder'], task['fields'])
  else:
    config = make_config(**task['fields'])
  digests = batch_digests(config, task.get('digests', 0))
  result = train_lib.train_and_evaluate(config, task['workdir'])
  print(json.dumps({'digests': digests, 'result': result}))


if __name__ == '__main__':
  main()
