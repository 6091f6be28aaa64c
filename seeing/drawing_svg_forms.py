"""Networks as drawings, each in the form of its paper's figure."""

from collections.abc import Callable, Sequence

from seeing import (
  drawing_svg_columns,
  drawing_svg_graph,
  drawing_svg_planes,
  drawing_svg_volumes,
)
from seeing.architecture import Architecture

# Of a network alone; all others are columns.
_ALONE: dict[str, Callable[[Architecture], str]] = {
  'planes': drawing_svg_planes.draw,
  'volumes': drawing_svg_volumes.draw,
  'graph': drawing_svg_graph.draw,
}


def draw(networks: Sequence[Architecture]) -> str:
  """Returns the text of an SVG; several networks are columns, side by side."""
  if len(networks) == 1 and networks[0].form in _ALONE:
    return _ALONE[networks[0].form](networks[0])
  return drawing_svg_columns.draw(networks)
