"""What a compiled TPU program moves, operation by operation, from its text.

Two counts. 'counted' is the way of the compiler's own 'bytes accessed': all
operands and results of an operation, wherever they lie. 'hbm' are those that
lie in HBM alone: an array in memory space 1 (VMEM, on the chip) is neither read
from HBM nor written to it, a copy from one to the other touches HBM once, and a
ConcatBitcast, which says that parts already lie side by side, moves nothing.

The sum of 'counted' is the compiler's own to 0.1 %, since it is counted in the
same way, copies as it does: a copy-start as four times its bytes, a slice-start
as two. It stays behind, by 4 % in GoogLeNet, where fusions read slices of their
operands; there the compiler's total is not the sum of its own counts by operand
either. Of a loop it has the body once; here it counts in every turn.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tools import hlo
from tools.hlo import Instruction, Shape

FORWARD = 'forward convolutions'
INPUTS = 'input gradients'
WEIGHTS = 'weight gradients'
AHEAD = 'elementwise, forward'
BACK = 'elementwise, backward'
REDUCTIONS = 'reductions'
POOLS = 'pools, both ways'
VMEM = 'copies to and from VMEM'
EXCHANGE = 'between chips'
REST = 'rest'
KINDS = (
  FORWARD, INPUTS, WEIGHTS, AHEAD, BACK, REDUCTIONS, POOLS, VMEM, EXCHANGE, REST
)  # fmt: skip
COLLECTIVES = (
  'all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
  'collective-permute',
)  # fmt: skip
_NOTHING = (
  'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast',
  'partition-id', 'replica-id', 'after-all', 'opt-barrier',
)  # fmt: skip
_EXCHANGES = {kind + end for kind in COLLECTIVES for end in ('', '-start')}
_SLICES = ('slice', 'dynamic-slice')
_UPDATE = 'dynamic-update-slice'
_WRAPPER = re.compile(
  r'cond|branch_\d+_fun|while|body|closed_call|checkpoint|rematted_computation'
)
_COPIES = ('copy-start', 'slice-start', 'dynamic-slice-start')


class Op(NamedTuple):
  """An operation of a program, with all of its turns if it is in a loop."""

  op: str
  kind: str
  layer: str  # and what it does: 'conv2_1/a/bn/mul'; may be empty
  shapes: tuple[Shape, ...]  # of the results
  turns: int
  counted: float  # bytes, in all turns
  hbm: float


def operations(text: str) -> list[Op]:
  """Returns what moves bytes in a program's text (optimized HLO).

  Raises:
    ValueError: the text is none.
  """
  computations, entry = hlo.parse(text)
  return list(_walk(computations, entry, 1))


def _walk(computations, name, turns) -> Iterator[Op]:
  computation = computations[name]
  for made in computation.values():
    if made.op in _NOTHING or made.op.endswith('-done'):
      continue
    if made.op in ('while', 'call', 'conditional'):
      for called in made.runs:
        yield from _walk(
          computations, called, turns * hlo.turns(computations, made)
        )
      continue
    inside = list(_inside(computations, made))
    counted, hbm = _bytes(computations, computation, made)
    kind, path = _kind(computation, made, inside)
    layer = _layer(path or _origin(computation, made))
    yield Op(
      made.op, kind, layer, made.shapes, turns, turns * counted, turns * hbm
    )


def _layer(path: str) -> str:
  """Of what JAX names an operation, the layer and what it does there."""
  parts = re.sub(r'^.*\)(/|$)', '', path).split('/')
  return '/'.join(part for part in parts if not _WRAPPER.fullmatch(part))


def _origin(computation, made) -> str:
  """The path of what an operation without one takes in: a copy's, say."""
  while not made.path and made.operands and made.operands[0] in computation:
    made = computation[made.operands[0]]
  return made.path


def _inside(computations, made) -> Iterator[Instruction]:
  """An operation, or those that are fused in it."""
  if made.op == 'fusion':
    for name in made.runs:
      for inner in computations[name].values():
        yield from _inside(computations, inner)
  else:
    yield made


def _bytes(computations, computation, made) -> tuple[float, float]:
  """What one turn moves: counted, and of HBM."""
  if made.op in _COPIES:
    source, target = made.shapes[:2]
    ends = 2
    if made.op == 'copy-start':
      source, target, ends = target, source, 4
    return ends * target.bytes, target.bytes * (source.in_hbm + target.in_hbm)
  if '"ConcatBitcast"' in made.rest:
    return made.shapes[0].bytes, 0
  if '"AllocateBuffer"' in made.rest:
    return 0, 0
  moved = _written(computations, made)
  for number, name in enumerate(made.operands):
    moved += _read(computations, made, number, computation[name].shapes)
  counted = sum(size for size, _ in moved)
  return counted, sum(size for size, in_hbm in moved if in_hbm)


def _read(computations, made, number, shapes) -> list[tuple[float, bool]]:
  """Bytes that are read of an operand: of one that is only sliced, slices."""
  sizes = [shape.bytes for shape in shapes]
  if len(shapes) == 1:
    parts = list(_parts(computations, made, number))
    if None not in parts:
      sizes = [sum(parts)]
  return [(size, shape.in_hbm) for size, shape in zip(sizes, shapes)]


def _parts(computations, made, number) -> Iterator[int | None]:
  """Bytes of the slices that are read of an operand; None: of all of it."""
  if made.op == 'fusion':
    body = computations[made.runs[0]]
    for inner in body.values():
      if inner.op == 'parameter' and inner.operands == (str(number),):
        yield from _uses(computations, body, inner.name)
  elif made.op in _SLICES and number == 0:
    yield made.shapes[0].bytes
  elif made.op != _UPDATE or number != 0:
    yield None


def _uses(computations, body, name):
  """What those read of a value who use it, itself or as a bitcast."""
  if body[name].root:
    yield None
  for user in body.values():
    for number, operand in enumerate(user.operands):
      if operand == name:
        if user.op == 'bitcast' or _in_place(user):
          yield from _uses(computations, body, user.name)
        else:
          yield from _parts(computations, user, number)


def _in_place(made):
  """Whether what is fused in a fusion takes in and gives out one buffer."""
  return 'output_to_operand_aliasing={{}: (0, {})}' in made.rest


def _written(computations, made) -> list[tuple[float, bool]]:
  """Bytes of each result; of one that is updated in place, the update."""
  sizes = [shape.bytes for shape in made.shapes]
  updates = list(_updates(computations, {made.name: made}, made))
  if len(updates) == len(sizes):
    sizes = [
      size if update is None else update for size, update in zip(sizes, updates)
    ]
  return [(size, shape.in_hbm) for size, shape in zip(sizes, made.shapes)]


def _updates(computations, body, made) -> Iterator[int | None]:
  """Bytes of what a result is updated with, of each; None: it is new."""
  if made.op == 'fusion':
    body = computations[made.runs[0]]
    root = next(inner for inner in body.values() if inner.root)
    yield from _updates(computations, body, root)
  elif made.op == 'tuple':
    for name in made.operands:
      yield from _updates(computations, body, body[name])
  elif made.op == 'bitcast' and made.operands[0] in body:
    yield from _updates(computations, body, body[made.operands[0]])
  elif made.op == _UPDATE and made.operands[1] in body:
    yield body[made.operands[1]].shapes[0].bytes
  else:
    yield None


def _kind(computation, made, inside) -> tuple[str, str]:
  """Of what kind an operation is, and the path that says so."""
  ops = {inner.op for inner in inside}
  path = made.path
  back = 'transpose(' in path
  if made.op in _COPIES or '"ConcatBitcast"' in made.rest:
    return VMEM, path
  if ops & _EXCHANGES:
    return EXCHANGE, path
  products = [inner for inner in inside if inner.op in ('convolution', 'dot')]
  if products:
    path = products[0].path or path
    if _sums_over_images(products[0]):
      return WEIGHTS, path
    return (INPUTS if 'transpose(' in path else FORWARD), path
  if ops & {'reduce-window', 'select-and-scatter'}:
    return POOLS, path
  if 'jvp(' not in path:
    return REST, path
  read = sum(
    shape.bytes for name in made.operands for shape in computation[name].shapes
  )
  written = sum(shape.bytes for shape in made.shapes)
  if 'reduce' in ops and written < read / 8:
    return REDUCTIONS, path
  return (BACK if back else AHEAD), path


def _sums_over_images(product: Instruction) -> bool:
  """Whether it is a weight gradient: the images are what it contracts over.

  In the names of its dimensions, f01b_i01o->01bf, images are b as data come;
  where they stand in for channels f comes first.
  """
  found = re.search(r'dim_labels=(\w+)_', product.rest)
  if not found:
    return 'lhs_contracting_dims={0}' in product.rest
  return found.group(1).index('f') < found.group(1).index('b')
