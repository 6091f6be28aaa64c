"""Deviations of responses as a picture, as in ResNet's Figure 7."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def responses(
  found: Mapping[str, Sequence[float]], plain: Sequence[str] = ()
) -> Any:
  """Returns a figure: above in the order of the network, below by their size.

  Args:
    found: standard deviations of layers by network.
    plain: networks without shortcuts, which are dashed.
  """
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  figure = Figure(figsize=(7, 5.2), layout='constrained')
  above, below = figure.subplots(2, 1, sharey=True)
  for name, values in found.items():
    look = {
      'label': name,
      'linestyle': (0, (4, 1.5)) if name in plain else '-',
      'linewidth': 1.3,
    }
    layers = np.arange(1, len(values) + 1)
    above.plot(layers, values, marker='.', markersize=4, **look)
    below.plot(layers, np.sort(values)[::-1], **look)
  above.set_xlabel('layer, in the order of the network')
  below.set_xlabel('layer, sorted by the size of its responses')
  for axes in (above, below):
    axes.set(ylim=(0, None), xlim=(0, None), ylabel='standard deviation')
    axes.locator_params(axis='x', integer=True)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    legend = axes.legend(fontsize=8, frameon=False)
    for text in legend.get_texts():
      text.set_parse_math(False)  # dollars are dollars
  return figure
