"""What the layers of a network say of images, by the papers' names.

    seen = zoo.activations.of(network, variables, images, ('pool5', 'fc7'))

A layer's activation is the state of its units: after the ReLU or the squashing
function where the paper's layer has one; of a module of GoogLeNet its
concatenated branches, of a block of ResNet its sum after the ReLU.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

COLLECTION = 'activations'


def keep(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
  """Marks `x` as the activation of layer `name`; returns it.

  Costs nothing where nobody asks for activations.
  """
  if not module.is_initializing():  # else they would be among the variables
    # In one dictionary: Flax lets no variable have the name of a submodule.
    module.sow(COLLECTION, 'layers', {name: x}, _together, dict)
  return x


def _together(seen, more):
  return {**seen, **more}


def of(
  network: nn.Module,
  variables: dict[str, Any],
  images: jax.Array,
  layers: Sequence[str] = (),
) -> dict[str, jax.Array]:
  """Returns activations by layer, from the input on; pure.

  Args:
    network: of the zoo.
    variables: of it.
    images: [N, H, W, C] as the network takes them.
    layers: names; by default all.

  Returns:
    Arrays [N, h, w, channels], of the network's own dtype; fully connected
    layers have h = w = 1, the last one is float32.

  Raises:
    ValueError: no such layer; names the closest.
  """
  if getattr(network, 'scan', False):  # equal blocks are one loop, unnamed
    network = network.clone(scan=False)
  _, state = network.apply(variables, images, train=False, mutable=[COLLECTION])
  seen = state[COLLECTION]['layers']
  for name in layers:
    if name not in seen:
      near = difflib.get_close_matches(name, seen, n=3, cutoff=0.5)
      known = f'Did you mean {" or ".join(near)}' if near else ', '.join(seen)
      raise ValueError(f"no layer '{name}'. {known}")
  return {name: seen[name] for name in layers or seen}


def names(network: nn.Module, image_shape: Sequence[int]) -> list[str]:
  """Returns the layers that `of` knows, from the input on; computes nothing.

  Args:
    network: of the zoo.
    image_shape: (height, width, channels) of its input.
  """
  image = jax.ShapeDtypeStruct((1, *image_shape), 'float32')
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  found: list[str] = []  # not from what JAX returns, which it sorts
  jax.eval_shape(lambda v, x: found.extend(of(network, v, x)), variables, image)
  return found
