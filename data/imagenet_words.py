"""ImageNet's 1000 classes: their WordNet ids, and words for them.

Both in the order of the ids, a line a class. imagenet_words.txt as torchvision
has them (BSD-3-Clause, torchvision/models/_meta.py; the licence is beside
them); imagenet_ids.txt as TFDS's labels.txt of imagenet2012.
"""

import pathlib

_WORDS = pathlib.Path(__file__).with_suffix('.txt')


def imagenet_words() -> tuple[str, ...]:
  """Returns the words of ImageNet's 1000 classes."""
  return tuple(_WORDS.read_text().splitlines())


def imagenet_ids() -> tuple[str, ...]:
  """Returns the WordNet ids of ImageNet's 1000 classes, sorted."""
  return tuple(_WORDS.with_name('imagenet_ids.txt').read_text().splitlines())
