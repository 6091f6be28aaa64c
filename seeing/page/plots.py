"""Curves as SVG inside a page, which one can hover: page.js reads the points.

A picture has its points twice: as lines, and as data of the script in numbers
of the axes. Both are of the same values, which are the run's own: where there
are too many, the lowest and the highest of neighbours are kept.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from seeing.page.fragments import Markup, data, element, note

WIDTH, HEIGHT = 480, 290  # of the view box; the text is of 13 in it
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 26, 42  # around the axes
_MOST = 1000  # points of a line
_DOTTED = 60  # points up to which each is a dot
_LATE, _ROOM, _MARGIN = 0.2, 1.6, 0.05  # see `_limits`
COLOURS = 8  # of page.css, which then come again


class Line(NamedTuple):
  """A curve; the training is thin, the test bold."""

  name: str
  x: Sequence[float]
  y: Sequence[float]
  bold: bool
  colour: int = 0


class Axes(NamedTuple):
  """A picture of curves.

  Args:
    key: of the picture in its page.
    title: above it.
    x: what is counted along it.
    lines: that have points.
    percent: y are fractions, and are shown in percent.
    log: y is logarithmic where all are above 0 and far apart.
    falls: y above all that comes after the first fifth are cut off: a run
      falls from where a guess is, and is looked at where it is low.
    a_pass: steps that a pass has, where x are steps; 0: no second axis.
  """

  key: str
  title: str
  x: str
  lines: Sequence[Line]
  percent: bool = False
  log: bool = False
  falls: bool = False
  a_pass: float = 0.0


class Scale(NamedTuple):
  """From values to places in the view box, and back."""

  low: float
  high: float
  first: float  # where low is
  last: float
  log: bool = False

  def place(self, value: float) -> float:
    """Returns where a value is."""
    low, high, value = map(self._of, (self.low, self.high, value))
    return self.first + (value - low) / (high - low) * (self.last - self.first)

  def _of(self, value):
    if not self.log:
      return value
    return math.log10(max(value, self.low / 1e3))


def thinned(
  x: Sequence[float], y: Sequence[float], most: int = _MOST
) -> tuple[list[float], list[float]]:
  """Returns at most so many points: of neighbours the lowest and the highest.

  The first and the last are always there.
  """
  if len(x) <= most:
    return list(x), list(y)
  groups = (most - 2) // 2
  kept = {0, len(x) - 1}
  for group in range(groups):
    part = range(
      group * len(x) // groups, max((group + 1) * len(x) // groups, 1)
    )
    kept |= {min(part, key=y.__getitem__), max(part, key=y.__getitem__)}
  order = sorted(kept)
  return [x[i] for i in order], [y[i] for i in order]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
  """Returns round values between two, at most so many."""
  rough = (high - low) / most
  size = 10 ** math.floor(math.log10(rough))
  step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough * (1 - 1e-9))
  first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
  # Of whole multiples, so that 0.3 is 0.3.
  return [float(f'{i * step:.12g}') for i in range(first, last + 1)]


def _powers(low, high):
  """Returns powers of ten between two; and 2, 5 of each where they are few."""
  first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
  factors = (1,) if last - first > 3 else (1, 2, 5)
  found = [
    float(f'{f}e{power}') for power in range(first, last + 1) for f in factors
  ]
  return [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def _limits(axes: Axes) -> tuple[float, float, bool]:
  """Returns the ends of y, and whether values above are cut off."""
  points = [point for line in axes.lines for point in zip(line.x, line.y)]
  low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points)
  end = max(x for x, _ in points)
  most = _ROOM * max(y for x, y in points if x >= _LATE * end)
  if axes.falls and high > most > low:
    return low, most, True
  if high <= low:  # all are zero, or below
    high = low + (abs(low) or 1.0)
  return low, high + _MARGIN * (high - low), False


def _scales(axes) -> tuple[Scale, Scale, bool]:
  ends = [line.x[-1] for line in axes.lines]
  first = min(line.x[0] for line in axes.lines)
  left, right = min(0.0, first), max(ends)
  x = Scale(left, right if right > left else left + 1, _LEFT, WIDTH - _RIGHT)
  bottom, top = HEIGHT - _BOTTOM, _TOP + 6
  values = [v for line in axes.lines for v in line.y]
  if axes.log and min(values) > 0 and max(values) > 8 * min(values):
    return x, Scale(min(values), max(values), bottom, top, True), False
  low, high, cut = _limits(axes)
  return x, Scale(low, high, bottom, top), cut


def _short(value, percent=False):
  if percent:
    return f'{100 * value:.6g}%'
  if value and abs(value) < 1e-3:
    digits, _, power = f'{value:.2e}'.partition('e')
    return f'{digits.rstrip("0").rstrip(".")}e{int(power)}'
  if abs(value) >= 1e6:
    return f'{value / 1e6:.6g}M'
  if abs(value) >= 1e4:
    return f'{value / 1e3:.6g}k'
  return f'{value:.6g}'


def _grid(axes, x, y):
  """Returns lines and numbers of the axes."""
  parts = []
  values = _powers(y.low, y.high) if y.log else ticks(y.low, y.high, 5)
  for value in values:
    place = f'{y.place(value):.2f}'
    parts += [
      element(
        'line', x1=_LEFT, x2=WIDTH - _RIGHT, y1=place, y2=place, class_='rule'
      ),
      element(
        'text', _short(value, axes.percent), x=_LEFT - 6, y=place, dy='.32em',
        text_anchor='end',
      ),
    ]  # fmt: skip
  for value in ticks(x.low, x.high, 5):
    parts.append(
      element(
        'text', _short(value), x=f'{x.place(value):.2f}',
        y=HEIGHT - _BOTTOM + 17, text_anchor='middle',
      )
    )  # fmt: skip
  middle = (_LEFT + WIDTH - _RIGHT) / 2
  parts.append(
    element('text', axes.x, x=middle, y=HEIGHT - 5, text_anchor='middle')
  )
  if axes.a_pass:
    parts += _passes(axes, x)
  return parts


def _passes(axes, x):
  """Returns the numbers of passes along the upper edge."""
  parts = []
  for value in ticks(x.low / axes.a_pass, x.high / axes.a_pass, 5):
    place = f'{x.place(value * axes.a_pass):.2f}'
    parts += [
      element(
        'line', x1=place, x2=place, y1=_TOP - 3, y2=_TOP + 2, class_='tick'
      ),
      element('text', _short(value), x=place, y=_TOP - 7, text_anchor='middle'),
    ]
  return [*parts, element('text', 'pass', x=_LEFT - 12, y=_TOP - 7,
                          text_anchor='end')]  # fmt: skip


def _drawn(line, x, y):
  """Returns a curve as SVG."""
  points = [(f'{x.place(a):.2f}', f'{y.place(b):.2f}') for a, b in
            zip(line.x, line.y)]  # fmt: skip
  look = f'c{line.colour % COLOURS} {"bold" if line.bold else "thin"}'
  parts = [
    element('polyline', points=' '.join(','.join(p) for p in points),
            class_=look)
  ]  # fmt: skip
  if (line.bold and len(points) <= _DOTTED) or len(points) == 1:
    parts += [
      element('circle', cx=a, cy=b, r=2.6, class_=look) for a, b in points
    ]
  return parts


def plot(axes: Axes) -> Markup:
  """Returns a picture with its legend; '' of no lines."""
  lines = [
    line._replace(x=x, y=y)
    for line in axes.lines
    if line.x
    for x, y in [thinned(line.x, line.y)]
  ]
  if not lines:
    return Markup('')
  axes = axes._replace(lines=lines)
  x, y, cut = _scales(axes)
  left, right, top, bottom = _LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM
  clip = element(
    'clipPath',
    element(
      'rect', x=left - 3, y=top, width=right - left + 6,
      height=bottom - top + 3,
    ),
    id_=f'clip-{axes.key}',
  )  # fmt: skip
  drawing = element(
    'svg',
    element('defs', clip),
    *_grid(axes, x, y),
    element(
      'rect', x=left, y=top, width=right - left, height=bottom - top,
      class_='frame',
    ),
    element(
      'g',
      *(part for line in lines for part in _drawn(line, x, y)),
      clip_path=f'url(#clip-{axes.key})',
    ),
    element('line', class_='cursor', y1=top, y2=bottom, visibility='hidden'),
    viewBox=f'0 0 {WIDTH} {HEIGHT}', role='img', tabindex=0,
    aria_label=_told(axes),
  )  # fmt: skip
  high = float(f'{y.high:.3g}')
  more = f'Values above {_short(high, axes.percent)} are cut off.'
  return element(
    'figure',
    element('figcaption', element('strong', axes.title), _legend(axes)),
    element('div', drawing, element('div', class_='tip', hidden=True),
            class_='plot'),
    note(more) if cut else '',
    data(_numbers(axes, x, y), 'points'),
    class_='curves', id_=axes.key,
  )  # fmt: skip


def _legend(axes):
  if [line.name for line in axes.lines] == [axes.title]:
    return ''
  return element(
    'span',
    *(
      element(
        'span',
        element(
          'i',
          class_=f'c{line.colour % COLOURS} {"bold" if line.bold else "thin"}',
        ),
        line.name,
      )
      for line in axes.lines
    ),
    class_='legend',
  )


def _told(axes):
  """Returns what the curves show, in words."""
  said = [
    f'{line.name} from {_short(line.y[0], axes.percent)} to '
    f'{_short(line.y[-1], axes.percent)}'
    for line in axes.lines
  ]
  return f'{axes.title} by {axes.x}: {"; ".join(said)}'


def _numbers(axes, x, y):
  """Returns what page.js reads; places are those of the view box."""
  return {
    'x': list(x[:4]),
    'y': list(y[:4]),
    'log': y.log,
    'name': axes.x,
    'pass': axes.a_pass,
    'percent': axes.percent,
    'lines': [
      {
        'name': line.name,
        'colour': line.colour % COLOURS,
        'x': [float(f'{v:.8g}') for v in line.x],
        'y': [float(f'{v:.6g}') for v in line.y],
      }
      for line in axes.lines
    ],
  }
