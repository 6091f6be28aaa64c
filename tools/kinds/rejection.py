"""Error of the rest against what is rejected: LeNet-5, Figure 10."""

from absl import flags
from ml_collections import ConfigDict

from seeing import drawing, rejection
from tools.kinds import inputs, options
from tools.kinds.kind import Drawn, Kind

_TARGET = flags.DEFINE_float('target', 0.005, 'error of the rest')


def draw(config: ConfigDict, _: list[str]) -> Drawn:
  """Returns a curve of error against rejection, and what is needed."""
  _tested, labels, logits = inputs.answered(config)
  rejected, error = rejection.curve(logits, labels)
  need = rejection.needed(rejected, error, _TARGET.value)
  shown = rejected <= max(4 * need, 0.1)
  curve = {'': (100 * rejected[shown], error[shown])}
  figure = drawing.lines(
    [('rejected, %', 'error of the rest, %', curve)], hline=_TARGET.value
  )
  said = [
    f'{need:.2%} rejected for an error of {_TARGET.value:.2%}; '
    f'{error[0]:.2%} with none rejected'
  ]
  return Drawn(figure, said)


KIND = Kind(draw, (*options.NETWORK, _TARGET))
