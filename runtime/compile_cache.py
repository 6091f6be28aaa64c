"""Compiled programs are kept from run to run, by JAX's persistent cache."""

import jax
import pooch


def enable() -> None:
  """Keeps compiled programs in the user's cache directory.

  `~/.cache/convnet-classics/jax`, or what JAX_COMPILATION_CACHE_DIR says;
  JAX_ENABLE_COMPILATION_CACHE=0 switches it off. Entries are keyed by program,
  compiler and devices; one that cannot be read is compiled anew.
  """
  if jax.config.values['jax_compilation_cache_dir'] is None:
    place = pooch.os_cache('convnet-classics') / 'jax'
    jax.config.update('jax_compilation_cache_dir', str(place))
