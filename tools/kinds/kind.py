"""What a kind of picture is to `tools.visualize`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict


class Drawn(NamedTuple):
  """What a kind has made.

  Args:
    picture: what `seeing.drawing.write` takes.
    said: lines with the numbers under it, to print.
  """

  picture: Any
  said: list[str]


class Kind(NamedTuple):
  """An entry of `tools.visualize`.

  Args:
    draw: takes the config (None without `config`) and the arguments behind
      KIND; raises UserError before it computes where it can.
    options: flags that it reads, beside --out.
    takes: what its arguments are, as 'PHOTOS'; empty: it has none.
    config: whether it needs --config, or --workdir or init_from to find it.
    endings: of the file that it writes.
  """

  draw: Callable[[ConfigDict, list[str]], Drawn]
  options: tuple[flags.FlagHolder, ...] = ()
  takes: str = ''
  config: bool = True
  endings: tuple[str, ...] = ('.png', '.svg', '.pdf')
