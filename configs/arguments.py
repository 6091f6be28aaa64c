"""The grammar of config arguments: --config=configs/FILE.py:ARGUMENTS

    ARGUMENTS  =  ARGUMENT,ARGUMENT,...
    ARGUMENT   =  key=value  |  switch

Keys and their values are checked; a switch (`smoke`) is on when it is there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from errors import UserError, closest


def parse(
  text: str, choices: Mapping[str, Sequence[str]], switches: Sequence[str] = ()
) -> dict[str, Any]:
  """Returns a value for every key and switch.

  Args:
    text: what follows the config file's colon; may be empty.
    choices: the values of each key, the default first.
    switches: words that stand alone, off by default.

  Raises:
    UserError: unknown key, value or switch (names the closest), or a key that
      is given twice.
  """
  result: dict[str, Any] = {k: v[0] for k, v in choices.items()}
  result |= dict.fromkeys(switches, False)
  given = set()
  for argument in filter(None, (text or '').split(',')):
    key, equals, value = argument.partition('=')
    if key not in result:
      raise UserError(
        f"config argument '{argument}': no '{key}'.{closest(key, result)}"
      )
    if key in given:
      raise UserError(f"config argument '{key}' is given twice")
    given.add(key)
    if bool(equals) == (key in switches):
      form = key if key in switches else f'{key}={choices[key][0]}'
      raise UserError(f"config argument '{argument}': write it as '{form}'")
    if key in choices and value not in choices[key]:
      raise UserError(
        f"config argument '{argument}': no {key} '{value}'."
        f'{closest(value, choices[key])}'
      )
    result[key] = value if equals else True
  return result
