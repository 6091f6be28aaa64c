"""What all commands share: --help, errors in one line, optional packages.

Imports nothing slow: every process of `prepare_imagenet` imports it.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator

from errors import UserError
from runtime import console


def parser(name: str) -> argparse.ArgumentParser:
  """Returns a parser whose --help begins with the docstring of a module.

  Args:
    name: `__name__` of the module.
  """
  module = sys.modules[name]
  spec = module.__spec__  # has the name under which Python was asked for it
  return argparse.ArgumentParser(
    prog=f'python -m {spec.name if spec else name}',
    description=module.__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )


@contextlib.contextmanager
def errors(*kinds: type[Exception]) -> Iterator[None]:
  """Ends the process with one line and exit code 2 after a UserError inside.

  Args:
    *kinds: of other exceptions whose message says all that a person needs.
  """
  caught: tuple[type[Exception], ...] = (UserError, *kinds)
  console.accept_all_letters()
  try:
    with console.ends_unread():
      yield
  except caught as error:
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
      said = f'{error.filename}: {error.strerror}'
    print(f'error: {said}', file=sys.stderr)
    sys.exit(UserError.EXIT_CODE)


@contextlib.contextmanager
def needs(packages: str) -> Iterator[None]:
  """Raises UserError if an import inside fails.

  Args:
    packages: what to install, as pip takes it.
  """
  try:
    yield
  except ImportError as error:
    raise UserError(
      f'needs a package ({error}): pip install {packages}'
    ) from None
