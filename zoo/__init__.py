"""The networks: one table from canonical name to constructor.

The package imports nothing of training and can be lifted out and used alone:

    import jax, zoo
    net = zoo.create('lenet5', num_classes=10)
    variables = net.init(jax.random.key(0), images)   # images: NHWC, float
    logits = net.apply(variables, images, train=False)  # float32 [N, classes]
"""

import dataclasses
import difflib
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from zoo import lenet5

_NETWORKS: dict[str, Callable[..., nn.Module]] = {
  'lenet5': lenet5.LeNet5,
  'lenet5_modern': lenet5.LeNet5Modern,
}


def names() -> list[str]:
  """Returns the canonical names of all networks, in order of publication."""
  return list(_NETWORKS)


def options(name: str) -> dict[str, object]:
  """Returns the fields of a network that `create` takes, with their defaults.

  Raises:
    ValueError: if there is no network of this name; names the closest.
  """
  if name not in _NETWORKS:
    raise ValueError(f"No network '{name}'.{_closest(name, _NETWORKS)}")
  fields = dataclasses.fields(_NETWORKS[name])  # type: ignore[arg-type]
  skip = ('parent', 'name', 'num_classes', 'dtype')
  return {f.name: f.default for f in fields if f.init and f.name not in skip}


def create(
  name: str,
  *,
  num_classes: int = 1000,
  dtype: DTypeLike = jnp.float32,
  **overrides,
) -> nn.Module:
  """Returns the network `name` as an unbound Linen module.

  Args:
    name: one of `names()`.
    num_classes: width of the last layer.
    dtype: of the computation; parameters are float32 whatever it is.
    **overrides: further fields of that network (`options(name)`).

  Raises:
    ValueError: for an unknown name or override (names the closest known one),
      or a value that the network cannot take.
  """
  known = options(name)
  for key in overrides:
    if key not in known:
      raise ValueError(f"{name} has no option '{key}'.{_closest(key, known)}")
  return _NETWORKS[name](num_classes=num_classes, dtype=dtype, **overrides)


def _closest(word, known) -> str:
  near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
  if near:
    return f" Did you mean '{near[0]}'?"
  return f' Known: {", ".join(known) or "none"}.'
