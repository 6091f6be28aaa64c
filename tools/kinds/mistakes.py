"""The test images that a network gets wrong: LeNet-5, Figure 8."""

from ml_collections import ConfigDict

from errors import UserError
from seeing import drawing, mistakes
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_PER_ROW = 10  # as in the paper


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns a sheet of the mistakes, and their numbers."""
  model, images, labels, logits = inputs.answered(config)
  found, names = mistakes.find(logits, labels), model.class_names
  if not found:
    raise UserError('no mistakes: nothing to show')
  titles = [f'{names[m.truth]}→{names[m.answer]}' for m in found]
  figure = drawing.sheet(images[[m.number for m in found]], _PER_ROW, titles)
  counts = mistakes.by_truth(found, len(names))
  pairs = ', '.join(
    f'{names[t]}→{names[a]} {n}' for (t, a), n in mistakes.confusions(found)[:5]
  )
  said = [
    f'{len(found)} of {len(labels):,} wrong ({len(found) / len(labels):.2%})',
    'by class: ' + ', '.join(f'{n} {c}' for n, c in zip(names, counts)),
    f'commonest: {pairs}',
    'numbers: ' + ', '.join(str(m.number) for m in found),
  ]
  return Drawn(figure, said)


KIND = Kind(draw, options.NETWORK)
