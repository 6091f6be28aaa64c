"""Kernels of the first layer: AlexNet, Figure 3; ZFNet, Figure 6.

Two towers of AlexNet lie apart, the first above. One minimum and maximum over
all kernels; with --standardize each comes to mean 0 and deviation 1 before.
"""

import numpy as np
from absl import flags
from ml_collections import ConfigDict

import zoo
from errors import UserError
from evaluation import networks
from seeing import filters
from seeing.drawn import filters as drawing_filters
from seeing.filters import Filters, Told
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind
from zoo import intermediates

_STANDARDIZE = flags.DEFINE_bool(
  'standardize', False, 'each kernel alone, so that weak ones are seen'
)


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns the kernels of the first layer, and their numbers."""
  network = inputs.network(config).networks[0]
  channels = zoo.image_shape(config.model.name)[-1]
  order = networks.as_trained(config, network.path).data.order
  try:
    found = filters.of_network(network, order, channels)
    size = network.image_size
    known = zoo.layer_shapes(network.module, (size, size, channels))
    intermediates.check_layers(options.LAYER.value, known)
  except ValueError as error:
    raise UserError(f'filters of {config.model.name}: {error}') from None
  _check_layer(found)
  told = filters.told(found)
  shown = filters.brightness(found.kernels, _STANDARDIZE.value)
  columns = filters.per_row(len(shown))
  parts = np.split(shown, found.towers)
  return Drawn(
    drawing_filters.towers(
      [filters.mosaic(part, columns) for part in parts], _titles(found, told)
    ),
    _said(found, told),
  )


def _check_layer(found):
  others = [layer for layer in options.LAYER.value if layer != found.layer]
  if others:
    raise UserError(
      f'--layer={others[0]}: filters are those of {found.layer}, which see an '
      f'image; those of {others[0]} see maps, which have no colour. What such '
      'a map answers to: tools.visualize deconv'
    )


def _what(found: Filters) -> str:
  count, height, width, channels = found.kernels.shape
  return f'{found.layer}: {count} kernels of {height}x{width}x{channels}'


def _range(found: Filters) -> str:
  """What white and black mean, where kernels are grey."""
  if found.kernels.shape[-1] > 1 or _STANDARDIZE.value:
    return ''
  low, high = found.kernels.min(), found.kernels.max()
  return f'; white {low:.2f}, black {high:.2f}'


def _titles(found, told) -> list[str]:
  if found.towers == 1:
    return [_what(found) + _range(found)]
  each = len(found.kernels) // found.towers
  return [
    f'{found.layer}, tower {i + 1}: {each} kernels'
    + f', colourfulness {told.colour[i]:.2f}' * bool(len(told.colour))
    for i in range(found.towers)
  ]


def _said(found: Filters, told: Told) -> list[str]:
  rms = told.rms
  said = [
    _what(found) + f', {found.towers} towers' * (found.towers > 1),
    f'RMS {rms.min():.3g} to {rms.max():.3g}, median {np.median(rms):.3g}; '
    f'largest over median {told.largest:.2f}; below 1 % of the largest '
    f'(dead): {told.dead:.1%}',
  ]
  if len(told.colour):
    shares = ', '.join(f'{share:.3f}' for share in told.colour)
    of = ' of tower 1, 2' if found.towers == 2 else ''
    said.append(
      f'colourfulness{of}: {shares} (share of the energy that is not common to '
      'R, G and B; of random kernels 0.667)'
    )
  return said


KIND = Kind(draw, (*options.NETWORK, options.LAYER, _STANDARDIZE))
