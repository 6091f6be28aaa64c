"""Counts of `protocols_test`, by one process: python counting.py JSON

JSON: {"devices": of all processes, "processes", "process", "address"}. Prints
what `count_all` returns.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(p) for p in (HERE.parent.parent, HERE.parent, HERE)]

import jax

task = json.loads(sys.argv[1])
if task['processes'] > 1:
  jax.distributed.initialize(
    task['address'], task['processes'], task['process']
  )

import protocols_test

assert jax.device_count() == task['devices']
print(json.dumps(protocols_test.count_all((1, 7, 64))))
