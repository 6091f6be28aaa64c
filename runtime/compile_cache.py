"""Compiled programs are kept from run to run, by JAX's persistent cache."""

import sys

import jax

from errors import UserError
from runtime import storage


def enable() -> None:
  """Keeps compiled programs in the user's cache directory.

  `~/.cache/convnet-classics/jax`, or what JAX_COMPILATION_CACHE_DIR says;
  JAX_ENABLE_COMPILATION_CACHE=0 switches it off. Entries are keyed by program,
  compiler and devices; one that cannot be read is compiled anew. Where nothing
  can be written, as without a home directory, a line on stderr says so, and
  nothing is kept.
  """
  if not jax.config.values['jax_enable_compilation_cache']:
    return
  given = jax.config.values['jax_compilation_cache_dir']
  if given and '://' in given:  # JAX reaches a bucket by itself
    return
  try:
    place = storage.local(given) if given else storage.cache() / 'jax'
    storage.open_directory(place)
  except (OSError, UserError) as error:
    jax.config.update('jax_enable_compilation_cache', False)
    print(
      f'compiled programs are not kept ({error}): '
      'JAX_COMPILATION_CACHE_DIR=DIR names a directory for them',
      file=sys.stderr,
    )
  else:
    jax.config.update('jax_compilation_cache_dir', str(place))
