"""Which layers of a network learn, and how fast: for a start from elsewhere.

A layer is named as the paper does, or by the start of the names of several:
'conv2_1' is that one, 'conv' all convolutions, 'inception_4' five modules. A
number ends where its digits end: 'conv1' is not conv10. 'head' is the
classifier, 'body' all else.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from errors import UserError
from zoo.batch_norm import FROZEN

_NORM = 'bn'  # what batch normalisation is called in every network
_SHOWN = 8  # layers that a line names


class Learning(NamedTuple):
  """What of a network learns.

  Args:
    frozen: modules that do not, by path, as 'conv2_1/a/bn'; none: all learn.
    marks: variables of the network that tell batch normalisation to stay as it
      is in them; {} where there is none.
  """

  frozen: frozenset[str] = frozenset()
  marks: Mapping[str, Any] = {}

  def split(self, tree: Any) -> tuple[Any, Any]:
    """Returns (what learns, what does not) of parameters or statistics."""
    if not self.frozen:
      return tree, {}
    flat = traverse_util.flatten_dict(tree, sep='/')
    moving = {k: v for k, v in flat.items() if _module(k) not in self.frozen}
    fixed = {k: v for k, v in flat.items() if k not in moving}
    return _nested(moving), _nested(fixed)

  def join(self, learning: Any, fixed: Any) -> Any:
    """Returns the tree that `split` has divided."""
    if not self.frozen:
      return learning
    flat = traverse_util.flatten_dict(learning, sep='/')
    return _nested({**flat, **traverse_util.flatten_dict(fixed, sep='/')})


def _module(path):
  return path.rpartition('/')[0]


def _nested(flat):
  return traverse_util.unflatten_dict(flat, sep='/')


def create(
  names: Sequence[str], modules: Sequence[str], head: Sequence[str]
) -> Learning:
  """Returns what learns if the layers of some names do not.

  Args:
    names: of layers; each may hold several with commas between.
    modules: of the network: `modules_of`.
    head: those of its classifier.

  Raises:
    UserError: no layer of such a name, naming the closest; or none is left.
  """
  words = [word.strip() for name in names for word in name.split(',')]
  frozen = frozenset(
    module
    for word in filter(None, words)
    for module in matching('optimizer.frozen', word, modules, head)
  )
  if frozen and frozen == frozenset(modules):
    raise UserError(
      f'optimizer.frozen {tuple(names)}: that is every layer; nothing is left '
      'to learn'
    )
  norms = [m for m in frozen if m.rpartition('/')[2] == _NORM]
  marks = _nested({f'{module}/statistics': jnp.zeros(()) for module in norms})
  return Learning(frozen, {FROZEN: marks} if marks else {})


def modules_of(params: Mapping[str, Any]) -> list[str]:
  """Returns the paths of what holds parameters, as 'conv2_1/a', in order."""
  flat = traverse_util.flatten_dict(dict(params), sep='/')
  return list(dict.fromkeys(map(_module, flat)))


def matching(
  field: str, name: str, modules: Sequence[str], head: Sequence[str]
) -> list[str]:
  """Returns the modules that a name means: that layer, else by their start.

  Args:
    field: of the config, for the error.
    name: of a layer, or the start of some; 'head' or 'body'.
    modules: of the network: `modules_of`.
    head: those of its classifier.

  Raises:
    UserError: none; names the closest layers.
  """
  if name in ('head', 'body'):
    return [m for m in modules if (m in head) == (name == 'head')]
  if whole := [m for m in modules if f'{m}/'.startswith(f'{name}/')]:
    return whole
  digit = name[-1:].isdigit()
  found = [
    m
    for m in modules
    if name and m.startswith(name) and not (digit and m[len(name)].isdigit())
  ]
  if not found:
    layers = list(dict.fromkeys(m.partition('/')[0] for m in modules))
    near = difflib.get_close_matches(name, layers, n=3, cutoff=0.5)
    hint = f'Did you mean {" or ".join(near)}?'
    if not near:
      hint = f'Known: {", ".join(layers)}'
    raise UserError(f"{field}: the network has no layer '{name}'. {hint}")
  return found


def factors(
  rates: Mapping[str, float],
  modules: Sequence[str],
  head: Sequence[str],
  frozen: Iterable[str] = (),
) -> dict[str, float]:
  """Returns by module what `optimizer.rates` multiplies the rate with.

  Where several names mean one layer, the longest counts: 'fc6' before 'fc'.

  Raises:
    UserError: no layer of such a name, naming the closest; or all of them are
      frozen.
  """
  found: dict[str, float] = {}
  for name in sorted(rates, key=lambda name: (name != 'body', len(name))):
    chosen = matching('optimizer.rates', name, modules, head)
    if set(chosen) <= set(frozen):
      raise UserError(
        f"optimizer.rates: '{name}' does not learn, by optimizer.frozen; name "
        'it in one of the two'
      )
    found |= dict.fromkeys(chosen, float(rates[name]))
  return found


def scale_by_module(
  factors: Mapping[str, float],
) -> optax.GradientTransformation:
  """Multiplies updates by the factor of their module's path; others by 1."""

  def update(updates, state, params=None):
    del params

    def scaled(path, x):
      module = '/'.join(key.key for key in path[:-1])
      return x * factors.get(module, 1.0)

    return jax.tree_util.tree_map_with_path(scaled, updates), state

  return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def describe(learning: Learning, params: Mapping[str, Any]) -> str:
  """Returns which layers do not learn, and what share of the parameters."""
  fixed = learning.split(params)[1]
  layers = [name for name in params if name in fixed]
  said = ', '.join(layers)
  if len(layers) > _SHOWN:
    said = f'{", ".join(layers[:3])}, ..., {layers[-1]}: {len(layers)} layers'
  count, of = (
    sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (fixed, params)
  )
  return f'{said} ({count:,} of {of:,} parameters)'
