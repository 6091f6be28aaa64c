"""The pages: links, contents, the files and commands that they name."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FRONT = ROOT / 'README.md'
RULES = ROOT / 'CONTRIBUTING.md'
DOCS = sorted((ROOT / 'docs').glob('*.md'))
PAGES = [FRONT, RULES, *DOCS]
WINGS = (
  'configs', 'zoo', 'data', 'recipe', 'training', 'seeing', 'evaluation',
  'runtime', 'tools', 'benchmarks', 'tools/kinds', 'seeing/page',
)  # fmt: skip
SOURCES = {
  str(path.relative_to(ROOT))
  for found in (
    ROOT.glob('*.py'),
    *((ROOT / wing).rglob('*.py') for wing in WINGS),
  )
  for path in found
}
# Stands for a file of the reader's choice.
ANY = ('FILE', 'NAME')

every_page = pytest.mark.parametrize(
  'page', PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


def blocks(page):
  """Returns the text in fences, and all other text."""
  parts = re.split(r'^```.*$', page.read_text(), flags=re.MULTILINE)
  return '\n'.join(parts[1::2]), '\n'.join(parts[::2])


def headings(page):
  """Returns (level, title, its name in a link as GitHub makes it)."""
  found, seen = [], {}
  for marks, title in re.findall(
    r'^(#+) +(.+?) *$', blocks(page)[1], flags=re.MULTILINE
  ):
    plain = re.sub(r'!?\[([^]]*)\]\([^)]*\)', r'\1', title).replace('`', '')
    slug = re.sub(r'[^\w\- ]', '', plain.lower()).replace(' ', '-')
    number = seen[slug] = seen.get(slug, -1) + 1
    found.append((len(marks), title, f'{slug}-{number}' if number else slug))
  return found


def links(text):
  """Returns the targets of links and images that are not on the web."""
  targets = re.findall(r'\]\(([^)\s]+)\)', text)
  return [t for t in targets if not re.match(r'[a-z]+:', t)]


def contents(page):
  """Returns (title, name) of the list that stands before the first section."""
  before = re.split(r'^## ', page.read_text(), maxsplit=1, flags=re.MULTILINE)
  return re.findall(r'^- \[(.+)\]\(#(\S+)\)$', before[0], flags=re.MULTILINE)


@every_page
def test_links_lead_somewhere(page):
  def leads(target):
    path, _, fragment = target.partition('#')
    file = (page.parent / path).resolve() if path else page
    if not fragment:
      return file.exists()
    return file.is_file() and fragment in [s for _, _, s in headings(file)]

  assert not [t for t in links(blocks(page)[1]) if not leads(t)]


@pytest.mark.parametrize(
  'page',
  [p for p in DOCS if p.name != 'zoo.md'],  # written by a command
  ids=lambda page: page.name,
)
def test_a_page_lists_its_sections(page):
  sections = [
    (title, slug) for level, title, slug in headings(page) if level == 2
  ]
  assert contents(page) == sections


def test_the_index_lists_every_page():
  listed = set(links((ROOT / 'docs' / 'README.md').read_text()))
  assert {page.name for page in DOCS} - {'README.md'} <= listed
  listed = set(links(FRONT.read_text()))
  assert {f'docs/{page.name}' for page in DOCS} - {'docs/README.md'} <= listed


def test_the_front_door_is_short():
  assert len(FRONT.read_text().splitlines()) <= 170


def test_every_file_has_a_line_in_contributing():
  named = re.findall(r'^([\w/]+\.py) +\S', blocks(RULES)[0], flags=re.MULTILINE)
  expected = {s for s in SOURCES if not s.endswith('__init__.py')}
  assert sorted(named) == sorted(expected)


def new_files(page):
  """Those that a page tells to write, as docs/extending.md does."""
  text = page.read_text()
  return set(re.findall(r'^`([\w/]+\.py)`[^\n]*\n\n```python', text, re.M))


@every_page
def test_commands_name_what_is_there(page):
  text = ' '.join(page.read_text().split())
  configs = set(re.findall(r'--config=configs/(\w+)\.py', text)) - set(ANY)
  modules = set(re.findall(r'python -m (tools\.\w+|benchmarks\.\w+)', text))
  named = [f'configs/{name}.py' for name in configs]
  named += [m.replace('.', '/') + '.py' for m in modules]
  named = [n for n in named if pathlib.PurePath(n).stem not in ANY]
  assert not set(named) - SOURCES - new_files(page)


@pytest.mark.parametrize(
  'file',
  [*(str(page.relative_to(ROOT)) for page in PAGES), *sorted(SOURCES)],
)
def test_files_that_a_text_names_are_there(file):
  """With their folder, in pages and in what the code says of other code."""
  places = '|'.join((*WINGS, 'tests'))
  named = re.findall(
    rf'(?<![\w/.])((?:{places})/[\w/]+\.py)\b', (ROOT / file).read_text()
  )
  missing = [n for n in named if pathlib.PurePath(n).stem not in ANY]
  new = new_files(ROOT / file) if file.endswith('.md') else set()
  assert not [n for n in missing if not (ROOT / n).exists() and n not in new]
