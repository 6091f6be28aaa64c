"""The directory of a run: whose it is, and what produced it.

It holds

    config.json      the resolved config of the last start
    mean_image.npy   that of `data.mean_image`, where it is set
    classes.json     class names, shape of the images, number to train on
    versions.jsonl   a line a start: time, step, code, libraries, devices
    metrics.jsonl, events.out.tfevents.*      see runtime/run_log.py
    in_use.json      see runtime/claim.py
    checkpoints/, damaged_checkpoints/        see runtime/checkpoints.py
    results/*.json   of --mode=eval, see evaluation/runs.py
    profile/         see runtime/profiling.py
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from errors import UserError
from runtime import storage

# A run may be continued with another length, evaluation or data directory;
# these make it another run, whose checkpoints have another form or meaning.
_NETWORK = 'model.'  # its fields
_IDENTITY = ('optimizer.name', 'data.image_size')
# Options that say which examples: data/parts.py. One that is not set is 0.
_PARTS = tuple(
  f'data.options.{name}'
  for name in ('holdout', 'held_out', 'per_class', 'draw')
)
_OF_TRAINING = (
  # A network may be evaluated on other data, where its classes are on record.
  'data.name',
  # Steps are counted in batches, and a step is a position in the data.
  'train.batch_size',
  # The velocity is of gradients, or of these times the rate.
  'optimizer.momentum_form',
  # It has none for what is frozen.
  'optimizer.frozen',
  # What the parameters were trained to see; evaluation takes the recorded.
  'data.mean',
  'data.std',
  'data.order',
  *_PARTS,
  'data.options.builder',
)
# And what it takes that is of no matter once there are checkpoints: the first
# values, and a form of the computation that is the same to rounding.
_OF_NO_MATTER = ('model.init', 'model.fused_norm')
_SECTIONS = ('model', 'loss', 'data', 'train', 'optimizer', 'eval')
_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'grain',
  'numpy',
  'ml_collections',
)


def open_directory(path: str) -> pathlib.Path:
  """Makes the directory and returns it absolute.

  Raises:
    UserError: it cannot be made or written to, or is no path.
  """
  place = storage.path(path)
  try:
    storage.open_directory(place)
  except OSError as error:
    raise UserError(f'--workdir {place} is not writable: {error}') from None
  return place


def containing(path: str | pathlib.Path) -> pathlib.Path:
  """Returns the workdir of a path: itself, its checkpoints, or one of them."""
  place = storage.path(path)
  for above in (place, place.parent):
    if above.name == 'checkpoints':
      return above.parent
  return place


def record_of(path: str | pathlib.Path) -> pathlib.Path:
  """Returns where config.json and classes.json are for what is at a path.

  The workdir; of a file of weights the folder beside it: tools.publish.
  """
  place = storage.path(path)
  return place.with_suffix('') if place.is_file() else containing(path)


def check_owner(
  place: pathlib.Path,
  config: ConfigDict,
  added: Mapping[str, Any] | None = None,
  trains: bool = False,
) -> dict[str, tuple]:
  """Compares the config with that of the run that the directory holds.

  Args:
    place: the workdir.
    config: of this start.
    added: what a field stands for that the config there does not have, since
      it was written before there was one; by default 'nothing'.
    trains: whether the run is to go on, and is not only looked at.

  Returns:
    Fields that differ but do not make it another run: {path: (old, new)}.

  Raises:
    UserError: the checkpoints there belong to another run; names the fields.
  """
  found = read_config(place)
  if not found:
    return {}
  old, new = flatten(found), flatten(as_json(config))
  known = json.loads(json.dumps(dict(added or {})))
  unset = dict.fromkeys(_PARTS, 0)
  old = {**{k: v for k, v in known.items() if k in new}, **unset, **old}
  new = {**unset, **new}
  differing = {
    name: (old.get(name, 'nothing'), new.get(name, 'nothing'))
    for name in sorted(old.keys() | new.keys())
    if old.get(name, 'nothing') != new.get(name, 'nothing')
  }
  identity = _IDENTITY + _OF_TRAINING * trains
  if not (place / 'classes.json').exists():
    identity += ('data.name',)
  other = {
    k: v
    for k, v in differing.items()
    # What an old config.json does not have is of no run in particular.
    if (k in identity and k in old)
    or (k.startswith(_NETWORK) and not k.startswith(_OF_NO_MATTER))
  }
  if other and is_begun(place):
    fields = ', '.join(
      f'{k}: {a} there, {b} here' for k, (a, b) in other.items()
    )
    raise UserError(
      f'--workdir {place} belongs to another run ({fields}); choose another '
      'one, or take its parameters with --config.init_from'
    )
  return differing


def read_config(place: pathlib.Path) -> dict[str, Any]:
  """Returns the config in a directory as JSON has it; {} where there is none.

  Raises:
    UserError: the file is damaged.
  """
  file = place / 'config.json'
  if not file.exists():
    return {}
  try:
    found = json.loads(file.read_text())
    sections = {k: v for k, v in found.items() if k in _SECTIONS}
    if wrong := [k for k, v in sections.items() if not isinstance(v, dict)]:
      raise ValueError(f"'{wrong[0]}' is no section")
  except (OSError, ValueError, AttributeError) as error:
    raise UserError(f'{file} cannot be read: {error}') from None
  return found


def is_begun(place: pathlib.Path) -> bool:
  """Whether the directory holds checkpoints."""
  return any((place / 'checkpoints').glob('[0-9]*'))


def record_start(place: pathlib.Path, config: ConfigDict, step: int) -> None:
  """Writes config.json and appends to versions.jsonl."""
  storage.write(
    place / 'config.json', json.dumps(as_json(config), indent=2) + '\n'
  )
  line = {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'step': step,
    'command': sys.argv,
    **versions(),
  }
  storage.append(place / 'versions.jsonl', json.dumps(line) + '\n')


def record_classes(
  place: pathlib.Path,
  names: Sequence[str],
  image_shape: Sequence[int],
  train_examples: int,
) -> None:
  """Writes what a prediction, and who counts passes, must know of the data."""
  content = {
    'class_names': list(names),
    'image_shape': list(image_shape),
    'train_examples': train_examples,
  }
  storage.write(place / 'classes.json', json.dumps(content, indent=1) + '\n')


def read_classes(
  place: pathlib.Path,
) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
  """Returns names and shape of `record_classes`; None where it was not called.

  Raises:
    UserError: the file is damaged.
  """
  return _of_classes(
    place, lambda c: (tuple(c['class_names']), tuple(c['image_shape'])), None
  )


def _of_classes(place, choose, missing):
  file = place / 'classes.json'
  if not file.exists():
    return missing
  try:
    return choose(json.loads(file.read_text()))
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f'{file} cannot be read: {error}') from None


def train_examples(place: pathlib.Path) -> int:
  """Returns on how many examples the run was trained; 0: not recorded."""
  found = _of_classes(place, lambda c: c.get('train_examples'), 0)
  return found if isinstance(found, int) else 0


def versions() -> dict[str, Any]:
  """Returns the git commit of this code, library versions, and devices."""
  found = {'git': _git_commit(), 'python': platform.python_version()}
  for package in _PACKAGES:
    found[package] = importlib.metadata.version(package)
  devices = jax.devices()
  kind = devices[0].device_kind
  found['devices'] = f'{len(devices)} x {devices[0].platform} ({kind})'
  found['processes'] = jax.process_count()
  return found


def as_json(config: ConfigDict) -> dict[str, Any]:
  """Returns the config as JSON has it, with tuples as lists."""
  return json.loads(config.to_json_best_effort())


def _git_commit() -> str:
  def git(*words):
    return subprocess.run(
      ['git', '-C', os.path.dirname(os.path.abspath(__file__)), *words],
      capture_output=True,
      text=True,
      check=True,
    ).stdout.strip()

  try:
    changed = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', 'HEAD') + ('+changes' if changed else '')
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'


def flatten(tree: Any, prefix: str = '') -> dict[str, Any]:
  """Returns {'section.field': value} of what `as_json` returns."""
  if not isinstance(tree, dict):
    return {prefix[:-1]: tree}
  parts = [flatten(v, f'{prefix}{k}.') for k, v in tree.items()]
  return {k: v for part in parts for k, v in part.items()}
