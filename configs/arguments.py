"""The grammar of config arguments: --config=configs/FILE.py:ARGUMENTS

    ARGUMENTS  =  ARGUMENT,ARGUMENT,...
    ARGUMENT   =  key=value  |  switch

Keys and their values are checked; a switch (`smoke`) is on when it is there.
A config file says in `get_arguments` which it takes.
"""

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import zoo
from errors import UserError, closest


class Argument(NamedTuple):
  """A key with its values, the default first; without values, a switch."""

  values: tuple[str, ...]
  meaning: str


def switch(meaning: str) -> Argument:
  """Returns an argument that is off unless it is given."""
  return Argument((), meaning)


def variants(family: str, default: str = '') -> Argument:
  """Returns the networks of a paper as an argument.

  Args:
    family: as in `zoo.names`.
    default: the first one where that is not the paper's first.
  """
  names = zoo.names(family)
  names.sort(key=lambda name: name != default)  # stable
  return Argument(tuple(names), 'the network: docs/zoo.md')


def parse(text: str, known: Mapping[str, Argument]) -> dict[str, Any]:
  """Returns a value for every key, a bool for every switch.

  Args:
    text: what follows the config file's colon; may be empty.
    known: the arguments by key.

  Raises:
    UserError: unknown key, value or switch (names the closest), or a key that
      is given twice.
  """
  result: dict[str, Any] = {
    key: argument.values[0] if argument.values else False
    for key, argument in known.items()
  }
  given = set()
  for word in filter(None, (text or '').split(',')):
    key, equals, value = word.partition('=')
    if key not in known:
      raise UserError(
        f"config argument '{word}': no '{key}'.{closest(key, known)}"
      )
    if key in given:
      raise UserError(f"config argument '{key}' is given twice")
    given.add(key)
    values = known[key].values
    if bool(equals) != bool(values):
      form = f'{key}={values[0]}' if values else key
      raise UserError(f"config argument '{word}': write it as '{form}'")
    if values and value not in values:
      raise UserError(
        f"config argument '{word}': no {key} '{value}'."
        f'{_hint(key, value, values)}'
      )
    result[key] = value if values else True
  return result


def _hint(key, value, values):
  if key in ('variant', 'network') and (near := zoo.suggest(value, values)):
    return f" Did you mean '{near}'?"
  if key == 'variant' and (near := zoo.suggest(value)):
    return f" Did you mean '{near}' of configs/{zoo.NETWORKS[near].family}.py?"
  return closest(value, values)


def describe(known: Mapping[str, Argument]) -> str:
  """Returns the arguments as lines for a terminal, their defaults first."""
  lines = []
  for key, argument in known.items():
    form = f'{key}={argument.values[0]}' if argument.values else key
    lines.append(f'  {form:23} {argument.meaning}')
    if others := ', '.join(argument.values[1:]):
      lines += textwrap.wrap(
        f'or {others}', 79, initial_indent=' ' * 26, subsequent_indent=' ' * 29
      )
  return '\n'.join(lines)
