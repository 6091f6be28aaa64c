"""The text of an SVG, element by element; needs no package.

A picture has a white ground, so that it is read on dark pages too, names no
font that must be there, and asks for nothing outside itself.
"""

from xml.sax.saxutils import escape, quoteattr

INK = '#1f2933'
FAINT = '#6b7682'
TIMES = '×'  # noqa: RUF001
# Widths of letters differ by font; of the usual sans-serif ones few are wider
# than this share of their size.
_LETTER = 0.6


def width_of(text: str, size: float) -> float:
  """Returns how wide a text of one line may be, in any sans-serif font."""
  return _LETTER * size * len(text)


def fitting(text: str, size: float, room: float) -> float:
  """Returns the size of letters, at most `size`, at which a text has room."""
  return min(size, room / max(_LETTER * len(text), 1e-9))


def joined(*shape: int) -> str:
  """Returns 55×55×96 of numbers."""
  return TIMES.join(map(str, shape))


class Svg:
  """A picture that grows; sizes are pixels, y grows downwards."""

  def __init__(self) -> None:
    """Of nothing yet."""
    self._parts: list[str] = []

  def add(self, tag: str, inside: str = '', tip: str = '', **given) -> None:
    """Adds an element.

    Args:
      tag: its name.
      inside: its text, as it is to be read.
      tip: what a browser shows when it is pointed at.
      **given: attributes; an underscore stands for a dash, and numbers are
        rounded to a tenth.
    """
    words = ''.join(
      f' {key.strip("_").replace("_", "-")}={quoteattr(_text(value))}'
      for key, value in given.items()
    )
    title = f'<title>{escape(tip)}</title>' if tip else ''
    self._parts.append(f'<{tag}{words}>{title}{escape(inside)}</{tag}>')

  def text(
    self, x: float, y: float, text: str, size: float = 11, **given
  ) -> None:
    """Writes a line of text; x is its middle, y its middle line."""
    look = {'text_anchor': 'middle', 'fill': INK, **given}
    # Not `dominant-baseline`, which some programs do not know.
    self.add('text', text, x=x, y=y + 0.35 * size, font_size=size, **look)

  def rect(self, x, y, width, height, tip='', **given) -> None:
    """Draws a rectangle by its upper left corner."""
    look = {'fill': 'white', 'stroke': INK, 'stroke_width': 1, **given}
    self.add('rect', '', tip, x=x, y=y, width=width, height=height, **look)

  def polygon(self, points, tip='', **given) -> None:
    """Draws a closed area through points (x, y)."""
    look = {'fill': 'white', 'stroke': INK, 'stroke_width': 0.8, **given}
    said = ' '.join(f'{_text(x)},{_text(y)}' for x, y in points)
    self.add('polygon', '', tip, points=said, **look)

  def path(self, *words: str | float, tip: str = '', **given) -> None:
    """Draws a line by the letters and numbers of SVG's paths."""
    look = {'fill': 'none', 'stroke': INK, 'stroke_width': 1.1, **given}
    self.add('path', '', tip, d=' '.join(map(_text, words)), **look)

  def arrow(self, *words: str | float, **given) -> None:
    """As `path`, with a head at its end."""
    self.path(*words, marker_end='url(#head)', **given)

  def finish(self, width: float, height: float, title: str) -> str:
    """Returns the text of the file."""
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return '\n'.join(
      [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" role="img">',
        f'<title>{escape(title)}</title>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto" '
        'markerUnits="userSpaceOnUse">'
        f'<path d="M0 0.8 L8 4 L0 7.2 z" fill="{INK}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        *self._parts,
        '</svg>\n',
      ]
    )


def _text(value):
  return f'{round(value, 1):g}' if isinstance(value, float) else str(value)
