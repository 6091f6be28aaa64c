"""Exact evaluation: every example of a split counts once.

Batches are padded and masked, counts are summed on the device as integers,
divided once, and the number of examples is checked. Counts and errors are
therefore the same for every batch size and every number of devices.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

import input_pipeline
from data import parts
from data.sources import Source
from recipe.losses import Loss, rank_of_label


def make_eval_step(
  module: nn.Module,
  loss: Loss,
  prepare: Callable,
  sharding: NamedSharding,
  also: Callable[[jax.Array, dict], Any] | None = None,
) -> Callable[[dict, dict, dict], Any]:
  """Returns the jitted function (variables, batch, sums) -> sums.

  Args:
    module: the network.
    loss: of single examples.
    prepare: uint8 images of a batch -> the network's float input.
    sharding: of the batch.
    also: (logits, batch) -> what is wanted beside the sums; the function then
      returns (sums, that), on all devices.
  """

  def step(variables, batch, sums):
    images = prepare(batch['image'])
    logits = module.apply(variables, images, train=False)
    assert isinstance(logits, jax.Array)  # a tuple only with mutable=...
    rank = rank_of_label(logits, batch['label'])
    mask = batch['mask']
    loss_of = jnp.where(mask, loss(logits, batch['label']), 0.0)
    counted = {
      'count': sums['count'] + mask.sum(dtype=jnp.int32),
      'top1': sums['top1'] + (mask & (rank < 1)).sum(dtype=jnp.int32),
      'top5': sums['top5'] + (mask & (rank < 5)).sum(dtype=jnp.int32),
      'loss': sums['loss'] + loss_of.sum(),
    }
    return counted if also is None else (counted, also(logits, batch))

  everywhere = NamedSharding(sharding.mesh, PartitionSpec())
  return jax.jit(
    step,
    in_shardings=(everywhere, sharding, everywhere),
    out_shardings=everywhere,
    donate_argnums=2,
  )


def evaluate(
  eval_step: Callable,
  variables: dict,
  source: Source,
  *,
  batch_size: int,
  sharding: NamedSharding,
  protocol: str,
  threads: int = 0,
  watch: Callable[[Iterable], Iterator] = iter,
) -> dict[str, Any]:
  """Runs a whole split through `eval_step`.

  Args:
    eval_step: from `make_eval_step`.
    variables: of the network.
    source: the split.
    batch_size: any; at most the split, rounded up to a multiple of the number
      of devices.
    sharding: of the batch.
    protocol: its name, for the record.
    threads: that fetch ahead.
    watch: passes the batches on, and may raise to stop.

  Returns:
    'loss', 'top1_error', 'top5_error' (where there are more than five
    classes; fractions between 0 and 1), 'count', 'wrong' and 'protocol'.

  Raises:
    RuntimeError: the examples seen are not exactly those of the split.
  """
  devices = sharding.mesh.size
  batch_size = -(-min(batch_size, len(source)) // devices) * devices
  zeros = {'count': 0, 'top1': 0, 'top5': 0, 'loss': 0.0}
  everywhere = NamedSharding(sharding.mesh, PartitionSpec())
  sums = jax.device_put(jax.tree.map(jnp.asarray, zeros), everywhere)
  batches = input_pipeline.eval_batches(
    source, batch_size, sharding=sharding, threads=threads
  )
  for batch in watch(batches):
    sums = eval_step(variables, batch, sums)
  total = jax.tree.map(lambda x: x.item(), jax.device_get(sums))
  count = total['count']
  if count != len(source):
    raise RuntimeError(f'evaluated {count} examples of {len(source)}')
  return as_result(total, protocol, source.num_classes)


def as_result(
  total: dict[str, Any], protocol: str, num_classes: int
) -> dict[str, Any]:
  """Returns what `evaluate` does, of the sums over a split."""
  count = total['count']
  result = {
    'loss': total['loss'] / count,
    'top1_error': (count - total['top1']) / count,
    'top5_error': (count - total['top5']) / count,
    'wrong': count - total['top1'],
    'count': count,
    'protocol': protocol,
  }
  if num_classes <= 5:
    del result['top5_error']
  return result


def split_name(config: ConfigDict) -> str:
  """Returns 'test', or 'held out' where that is a part of the training set."""
  held_out = parts.is_held_out(config.data.options, config.eval.split)
  return 'held out' if held_out else 'test'


def data_name(config: ConfigDict) -> str:
  """Returns `data.name`, and of TFDS which data set."""
  builder = config.data.options.get('builder', '')
  return f'{config.data.name} {builder}'.strip()


def describe(config: ConfigDict, result: dict[str, Any]) -> str:
  """Returns an evaluation in one line, with its protocol and counts.

  Args:
    config: of what was evaluated.
    result: as `evaluate` returns it.
  """
  top5 = cost = ''
  if 'top5_error' in result:
    top5 = f'top-5 {result["top5_error"]:.2%}, '
  if 'passes' in result:
    cost = (
      f'; forward passes an image: {result["passes"]}, '
      f'{result["images_per_second"]:,.1f} images/s'
    )
  scales = ', '.join(map(str, result.get('scales', ())))
  at = f' at {scales}' if scales else ''
  named = result.get('test_set')
  named = named or f'{data_name(config)} {split_name(config)}'
  return (
    f'{named}, {result["protocol"]}{at}: '
    f'top-1 error {result["top1_error"]:.2%} ({result["wrong"]:,} of '
    f'{result["count"]:,}), {top5}loss {result["loss"]:.4f}{cost}'
  )
