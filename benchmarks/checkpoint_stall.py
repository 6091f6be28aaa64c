"""How long a checkpoint of VGG-16 holds up the train loop, on this machine.

    python -m benchmarks.checkpoint_stall [DIRECTORY]

138 M parameters and as many momenta, 1.1 GB. The loop waits while `save`
digests and copies the state; the disk is written in the background.
"""

import tempfile
import time
from pathlib import Path

import jax
from absl import logging

from configs import vgg
from experiment import create_experiment
from runtime import checkpoints
from tools import usage
from training.state import create_state


def main() -> None:
  """Prints seconds, of three saves."""
  parser = usage.parser(__name__)
  parser.add_argument(
    'directory',
    nargs='?',
    help='to write in; by default that of temporary files',
  )
  args = parser.parse_args()
  logging.set_verbosity(logging.ERROR)
  config = vgg.get_config('')
  config.data.name = 'fake'
  config.data.options = {
    'shape': (224, 224, 3), 'num_classes': 1000, 'examples': 8,
  }  # fmt: skip
  config.data.geometry = {'name': 'none'}
  config.data.eval_geometry = {'name': 'none'}
  state = jax.block_until_ready(create_state(create_experiment(config)))
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  print(f'{config.model.name}: {size / 1e9:.2f} GB')
  with tempfile.TemporaryDirectory(dir=args.directory) as directory:
    place = Path(directory) / 'checkpoints'
    store = checkpoints.Checkpoints(place, 1, 0)
    for step in range(1, 4):
      start = time.perf_counter()
      checkpoints.manifest(state)
      digested = time.perf_counter()
      store.save(step, state, None)
      saved = time.perf_counter()
      store.wait()
      done = time.perf_counter()
      print(
        f'the loop waits {saved - digested:.2f} s (digests alone: '
        f'{digested - start:.2f} s); on disk {done - saved:.2f} s later'
      )
    store.close()


if __name__ == '__main__':
  main()
