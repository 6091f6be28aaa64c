"""The folder beside a file of weights: what `networks` reads with it.

`runtime.workdir.record_of` finds it: NAME for NAME.npz or NAME.safetensors.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from data import mean_image
from errors import UserError
from runtime import storage


def contents(
  config: dict[str, Any], class_names: Any, image_shape: Any
) -> dict[str, str]:
  """Returns config.json and classes.json, without places of this machine.

  Args:
    config: as a workdir's config.json has it.
    class_names: of the scores.
    image_shape: of an image of the data.
  """
  data = {**config['data'], 'dir': '', 'mean_image': ''}
  classes = {'class_names': list(class_names), 'image_shape': list(image_shape)}
  return {
    'config.json': json.dumps({**config, 'data': data}, indent=2) + '\n',
    'classes.json': json.dumps(classes, indent=1) + '\n',
  }


def check(folder: pathlib.Path, texts: Mapping[str, str]) -> None:
  """Raises UserError where the folder is there with something else in it."""
  for name, text in texts.items():
    file = folder / name
    if folder.exists() and not (file.is_file() and file.read_text() == text):
      raise UserError(
        f'--out: {folder}, where {" and ".join(texts)} are to be, is there '
        'already with something else; choose another name'
      )


def write(
  folder: pathlib.Path, texts: Mapping[str, str], mean: Any = None
) -> None:
  """Writes the folder.

  Args:
    folder: to make.
    texts: of `contents`, and others.
    mean: the mean image, as `data.mean_image.read` returns it; None: none.

  Raises:
    OSError: it cannot be written.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for name, text in texts.items():
    storage.write(folder / name, text)
  if mean is not None:
    mean_image.write(folder / mean_image.NAME, mean)
