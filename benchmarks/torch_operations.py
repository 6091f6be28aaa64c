"""A train step in PyTorch by kinds of operations: the other side."""

import collections
import json
import pathlib
import time
from collections.abc import Callable

import torch
from torch.optim import optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import operation_kinds as of
from benchmarks import torch_imagenet

_PRODUCTS = ('addmm', 'mm')
_POOLS = ('pool', 'mean')  # adaptive_avg_pool2d to one pixel is a mean
_MOVES = {
  '_to_copy', 'alias', 'as_strided', 'cat', 'clone', 'constant_pad_nd', 'copy_',
  'detach', 'empty', 'empty_like', 'expand', 'fill_', 'narrow', 'ones_like',
  'select', 'slice', 'slice_backward', 'split', 't', 'transpose', 'view',
  'zero_', 'zeros',
}  # fmt: skip


class Watch(TorchDispatchMode):
  """Adds up the seconds of the operations inside, by kind.

  Operations on CPU have ended when their call has.
  """

  def __init__(self) -> None:
    super().__init__()
    self.seconds: dict[str, float] = collections.defaultdict(float)
    self._optimizes = False

  def __enter__(self) -> 'Watch':
    """See the class."""
    self._hooks = (
      optimizer.register_optimizer_step_pre_hook(self._optimizer(True)),
      optimizer.register_optimizer_step_post_hook(self._optimizer(False)),
    )
    return super().__enter__()

  def __exit__(self, *error) -> None:
    """See the class."""
    for hook in self._hooks:
      hook.remove()
    super().__exit__(*error)

  def _optimizer(self, value):
    def change(*_):
      self._optimizes = value

    return change

  def __torch_dispatch__(self, func, types, args=(), kwargs=None):
    """Runs one operation."""
    if func is not torch.ops.aten.convolution_backward.default:
      return self._timed(self._kind, func, args, kwargs)
    *rest, (of_input, of_kernel, of_bias) = args
    maps = args[0].shape[2:].numel()
    first, second = (of.INPUT, of.KERNEL) if maps > 1 else (of.DENSE, of.DENSE)
    found = [None] * 3
    if of_input:
      mask = [True, False, False]
      found[0] = self._timed(first, func, (*rest, mask), kwargs)[0]
    if of_kernel or of_bias:
      mask = [False, of_kernel, of_bias]
      found[1:] = self._timed(second, func, (*rest, mask), kwargs)[1:]
    return tuple(found)

  def _timed(self, kind, func, args, kwargs):
    began = time.perf_counter()
    out = func(*args, **(kwargs or {}))
    seconds = time.perf_counter() - began
    if callable(kind):
      kind = kind(func.overloadpacket.__name__, out)
    self.seconds[kind] += seconds
    return out

  def _kind(self, name, out):
    if self._optimizes:
      return of.OPTIMIZER
    if name == 'convolution':
      return of.FORWARD if out.shape[2:].numel() > 1 else of.DENSE
    if name in _PRODUCTS:
      return of.DENSE
    if any(word in name for word in _POOLS):
      return of.POOLS
    if name in _MOVES:
      return of.REST
    return of.AHEAD if torch.is_grad_enabled() else of.BACK


def make(
  name: str, peer: str | None, batch: int, file: str
) -> tuple[Callable[[], object], ...]:
  """Returns functions for a step, one that is watched, and a product.

  Args:
    name: see `torch_imagenet.make_rounds`.
    peer: see there.
    batch: images a step.
    file: where the second writes the seconds of each kind, as JSON.
  """
  train, _ = torch_imagenet.make_rounds(name, peer, batch)
  matrix = torch.randn(of.SIZE, of.SIZE)

  def watched():
    began = time.perf_counter()
    with Watch() as watch:
      train()
    seconds = time.perf_counter() - began
    watch.seconds[of.REST] += seconds - sum(watch.seconds.values())
    pathlib.Path(file).write_text(json.dumps(watch.seconds))

  return train, watched, lambda: matrix @ matrix
