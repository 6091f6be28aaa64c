"""Pages in a browser: no error, no request, nothing beside the window.

    pip install playwright; apt-get install chromium
    python -m pytest tests/browser

Chromium is that of the system; playwright only speaks to it. SCREENSHOTS=DIR in
the environment keeps a picture of each page, width and scheme, to look at.
"""

import os
import pathlib
import shutil

import pytest
from conftest import make_config

import train_lib
from seeing.page import compare, report

pytest.importorskip('playwright', reason='pip install playwright')
from playwright import sync_api

CHROMIUM = next(
  filter(None, map(shutil.which, ('chromium', 'chromium-browser'))), ''
)
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    not CHROMIUM, reason='needs chromium: run where it is installed'
  ),
]
SHOTS = os.environ.get('SCREENSHOTS', '')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """The page of a run, and of two runs."""
  place = tmp_path_factory.mktemp('runs')
  paths = [str(place / name) for name in 'ab']
  for seed, path in enumerate(paths):
    config = make_config(seed=seed, report=True, train__log_every=2)
    train_lib.train_and_evaluate(config, path)
  both = report.write(compare.page(compare.read(paths)), place / 'both')
  return {'run': place / 'a' / 'report' / 'index.html', 'compare': both}


@pytest.fixture(scope='module')
def browser():
  with sync_api.sync_playwright() as running:
    # Root, as in a container, has no sandbox.
    found = running.chromium.launch(
      executable_path=CHROMIUM, args=['--no-sandbox']
    )
    yield found
    found.close()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 400])
@pytest.mark.parametrize('name', ['run', 'compare'])
def test_a_page_shows_without_errors_and_requests(
  browser, files, name, width, scheme
):
  context = browser.new_context(
    viewport={'width': width, 'height': 900}, color_scheme=scheme
  )
  page, said, asked = context.new_page(), [], []
  page.on('console', lambda message: said.append(message.text))
  page.on('pageerror', lambda error: said.append(str(error)))
  page.on('request', lambda request: asked.append(request.url))
  page.goto(files[name].as_uri())
  drawing = page.locator('figure.curves svg').first
  drawing.scroll_into_view_if_needed()
  box = drawing.bounding_box()
  x, y = box['x'] + 0.6 * box['width'], box['y'] + 0.5 * box['height']
  page.mouse.move(x, y)
  tip = page.locator('.tip').first
  assert tip.is_visible()
  assert ('step ' if name == 'run' else 'pass ') in tip.inner_text()
  assert 'test ' in tip.inner_text()
  if SHOTS:
    file = pathlib.Path(SHOTS) / f'{name}_{width}_{scheme}.png'
    page.screenshot(path=str(file), full_page=True)
  # Wide tables and pictures scroll in their boxes, not the page.
  assert page.evaluate('document.documentElement.scrollWidth') == width
  paper = page.evaluate('getComputedStyle(document.body).backgroundColor')
  assert (paper == 'rgb(255, 255, 255)') == (scheme == 'light')
  wide = page.locator('img').evaluate_all('all => all.map(i => i.naturalWidth)')
  assert all(wide)
  drawing.focus()
  page.keyboard.press('ArrowLeft')
  assert tip.is_visible()
  page.keyboard.press('Escape')
  assert not tip.is_visible()
  assert said == []
  assert [a for a in asked if not a.startswith('data:')] == [
    files[name].as_uri()
  ]
  context.close()
