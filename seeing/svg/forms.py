"""Networks as drawings, each in the form of its paper's figure."""

from collections.abc import Callable, Sequence

from seeing.architecture import Architecture
from seeing.svg import columns as drawing_svg_columns
from seeing.svg import graph as drawing_svg_graph
from seeing.svg import planes as drawing_svg_planes
from seeing.svg import volumes as drawing_svg_volumes

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
