"""Parameters are float32 whatever JAX's default is."""

import os
import subprocess
import sys

from conftest import ROOT

# In a process of its own: JAX remembers integers of the other width.
LOOK = """
import jax, numpy as np, zoo
assert jax.numpy.zeros(1).dtype == np.float64
for name in ('lenet5', 'lenet5_modern', 'alexnet', 'vgg_a', 'googlenet',
             'resnet18_v1_5'):
  network = zoo.create(name, num_classes=10)
  image = jax.ShapeDtypeStruct((1, *zoo.image_shape(name)), np.float32)
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
    assert leaf.dtype == np.float32, (name, jax.tree_util.keystr(path))
  print(name)
"""


def test_with_double_precision_parameters_stay_float32():
  done = subprocess.run(
    [sys.executable, '-c', LOOK], capture_output=True, text=True, check=False,
    cwd=ROOT, env={**os.environ, 'JAX_ENABLE_X64': '1'}, timeout=120,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert len(done.stdout.split()) == 6
