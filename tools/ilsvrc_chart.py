"""The picture of ILSVRC over the years: error, depth and size of its networks.

Errors are top-5 on the contest's test sets, as reported, of ensembles where a
paper has them.
"""

import math
from typing import Any, NamedTuple


class Entry(NamedTuple):
  """What won, or a network of the zoo."""

  label: str
  year: int
  error: float  # top-5, %
  name: str = ''  # in the zoo; '': none
  depth: int = 0  # layers with weights


# Before: Russakovsky et al., "ImageNet Large Scale Visual Recognition
# Challenge", IJCV 2015, Section 5.1 (2010 also AlexNet's Table 1, sparse
# coding). The networks: AlexNet Table 2, ZFNet Table 2, VGG Table 6, GoogLeNet
# Table 3, ResNet Table 5.
ENTRIES = (
  Entry('NEC-UIUC', 2010, 28.2),
  Entry('XRCE', 2011, 25.8),
  Entry('AlexNet', 2012, 15.3, 'alexnet', 8),
  Entry('ZFNet', 2013, 14.8, 'zfnet', 8),
  Entry('VGG-19', 2014, 7.3, 'vgg_e', 19),
  Entry('GoogLeNet', 2014, 6.67, 'googlenet', 22),
  Entry('ResNet-152', 2015, 3.57, 'resnet152', 152),
)
# A person who had trained for it, on 1,500 images: Russakovsky et al., Section
# 6.4.
HUMAN = 5.1
_COLOUR, _GREY, _RED = '#4878a8', '#909090', '#c03020'
_LARGEST = 3000  # area of the largest network's mark, points squared


def draw(parameters: dict[str, int], path: str) -> None:
  """Writes the picture.

  Args:
    parameters: of the networks of `ENTRIES`, by their names in the zoo.
    path: of the file.

  Raises:
    OSError: the file cannot be written.
    ValueError: its ending is no format of matplotlib's.
  """
  from matplotlib.figure import Figure  # noqa: PLC0415  slow, and optional

  figure = Figure(figsize=(9, 7), layout='constrained')
  above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
  figure.suptitle('ImageNet classification (ILSVRC), as the papers report')
  _errors(above)
  _sizes(below, parameters)
  below.set_xticks(
    range(len(ENTRIES)), [f'{e.label}\n{e.year}' for e in ENTRIES]
  )
  for axes in (above, below):
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_xlim(-0.6, len(ENTRIES) + 0.2)
  figure.savefig(path, dpi=120)


def _errors(axes: Any) -> None:
  colours = [_COLOUR if e.name else _GREY for e in ENTRIES]
  errors = [e.error for e in ENTRIES]
  axes.bar(range(len(ENTRIES)), errors, color=colours, width=0.6)
  for i, error in enumerate(errors):
    inside = error < HUMAN  # else the line would cross the number
    axes.annotate(
      f'{error:g} %', (i, error), xytext=(0, -4 if inside else 3),
      textcoords='offset points', ha='center', weight='bold',
      va='top' if inside else 'bottom', color='white' if inside else 'black',
    )  # fmt: skip
  axes.axhline(HUMAN, color=_RED, linestyle='--', linewidth=1.2)
  axes.annotate(
    f'a trained\nperson\n{HUMAN:g} %', (len(ENTRIES) - 0.6, HUMAN),
    xytext=(0, 4), textcoords='offset points', color=_RED,
  )  # fmt: skip
  axes.set_ylim(0, 31)
  axes.set_ylabel('top-5 error, %\n(best reported, ensembles)')


def _sizes(axes: Any, parameters: dict[str, int]) -> None:
  """Depth as height, parameters as area: twice as many, twice the area."""
  most = max(parameters.values())
  shallow = [i for i, entry in enumerate(ENTRIES) if not entry.name]
  axes.annotate(
    'shallow: features made by\nhand, linear classifiers',
    (sum(shallow) / len(shallow), 8), ha='center', va='center', color='#707070',
  )  # fmt: skip
  for i, entry in enumerate(ENTRIES):
    if not entry.name:
      continue
    size = parameters[entry.name]
    area = _LARGEST * size / most
    axes.scatter([i], [entry.depth], s=area, color=_COLOUR, alpha=0.75)
    axes.annotate(
      f'{entry.depth} layers\n{size / 1e6:.1f} million', (i, entry.depth),
      xytext=(0, -4 - (area / math.pi) ** 0.5), textcoords='offset points',
      ha='center', va='top', fontsize=9,
    )  # fmt: skip
  axes.set_yscale('log', base=2)
  axes.set_ylim(2, 320)
  ticks = [4, 8, 16, 32, 64, 128, 256]
  axes.set_yticks(ticks, [str(t) for t in ticks])
  axes.set_ylabel('layers with weights\n(area of a mark: parameters)')
