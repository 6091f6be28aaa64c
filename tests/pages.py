"""Pages of HTML as a browser takes them apart, and what must hold of each."""

import html.parser
import json
import re

VOID = ('br', 'img', 'link', 'meta')


class Page(html.parser.HTMLParser):
  """What is in a page; raises where a tag is not closed in its turn."""

  def __init__(self, text):
    super().__init__(convert_charrefs=True)
    self.open, self.tags, self.told = [], [], []
    self.tables, self.texts = {}, {}
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attributes):
    values = dict(attributes)
    assert len(values) == len(attributes)
    self.tags.append((tag, values))
    if tag in VOID:
      return
    self.open.append(tag)
    if tag == 'section':
      self.section = values['id']
      self.texts[self.section] = ''
    if tag == 'table':
      self.rows = self.tables.setdefault(values['aria-label'], [])
    if tag == 'tr':
      self.rows.append([])
    if tag in ('td', 'th'):
      self.rows[-1].append('')
    if tag == 'script' and values.get('class') == 'points':
      self.told.append('')

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, text):
    if self.open and self.open[-1] == 'script':
      if self.told and self.told[-1] == '':
        self.told[-1] = json.loads(text)
      return
    if 'section' in self.open:
      self.texts[self.section] += text
    if {'td', 'th'} & set(self.open):
      self.rows[-1][-1] += text

  def of(self, tag):
    """Returns the attributes of all such elements."""
    return [values for name, values in self.tags if name == tag]

  def values(self, name):
    """Returns the values of an attribute, of all elements."""
    return [v[name] for _, v in self.tags if v.get(name) is not None]


def check(text):
  """Returns a page after what holds of all: it is whole, and needs no other."""
  page = Page(text)
  ids = page.values('id')
  assert len(ids) == len(set(ids))
  for link in page.values('href'):
    assert link == 'data:,' or (link[0] == '#' and link[1:] in ids)
  for clip in page.values('clip-path'):
    assert re.fullmatch(r'url\(#(.+)\)', clip)[1] in ids
  assert all(v.startswith('data:image/') for v in page.values('src'))
  assert not {'iframe', 'object', 'form', 'base'} & {t for t, _ in page.tags}
  handlers = {name for _, v in page.tags for name in v if name[:2] == 'on'}
  assert not handlers
  policy = page.of('meta')[1]
  assert policy['http-equiv'] == 'Content-Security-Policy'
  assert policy['content'].startswith("default-src 'none'; img-src data:;")
  assert all(image['alt'] for image in page.of('img'))
  # That of a script of ours would be a page that somebody else wrote.
  assert [t for t in text.split('<script')[1:] if '</script>' not in t] == []
  return page
