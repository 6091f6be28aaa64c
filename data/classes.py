"""Which class of a network each class of a test set is.

Test sets name their classes as they like. Tried in this order, and the first
that holds for all of them counts:

    name            of the network's own classes
    WordNet id      both are ImageNet's: ids in the data, ids or words there
    word            of ImageNet, or a name in another spelling, 'French_horn'
    number          folders '0' to '999' as ImageNet-V2 has them: the place in
                    the order of the WordNet ids, which is not that of the
                    folders' names; with other classes the place among them
"""

import collections
import difflib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data.imagenet_words import imagenet_ids, imagenet_words
from data.listing import nfc
from errors import UserError

_ID = re.compile(r'n\d{8}')


class Match(NamedTuple):
  """`numbers[i]` is the network's class that class i of the data is."""

  numbers: tuple[int, ...]
  how: str  # in words, after 'by'


class _Rule(NamedTuple):
  how: str
  table: dict[str, int]  # number of the network's class by key
  key: Callable[[str], str]


def match(here: Sequence[str], there: Sequence[str], owner: str) -> Match:
  """Returns which of the network's classes those of the data are.

  Args:
    here: names of the classes of the data.
    there: of the network, in its order.
    owner: what that network is, for a person.

  Raises:
    UserError: a class that is none of the network's, or two that are one.
  """
  best: list[int | None] = [None] * len(here)
  for rule in _rules(here, there):
    found = [rule.table.get(rule.key(name)) for name in here]
    if None not in found:
      numbers = tuple(n for n in found if n is not None)
      _check_distinct(here, there, numbers)
      return Match(numbers, rule.how)
    if best.count(None) > found.count(None):
      best = found
  raise UserError(_unmatched(here, there, owner, best))


def order_of_imagenet(names: Sequence[str]) -> tuple[int, ...]:
  """Returns the place among `names` of each of ImageNet's 1000 classes.

  In the order of the WordNet ids; () where these are not ImageNet's classes.
  """
  table = _by_id(names)
  found = [table.get(i) for i in imagenet_ids()]
  return () if None in found else tuple(n for n in found if n is not None)


def _rules(here, there):
  """Yields the rules, strictest first."""
  ids = all(_ID.fullmatch(name) for name in here)
  own = {nfc(name): i for i, name in enumerate(there)}
  yield _Rule('WordNet id' if ids else 'name', own, nfc)
  yield _Rule('WordNet id' if ids else 'word', _by_id(there), _Ids())
  yield _Rule('name, spelled otherwise', _unambiguous(there), _plain)
  numbered = all(_is_number(n) for n in here)
  if numbered and not any(_is_number(name) for name in there):
    if order := order_of_imagenet(there):
      how = "number in the order of ImageNet's WordNet ids"
    else:
      order, how = tuple(range(len(there))), "number in the network's order"
    table = {str(i): n for i, n in enumerate(order)}
    yield _Rule(how, table, lambda name: str(int(name)))


class _Ids:
  """Names -> WordNet ids: of an id itself, of a word of ImageNet; else ''."""

  def __init__(self):
    ids, words = imagenet_ids(), imagenet_words()
    self._ids, self._words = set(ids), dict(zip(words, ids))
    self._plain = {k: ids[n] for k, n in _unambiguous(words).items()}

  def __call__(self, name: str) -> str:
    if name in self._ids:
      return name
    return self._words.get(name) or self._plain.get(_plain(name), '')


def _by_id(names):
  """Returns the numbers of names by WordNet id, those of ImageNet's only."""
  id_of = _Ids()
  table: dict[str, int] = {}
  for i, name in enumerate(names):
    table.setdefault(id_of(name), i)
  table.pop('', None)
  return table


def _plain(name):
  """Without case, spaces and signs: 'French_horn' as 'French horn'."""
  return re.sub(r'[\W_]', '', nfc(name).casefold())


def _unambiguous(names):
  """Returns the numbers of names by `_plain`; none where two share it."""
  keys = [_plain(name) for name in names]
  count = collections.Counter(keys)
  return {k: i for i, k in enumerate(keys) if count[k] == 1}


def _is_number(name):
  # int() has limits: of the length, and none of the script.
  return name.isascii() and name.isdecimal() and len(name) < 10


def _check_distinct(here, there, numbers):
  for i, number in enumerate(numbers):
    if (first := numbers.index(number)) < i:
      raise UserError(
        f"'{here[first]}' and '{here[i]}' of the data are both class "
        f"'{there[number]}' of the network: merge them"
      )


def _unmatched(here, there, owner, found):
  """Names the first class without one, and what may have been meant."""
  left = [name for name, number in zip(here, found) if number is None]
  more = f' (and {len(left) - 1:,} more)' if len(left) > 1 else ''
  known = [*there, *imagenet_words()] if order_of_imagenet(there) else there
  near = difflib.get_close_matches(left[0], known, n=1)
  hint = f" Did you mean '{near[0]}'?" if near else ''
  if not near and len(there) <= 20:
    hint = f' Known: {", ".join(there)}.'
  return (
    f"'{left[0]}'{more} is a class of the data, but none of the {len(there):,} "
    f'of {owner}, by name, WordNet id or word of ImageNet.{hint} Rename it, or '
    'take its images out of the test set'
  )
