"""What the layers of a network say of images, by the papers' names.

    seen = zoo.activations(network, variables, images, ('pool5', 'fc7'))
    zoo.layer_shapes(network, (224, 224, 3))   # {'conv1': (55, 55, 64), ...}

A layer's activation is the state of its units: after the ReLU or the squashing
function where the paper's layer has one; of a module of GoogLeNet its
concatenated branches, of a block of ResNet its sum after the ReLU.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

COLLECTION = 'activations'
ADDED = 'added'  # what `keep` adds to activations, to differentiate by them


def are_asked(module: nn.Module) -> bool:
  """Whether somebody asks for activations, or adds to them."""
  asked: bool = module.is_mutable_collection(COLLECTION)
  return asked or module.has_variable(ADDED, 'layers')


def keep(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
  """Marks `x` as the activation of layer `name`; returns it.

  What the network goes on with has to be what is returned: see `gradients`.
  Costs nothing where nobody asks for activations.
  """
  if not module.is_initializing():  # else they would be among the variables
    if module.has_variable(ADDED, 'layers'):
      added: dict[str, jax.Array] = module.get_variable(ADDED, 'layers')
      x = x + added[name] if name in added else x
    # In one dictionary: Flax lets no variable have the name of a submodule.
    module.sow(COLLECTION, 'layers', {name: x}, _together, dict)
  return x


def _together(seen, more):
  return {**seen, **more}


def check_layers(layers: Iterable[str], known: Collection[str]) -> None:
  """Raises ValueError for the first that is not known; names the closest."""
  for name in layers:
    if name not in known:
      near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
      said = f'Did you mean {" or ".join(near)}' if near else ', '.join(known)
      raise ValueError(f"no layer '{name}'. {said}")


def activations(
  network: nn.Module,
  variables: dict[str, Any],
  images: jax.Array,
  layers: Sequence[str] = (),
) -> dict[str, jax.Array]:
  """Returns activations by layer, from the input on; pure.

  Under `jax.jit`, layers behind the last one that is asked for cost nothing.

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
  if isinstance(layers, str):  # else its letters would be layers
    layers = (layers,)
  if getattr(network, 'scan', False):  # equal blocks are one loop, unnamed
    network = network.clone(scan=False)
  _, state = network.apply(variables, images, train=False, mutable=[COLLECTION])
  seen = state[COLLECTION]['layers']
  check_layers(layers, seen)
  return {name: seen[name] for name in layers or seen}


def gradients(
  network: nn.Module,
  variables: dict[str, Any],
  images: jax.Array,
  layer: str,
  of: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns how a number changes with the activation of a layer; pure.

  Args:
    network: of the zoo.
    variables: of it.
    images: [N, H, W, C] as the network takes them.
    layer: its name.
    of: logits [N, classes], or maps of them [N, h, w, classes] -> a number.

  Returns:
    The logits; the activation A [N, h, w, channels]; d of(logits) / d A.

  Raises:
    ValueError: no such layer; names the closest.
  """
  if getattr(network, 'scan', False):  # equal blocks are one loop, unnamed
    network = network.clone(scan=False)
  state = jax.eval_shape(
    lambda v, i: activations(network, v, i, (layer,)), variables, images
  )

  def score(added):
    logits, state = network.apply(
      {**variables, ADDED: {'layers': {layer: added}}},
      images,
      train=False,
      mutable=[COLLECTION],
    )
    return of(logits), (logits, state[COLLECTION]['layers'][layer])

  nothing = jnp.zeros(state[layer].shape, state[layer].dtype)
  gradient, (logits, seen) = jax.grad(score, has_aux=True)(nothing)
  return logits, seen, gradient


def layer_shapes(
  network: nn.Module, image_shape: Sequence[int], layers: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of `activations`, from the input on; computes nothing.

  Args:
    network: of the zoo.
    image_shape: (height, width, channels) of its input.
    layers: as of `activations`.

  Returns:
    (h, w, channels) by layer, of one image.

  Raises:
    ValueError: no such layer, names the closest; or an image that the network
      does not take.
  """
  image = jax.ShapeDtypeStruct((1, *image_shape), 'float32')
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  found = {}  # filled by tracing: what JAX returns, it sorts by name

  def trace(variables, image):
    seen = activations(network, variables, image, layers)
    found.update({name: x.shape[1:] for name, x in seen.items()})

  jax.eval_shape(trace, variables, image)
  return found
