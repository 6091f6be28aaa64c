"""The words of ImageNet's 1000 classes.

In the order of their WordNet ids, a line a class in imagenet_words.txt; as
torchvision has them (BSD-3-Clause, torchvision/models/_meta.py; the licence is
beside them).
"""

import pathlib

_WORDS = pathlib.Path(__file__).with_suffix('.txt')


def imagenet_words() -> tuple[str, ...]:
  """Returns the words of ImageNet's 1000 classes."""
  return tuple(_WORDS.read_text().splitlines())
