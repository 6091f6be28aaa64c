"""The test images that a network gets wrong: LeNet-5, Figure 8.

In order of their number, as in the paper. --number=N: only the N most confident
mistakes, the most confident first; so it is too where there are more than 200.
"""

from ml_collections import ConfigDict

from errors import UserError
from seeing import confusion, drawing, mistakes
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_PER_ROW = 10  # as in the paper
_MOST = 200  # in order of number
_FEW = 30  # classes, up to which each has its count
_SMALL = 64  # pixels: images up to here are shown small
# Inches of an image: small with short names, small with words, a photograph.
_SIDES = (0.6, 1.0, 1.4)


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns a sheet of the mistakes, and their numbers."""
  inputs.number(1, 1)  # refuses before it computes
  tested, labels, logits = inputs.answered(config)
  found = mistakes.find(logits, labels)
  if not found:
    raise UserError('no mistakes: nothing to show')
  shown, order = _chosen(found, logits, tested.network.scale)
  images = inputs.views(
    tested.source, [m.number for m in shown], tested.network.image_size
  )
  return Drawn(
    _sheet(images, shown, tested.names),
    [
      f'{len(found)} of {len(labels):,} wrong ({len(found) / len(labels):.2%})',
      _by_class(found, tested.names),
      f'commonest: {_commonest(found, tested.names)}',
      f'numbers{order}: ' + ', '.join(str(m.number) for m in shown),
    ],
  )


def _chosen(found, logits, scale):
  """Returns the mistakes to show, and what to say of their order."""
  most = inputs.number(len(found), _MOST)
  if options.NUMBER.value is None and len(found) <= _MOST:
    return found, ''
  surest = mistakes.most_confident(found, logits, scale)[:most]
  low = surest[-1][1]
  return [m for m, _ in surest], (
    f' of the {most} most confident, the most confident first (the answer at '
    f'{surest[0][1]:.1%} to {low:.1%})'
  )


def _by_class(found, names):
  counts = list(zip(names, mistakes.by_truth(found, len(names))))
  if len(names) <= _FEW:
    return 'by class: ' + ', '.join(f'{n} {c}' for n, c in counts)
  worst = sorted(counts, key=lambda pair: -pair[1])[:_PER_ROW]
  return 'most by class: ' + ', '.join(f'{n} {c}' for n, c in worst)


def _commonest(found, names):
  pairs = mistakes.confusions(found)[:5]
  return ', '.join(f'{names[t]}→{names[a]} {n}' for (t, a), n in pairs)


def _sheet(images, shown, names):
  titles = [f'{names[m.truth]}→{names[m.answer]}' for m in shown]
  columns = min(_PER_ROW, len(shown))
  small = max(images.shape[1:3]) <= _SMALL
  if small and max(map(len, titles)) <= drawing.letters(_SIDES[0]):
    return drawing.sheet(images, columns, titles, _SIDES[0])
  side = _SIDES[1] if small else _SIDES[2]
  titles = [
    '\n'.join(confusion.two_lines(names[m.truth], names[m.answer], side))
    for m in shown
  ]
  return drawing.sheet(images, columns, titles, side, 2)


KIND = Kind(draw, (*options.NETWORK, options.NUMBER))
