"""Pieces of HTML. What is not `Markup` is text, and is escaped."""

import html
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

_HERE = pathlib.Path(__file__).parent
_VOID = ('br', 'img', 'link', 'meta')
GENERATOR = 'tools.report'  # says whose a page is
# Nothing is fetched from anywhere; what the page has of its own may run.
_POLICY = (
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
  "script-src 'unsafe-inline'"
)


class Markup(str):
  """Text that is HTML already."""

  __slots__ = ()


def markup(content: Any) -> Markup:
  """Returns `Markup` as it is, anything else as escaped text."""
  if isinstance(content, Markup):
    return content
  # Names of files that are no UTF-8 have surrogates, which no file takes.
  text = str(content).encode('utf-8', 'replace').decode()
  return Markup(html.escape(text))


def join(parts: Iterable[Any], between: str = '') -> Markup:
  """Returns parts one after the other."""
  return Markup(between.join(map(markup, parts)))


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
  """Returns <tag attributes>content</tag>.

  Args:
    tag: its name.
    *content: text, or `Markup`.
    **attributes: `class_` is class, `data_x` data-x; None and False are left
      out, of True only the name is written.
  """
  said = ''
  for name, value in attributes.items():
    if value is None or value is False:
      continue
    name = name.rstrip('_').replace('_', '-')
    said += f' {name}' if value is True else f' {name}="{markup(value)}"'
  if tag in _VOID:
    return Markup(f'<{tag}{said}>')
  return Markup(f'<{tag}{said}>{join(content)}</{tag}>')


def data(content: Any, class_: str) -> Markup:
  """Returns what JSON has as data of the page's script."""
  text = json.dumps(content, separators=(',', ':'), allow_nan=False)
  for letter in '<>&':
    text = text.replace(letter, f'\\u{ord(letter):04x}')
  return element(
    'script', Markup(text), type_='application/json', class_=class_
  )


def scrolled(content: Any, label: str) -> Markup:
  """Returns a box in which wide content scrolls."""
  return element(
    'div', content, class_='scroll', tabindex=0, role='region',
    aria_label=label,
  )  # fmt: skip


def table(
  label: str,
  header: Sequence[Any],
  rows: Iterable[Sequence[Any]],
  numbers: Sequence[int] = (),
  marked: Sequence[int] = (),
  kind: str | None = None,
) -> Markup:
  """Returns a table in a box that scrolls.

  Args:
    label: what it is, for who does not see it.
    header: of its columns; (): none.
    rows: of cells; the first of each names the row.
    numbers: columns that are right-aligned.
    marked: numbers of rows that stand out.
    kind: class of CSS: 'pairs', 'wide' have cells of several lines.
  """

  def row(number, cells):
    return element(
      'tr',
      *(
        element(
          'td' if i else 'th', cell, scope=None if i else 'row',
          class_='number' if i in numbers else None,
        )
        for i, cell in enumerate(cells)
      ),
      class_='marked' if number in marked else None,
    )  # fmt: skip

  head = element(
    'thead',
    element(
      'tr',
      *(
        element(
          'th', cell, scope='col', class_='number' if i in numbers else None
        )
        for i, cell in enumerate(header)
      ),
    ),
  )
  body = element('tbody', *(row(i, cells) for i, cells in enumerate(rows)))
  return scrolled(
    element(
      'table', head if header else '', body, class_=kind, aria_label=label
    ),
    label,
  )


def pairs(label: str, rows: Iterable[tuple[str, Any]]) -> Markup:
  """Returns a table of names and values."""
  return table(label, (), rows, kind='pairs')


def folded(title: str, *content: Any) -> Markup:
  """Returns what shows when its title is clicked."""
  return element('details', element('summary', title), *content)


def note(*content: Any) -> Markup:
  """Returns a remark, as on what is missing."""
  return element('p', *content, class_='note')


def paragraph(*content: Any, **attributes: Any) -> Markup:
  """Returns a paragraph."""
  return element('p', *content, **attributes)


def code(text: str) -> Markup:
  """Returns a command line, with a button that copies it."""
  button = element('button', 'copy', type_='button', class_='copy', hidden=True)
  line = element('pre', element('code', text), tabindex=0)
  return element('div', line, button, class_='command')


def section(key: str, title: str, *content: Any) -> Markup:
  """Returns a section; `page` lists it by its key."""
  return element('section', element('h2', title), *content, id_=key)


def page(
  title: str, header: Any, sections: Sequence[tuple[str, str, Markup]]
) -> str:
  """Returns a whole document, its style and script inside.

  Args:
    title: of the window and the first heading.
    header: what stands below that.
    sections: (key, title, content), in order.
  """
  contents = element(
    'nav',
    element(
      'ul',
      *(
        element('li', element('a', name, href=f'#{key}'))
        for key, name, _ in sections
      ),
    ),
    aria_label='contents',
  )
  head = element(
    'head',
    element('meta', charset='utf-8'),
    element('meta', http_equiv='Content-Security-Policy', content=_POLICY),
    element(
      'meta', name='viewport', content='width=device-width, initial-scale=1'
    ),
    element('meta', name='generator', content=GENERATOR),
    element('meta', name='color-scheme', content='light dark'),
    element('title', title),
    # Else a browser asks the server for one.
    element('link', rel='icon', href='data:,'),
    element('style', Markup((_HERE / 'page.css').read_text())),
  )
  body = element(
    'body',
    element('header', element('h1', title), header),
    contents,
    element('main', *(section(*entry) for entry in sections)),
    element('script', Markup((_HERE / 'page.js').read_text())),
  )
  document = element('html', head, body, lang='en')
  return f'<!DOCTYPE html>\n{document}\n'
