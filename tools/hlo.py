"""A compiled program's text (optimized HLO) as computations of instructions.

Only what `hlo_traffic` asks for. A shape in that text, as libtpu writes it, is
bf16[128,56,56,64]{0,3,2,1:T(8,128)(2,1)S(1)}: from the fastest dimension to the
slowest, in tiles of 8 x 128, in memory space 1.
"""

import math
import re
from typing import NamedTuple

_SHAPE = re.compile(r'\b([a-z]\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?')
_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.\-]+) .*\{$')
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.\-]+) = (.*)$')
_RUNS = re.compile(
  r'\b(?:calls|to_apply|body|branch_computations|true_computation|'
  r'false_computation)=(?:\{([^}]*)\}|(%?[\w.\-]+))'
)
_TRIPS = re.compile(r'"?known_trip_count"?:\s*\{"?n"?:\s*"?(\d+)')
_CONDITION = re.compile(r'\bcondition=%?([\w.\-]+)')


class Shape(NamedTuple):
  """One array: bytes as stored, tiles filled up, and its memory."""

  dtype: str
  dims: tuple[int, ...]
  bytes: int
  in_hbm: bool

  def __str__(self) -> str:
    dims = ','.join(map(str, self.dims))
    return f'{self.dtype}[{dims}]' + ('' if self.in_hbm else ' in VMEM')


class Instruction(NamedTuple):
  """A line of a computation; `rest` are its attributes as text.

  The only operand of a parameter is its number, of a constant its value.
  """

  name: str
  op: str
  shapes: tuple[Shape, ...]
  operands: tuple[str, ...]
  rest: str
  root: bool

  @property
  def path(self) -> str:
    """What JAX calls it: 'jit(step)/jvp(ResNet)/conv1/...'."""
    found = re.search(r'op_name="([^"]*)"', self.rest)
    return found.group(1) if found else ''

  @property
  def runs(self) -> list[str]:
    """The computations that it runs: of a loop the body, of a choice all."""
    found = ' '.join(map(' '.join, _RUNS.findall(self.rest)))
    return re.findall(r'[\w.\-]+', found)


Computation = dict[str, Instruction]


def parse(text: str) -> tuple[dict[str, Computation], str]:
  """Returns the computations of a program, and the name of the first to run.

  Raises:
    ValueError: there is none.
  """
  computations: dict[str, Computation] = {}
  entry, current = '', None
  for line in text.splitlines():
    if found := _COMPUTATION.match(line):
      current = computations.setdefault(found.group(2), {})
      entry = found.group(2) if found.group(1) else entry
    elif current is not None and (found := _INSTRUCTION.match(line)):
      root, name, said = found.groups()
      current[name] = _instruction(name, said, bool(root))
  if not entry:
    raise ValueError('no program: a line that starts with ENTRY is missing')
  return computations, entry


def turns(computations: dict[str, Computation], loop: Instruction) -> int:
  """Returns how often a loop runs its body; 1 if the text does not say.

  libtpu writes no trip count: it is what the condition has a counter below,
  which is where `jax.lax.scan` and `fori_loop` from 0 end.
  """
  if found := _TRIPS.search(loop.rest):
    return int(found.group(1))
  found = _CONDITION.search(loop.rest)
  for made in computations[found.group(1)].values() if found else ():
    if made.op == 'compare' and 'direction=LT' in made.rest:
      end = computations[found.group(1)].get(made.operands[1])
      if end and end.op == 'constant':
        return int(end.operands[0])
  return 1


def _instruction(name, said, root):
  end = _closing(said) if said.startswith('(') else said.index(' ')
  shapes, said = said[:end], said[end:].strip()
  op, _, _ = said.partition('(')
  end = len(op) + _closing(said[len(op) :])
  inside = said[len(op) : end]
  operands = re.findall(r'%([\w.\-]+)', inside)
  if op in ('parameter', 'constant'):
    operands = [inside[1:-1]]
  return Instruction(
    name, op, shapes_of(shapes), tuple(operands), said[end:], root
  )


def _closing(text):
  """Returns where the parenthesis that opens a text has been closed."""
  depth = 0
  for i, letter in enumerate(text):
    depth += (letter == '(') - (letter == ')')
    if not depth:
      return i + 1
  return len(text)


def shapes_of(text: str) -> tuple[Shape, ...]:
  """Returns the arrays of a shape; those of a tuple in their order."""
  return tuple(
    _shape(dtype, dims, order or '', layout or '')
    for dtype, dims, order, layout in _SHAPE.findall(text)
  )


def _shape(dtype, dims, order, layout):
  sizes = tuple(int(n) for n in dims.split(',') if n)
  stored = list(sizes)
  tile = re.search(r'T\(([\d,]+)\)', layout)
  if tile and order:
    sides = [int(n) for n in tile.group(1).split(',')]
    for side, axis in zip(reversed(sides), order.split(',')):
      stored[int(axis)] += -stored[int(axis)] % side
  said = re.search(r'\d+', dtype)  # bf16, u8, f8e4m3fn; not in pred, token
  bits = int(said.group()) if said else 8 * (dtype == 'pred')
  return Shape(dtype, sizes, math.prod(stored) * bits // 8, 'S(' not in layout)
