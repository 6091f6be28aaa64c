"""What a network says of the test images, as pieces of its page."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from evaluation import exact, tables
from seeing import confusion, drawing
from seeing.filters import Filters
from seeing.page import fragments, pixels
from seeing.page import network as network_lib
from seeing.page.fragments import Markup, element, join, note
from seeing.page.network import Counted, Sample

_WORST = 20  # classes
_LISTED = 40  # confusions beside the picture
_NAMED = 150  # classes up to which the picture of confusions is fine
_DPI, _DPI_OF_MANY = 110, 75
_SMALL = 64  # pixels: images up to here are enlarged
_KERNEL_SIDE = 44  # CSS pixels of a kernel; twice that of few
_FEW = 32


def classes(counted: Counted, names: Sequence[str], title: str) -> Markup:
  """Returns the confusion matrix, and the worst classes as a table."""
  counts = counted.counts
  listed = [
    f'{names[c.truth]} → {names[c.answer]}: {c.times:,} of {c.images:,}'
    for c in confusion.commonest(counts.confusions, _LISTED)
  ]
  many = len(names) > _NAMED
  figure = drawing.confusion(counts.confusions, names, title, listed)
  text = f'Images by label and answer; {counts.wrong:,} of {counts.images:,} '
  text += 'have another answer than their label'
  dpi = _DPI_OF_MANY if many else _DPI
  return join(
    [
      pixels.figure(figure, text, dpi),
      element('h3', _worst_title(names)),
      _worst(counts, names),
    ]
  )


def _worst_title(names):
  if len(names) <= _WORST:
    return 'Classes, the worst first'
  return f'The worst {_WORST} of {len(names):,} classes'


def _worst(counts, names):
  header, *lines = tables.by_class(counts, names)
  rows = [dict(zip(header, line)) for line in lines]
  rows = [row for row in rows if row['images']]
  rows.sort(key=lambda row: -row['wrong'] / row['images'])  # stable
  top5 = 'top5_wrong' in header
  titles = ('class', 'error', 'wrong', 'of', *(('not in five',) * top5),
            'taken most often for', 'times')  # fmt: skip
  return fragments.table(
    'worst classes',
    titles,
    [
      (
        row['class'],
        f'{row["wrong"] / row["images"]:.1%}',
        f'{row["wrong"]:,}',
        f'{row["images"]:,}',
        *([f'{row["top5_wrong"]:,}'] if top5 else []),
        row['taken_for'],
        f'{row["times"]:,}' if row['times'] else '',
      )
      for row in rows[:_WORST]
    ],
    numbers=(1, 2, 3, *((4, 6) if top5 else (5,))),
  )


def mistakes(counted: Counted, names: Sequence[str]) -> Markup:
  """Returns the most confident mistakes with label, answer, probability."""
  found = counted.counts.mistakes
  if not found:
    return note('There are none: all images are right.')
  small = max(counted.pixels.shape[1:3]) <= _SMALL
  tiles = []
  for mistake, key, image in zip(found, counted.keys, counted.pixels):
    truth, answer = names[mistake.truth], names[mistake.answer]
    said = f'{truth} → {answer}'
    place = f'no.\N{NO-BREAK SPACE}{mistake.number}'
    if key != str(mistake.number):
      place += f', {key}'
    caption = element(
      'figcaption', element('strong', said), element('br'),
      f'{mistake.probability:.1%}, {place}',
    )  # fmt: skip
    picture = pixels.image(image, f'image {mistake.number}: {said}')
    tiles.append(element('figure', picture, caption, class_='tile'))
  return join(
    [
      note(
        f'Label → answer, its probability, number of the image; {len(found)} '
        f'of {counted.counts.wrong:,}.'
      ),
      element('div', *tiles, class_=f'grid {"small" if small else "large"}'),
    ]
  )


def filters(found: Filters) -> Markup:
  """Returns the kernels of the first layer."""
  count, height, width, channels = found.kernels.shape
  pictures = network_lib.kernel_pictures(found.kernels)
  side = _KERNEL_SIDE if count > _FEW else 2 * _KERNEL_SIDE
  scale = max(side // width, 2)
  images = [
    pixels.image(picture, f'kernel {i}', width * scale)
    for i, picture in enumerate(pictures)
  ]
  kind = 'of colours' if channels == 3 else 'grey'
  said = (
    f'{found.layer}: {count} of {height} x {width} x {channels}, {kind}. '
    'Mid-grey is 0, each kernel is scaled by its own largest weight.'
  )
  return join([note(said), element('div', *images, class_='row tight')])


def maps(sample: Sample, names: Sequence[str]) -> Markup:
  """Returns an image and the states of layers that it leaves."""
  answer = f'{names[sample.answer]}, {sample.probability:.1%}'
  said = (
    f'Test image no. {sample.number}, a {names[sample.truth]!r}; the answer is '
    f'{answer}. The darker the larger, in each layer by itself.'
  )
  if sample.left_out:
    said += f' {sample.left_out} layers between these are left out.'
  side = max(sample.pixels.shape[:2])
  first = pixels.image(sample.pixels, 'the image', 128 if side < 128 else 192)
  tiles = [element('figure', element('figcaption', 'image'), first)]
  for layer, (shape, mosaic) in sample.layers.items():
    tiles.append(_layer(layer, shape, mosaic))
  return join([note(said), element('div', *tiles, class_='row')])


def _layer(layer, shape, mosaic):
  height, width = mosaic.shape
  scale = max(min(240 // max(height, width), 16), 1)
  total, side = shape[-1], 'units' if shape[0] == 1 else 'maps'
  size = '' if shape[0] == 1 else f' of {shape[0]} x {shape[1]}'
  shown = int(np.ceil(height / (shape[0] + 1))) * -(-width // (shape[1] + 1))
  first = '' if shape[0] == 1 or shown >= total else f', the first {shown}'
  said = f'{total} {side}{size}{first}'
  caption = element('figcaption', element('strong', layer), f' {said}')
  picture = pixels.image(pixels.grey(mosaic), f'{layer}: {said}', width * scale)
  return element('figure', caption, picture)


def title(config: ConfigDict, result: dict[str, Any]) -> str:
  """Returns what stands above the confusions: data, protocol, result."""
  return (
    f'{config.model.name}, {exact.data_name(config)} {result["split"]}, '
    f'protocol {result["protocol"]}: top-1 error {result["top1_error"]:.2%} '
    f'({result["wrong"]:,} of {result["count"]:,})'
  )
