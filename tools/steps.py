"""What those share that look at a compiled step, not at data."""

from typing import Any

import jax
from ml_collections import ConfigDict

import zoo


def replace_data(config: ConfigDict) -> None:
  """Gives a config noise of its network's own image size in place of its data.

  10 classes for images below 100 pixels, 1,000 for others; no geometry.
  """
  height, width, channels = zoo.image_shape(config.model.name)
  classes = 10 if height < 100 else 1000
  config.data.name = 'fake'
  config.data.options = ConfigDict({
    'shape': (height, width, channels), 'num_classes': classes, 'examples': 8,
  })  # fmt: skip
  config.data.geometry = ConfigDict({'name': 'none'})
  config.data.eval_geometry = ConfigDict({'name': 'none'})


def memory_of(compiled: jax.stages.Compiled) -> int:
  """Returns the bytes that a program takes on a device while it runs."""
  space: Any = compiled.memory_analysis()
  return (
    space.argument_size_in_bytes
    + space.output_size_in_bytes
    + space.temp_size_in_bytes
    - space.alias_size_in_bytes
  )
