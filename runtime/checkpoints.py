"""Checkpoints that are whole, verified and never lost; all of Orbax is here.

A step's directory holds the state and a manifest: shape, type and SHA-256 of
every array, and of itself. The manifest is part of the same atomic save. Orbax
reads an array file with flipped bytes without an error, so a restore compares
the digests.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from errors import UserError, one_line
from runtime import distributed, storage

METRIC = 'top1_error'  # the lower, the better
_MARKER = 'commit_success.txt'  # Orbax's, of a whole step in a bucket


class DamagedError(Exception):
  """A checkpoint that cannot be read, or whose digests do not match."""


def manifest(state: Any) -> dict[str, dict[str, Any]]:
  """Returns shape, dtype and SHA-256 of each leaf by its path in the tree.

  Leaves are replicated global arrays: every process sees all of each.
  """

  def entry(leaf):
    content = np.ascontiguousarray(leaf.addressable_data(0)).data
    return {
      'shape': list(leaf.shape),
      'dtype': str(leaf.dtype),
      'sha256': hashlib.sha256(content).hexdigest(),
    }

  leaves = jax.tree_util.tree_leaves_with_path(state)
  # hashlib lets other threads run; the train loop waits for this.
  with concurrent.futures.ThreadPoolExecutor() as pool:
    entries = pool.map(entry, [leaf for _, leaf in leaves])
    return {
      jax.tree_util.keystr(path): found
      for (path, _), found in zip(leaves, entries)
    }


@dataclasses.dataclass
class Checkpoints:
  """The checkpoints of one run: DIRECTORY/00000123/ for each step kept.

  Args:
    directory: absolute; made if missing.
    keep: how many of the newest stay.
    keep_best: how many with the lowest `METRIC` stay beside them.
  """

  directory: pathlib.Path
  keep: int
  keep_best: int

  def __post_init__(self):
    # Composite items everywhere: without them one empty step directory breaks
    # the restore of all steps (Orbax 0.12). Orbax's own metrics are not used:
    # they reach the disk only with best_fn set, and one damaged metrics file
    # keeps the manager from opening.
    options = ocp.CheckpointManagerOptions(
      step_format_fixed_length=8,
      cleanup_tmp_directories=True,
      preservation_policy=self,
    )
    self._errors: dict[int, float] = {}
    self._replaced = self.directory.parent / 'replaced_checkpoint'
    self._settle_replaced()
    self._manager = ocp.CheckpointManager(self.directory, options=options)

  def steps(self) -> list[int]:
    """Returns the steps on disk, newest first."""
    return sorted(self._manager.all_steps(read=True), reverse=True)

  def path(self, step: int) -> pathlib.Path:
    """Returns the directory of a step."""
    return self.directory / f'{step:08d}'

  def save(
    self, step: int, state: Any, metrics: dict | None, sums: dict | None = None
  ) -> None:
    """Starts writing in the background; finishes the save before it.

    A step that is on disk already is replaced, and waited for.

    Args:
      step: not older than the newest step on disk.
      state: tree of replicated arrays; may be donated afterwards.
      metrics: of an evaluation at this step, with `METRIC`; or None.
      sums: what `sums` returns of this step: numbers by name.

    Raises:
      UserError: this save or the one before it could not be written; names
        the newest checkpoint that is whole.
    """
    # A copy: it is written in the background, while the run counts on.
    sums = dict(sums or {})
    items = ocp.args.Composite(
      state=ocp.args.StandardSave(state),
      manifest=ocp.args.JsonSave(
        _sealed({'arrays': manifest(state), 'metrics': metrics, 'sums': sums})
      ),
    )
    if metrics is not None:
      self._errors[step] = metrics[METRIC]  # its manifest is not on disk yet
    with self._explained(step):
      self._manager.wait_until_finished()
      if replaces := step in self._manager.all_steps():
        self._move(step, self._replaced / f'{step:08d}')
      if not self._manager.save(step, args=items):
        raise RuntimeError('Orbax declined to save this step')
      if replaces:
        self._manager.wait_until_finished()
        self._settle_replaced()

  def wait(self) -> None:
    """Blocks until the last save is on disk. Raises UserError as `save`."""
    with self._explained(None):
      self._manager.wait_until_finished()

  def should_preserve(self, checkpoints, *, context=None) -> list[bool]:
    """Tells Orbax which of its steps, given oldest first, stay on disk."""
    del context
    steps = [c.step for c in checkpoints]
    errors = {s: e for s in steps if (e := self._error(s)) is not None}
    best = sorted(errors, key=lambda s: (errors[s], s))[: self.keep_best]
    return [s in best or s in steps[-self.keep :] for s in steps]

  def evaluated(self, step: int) -> bool:
    """Whether a step was saved with its evaluation."""
    return self._saved_error(step) is not None

  def sums(self, step: int) -> dict[str, float]:
    """Returns what was saved with a step as its sums; {} where nothing was."""
    return self._saved(step, 'sums') or {}

  def _saved_error(self, step):
    return (self._saved(step, 'metrics') or {}).get(METRIC)

  def _saved(self, step, field):
    file = self.path(step) / 'manifest' / 'metadata'
    try:
      return json.loads(file.read_text())[field]
    except (OSError, ValueError, LookupError):
      return None  # saved without it, or damaged

  def _error(self, step):
    if step not in self._errors and (e := self._saved_error(step)) is not None:
      self._errors[step] = e
    return self._errors.get(step)

  def close(self) -> None:
    """Ends the manager's threads, whatever became of its last save."""
    with contextlib.suppress(Exception):  # reported by wait()
      self._manager.close()

  @contextlib.contextmanager
  def _explained(self, step):
    """Turns what a failing save raises into a UserError, except a lost peer."""
    try:
      yield
    except Exception as error:
      if distributed.is_lost_peer(error):
        raise
      # A failed save leaves a temporary directory, which is never a step.
      steps = self.steps()
      good = self.path(steps[0]) if steps else 'none yet'
      # TensorStore names the cause at the end of a long line.
      full = 'No space left on device' in str(error)
      reason = 'no space left on device' if full else one_line(error)
      when = '' if step is None else f' at step {step}'
      raise UserError(
        f'checkpoint{when} could not be written to {self.directory}'
        f'{storage.room(self.directory)}: {reason}. Last good checkpoint: '
        f'{good}; the same command continues from it'
      ) from error

  def restore_latest(self, target: Any) -> tuple[Any, list[str]] | None:
    """Returns the newest state that is whole, placed as `target` says.

    Steps newer than that are damaged: they are moved to the directory
    'damaged_checkpoints' beside this one, once an older one has been read.

    Args:
      target: tree of jax.ShapeDtypeStruct with shardings.

    Returns:
      (state, one line for each step set aside); None where no step exists.

    Raises:
      UserError: a checkpoint of another architecture; or none of those on
        disk can be read. Nothing is moved then.
    """
    bad: dict[int, str] = {}
    for step in self.steps():
      try:
        state = self._restore(step, target)
      except DamagedError as error:
        bad[step] = str(error)
        continue
      return state, [self._set_aside(s, reason) for s, reason in bad.items()]
    if not bad:
      return None
    reasons = '; '.join(f'{self.path(s)}: {why}' for s, why in bad.items())
    raise UserError(
      f'no checkpoint in {self.directory} can be read ({reasons}). Nothing was '
      'changed; to start anew, choose another --workdir'
    )

  def _restore(self, step, target):
    args = ocp.args
    try:
      saved = _unsealed(
        self._manager.restore(
          step, args=args.Composite(manifest=args.JsonRestore())
        ).manifest
      )['arrays']
      _check_fit(saved, target, self.path(step))
      state = self._manager.restore(
        step, args=args.Composite(state=args.StandardRestore(target))
      ).state
    except UserError:
      raise
    except Exception as error:
      if distributed.is_lost_peer(error):
        raise
      raise DamagedError(one_line(error)) from error
    _check_digests(saved, state)
    return state

  def _set_aside(self, step, reason):
    place = self.directory.parent / 'damaged_checkpoints' / f'{step:08d}'
    while place.exists():
      place = place.with_name(place.name + '_')
    self._move(step, place)
    return (
      f'damaged checkpoint {self.path(step)} set aside as {place}: {reason}'
    )

  def _move(self, step, place):
    if jax.process_index() == 0:
      storage.move_directory(self.path(step), place, _MARKER)
    _meet(f'moved {step}')
    self._manager.reload()

  def _settle_replaced(self):
    """Drops a checkpoint whose successor is whole; else puts it back."""
    if jax.process_index() == 0 and self._replaced.exists():
      for old in self._replaced.iterdir():
        if not storage.is_whole(self.directory / old.name, _MARKER):
          storage.move_directory(old, self.directory / old.name, _MARKER)
      storage.remove_directory(self._replaced, _MARKER)
    _meet('replaced')


def _meet(name):
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def _sealed(content):
  return {**content, 'sha256': _digest(content)}


def _unsealed(sealed):
  content = {k: v for k, v in sealed.items() if k != 'sha256'}
  if sealed.get('sha256') != _digest(content):
    raise DamagedError('digest of the manifest does not match')
  return content


def _digest(content):
  text = json.dumps(content, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _check_fit(saved, target, where):
  """Raises UserError naming the first array that differs in name or shape."""
  wanted = {
    jax.tree_util.keystr(path): list(leaf.shape)
    for path, leaf in jax.tree_util.tree_leaves_with_path(target)
  }
  for name in sorted(wanted.keys() | saved.keys()):
    here = wanted.get(name, 'nothing')
    there = saved[name]['shape'] if name in saved else 'nothing'
    if here != there:
      raise UserError(
        f'checkpoint {where} does not fit: {name} is {there} there, {here} in '
        'this config'
      )


def _check_digests(saved, state):
  for name, entry in manifest(state).items():
    if entry != saved[name]:
      raise DamagedError(f'digest of {name} does not match')


def load_parameters(path: str, target: Any, partial: bool = False) -> Any:
  """Reads fields of the state, verified, from another run's checkpoint.

  Args:
    path: a step's directory, a checkpoints directory, or a workdir.
    target: {'params': ..., 'model_state': ...} of jax.ShapeDtypeStruct.
    partial: what is there beyond the target is no error.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  place = _step_directory(path)
  reader = ocp.Checkpointer(ocp.JsonCheckpointHandler())
  try:
    saved = _unsealed(reader.restore(place / 'manifest'))['arrays']
    saved = {_as_dict_key(k): v for k, v in saved.items()}
    fields = tuple(f"['{field}']" for field in target)
    saved = {k: v for k, v in saved.items() if k.startswith(fields)}
    if partial:
      wanted = jax.tree_util.tree_leaves_with_path(target)
      names = {jax.tree_util.keystr(k) for k, _ in wanted}
      saved = {k: v for k, v in saved.items() if k in names}
    _check_fit(saved, target, place)
    state = ocp.Checkpointer(ocp.PyTreeCheckpointHandler()).restore(
      place / 'state',
      args=ocp.args.PyTreeRestore(
        target,
        partial_restore=True,
        restore_args=ocp.checkpoint_utils.construct_restore_args(target),
      ),
    )
    _check_digests(saved, state)
  except UserError:
    raise
  except Exception as error:
    if distributed.is_lost_peer(error):
      raise
    raise UserError(
      f"init_from '{path}': {place} is damaged: {one_line(error)}"
    ) from error
  return state


def _as_dict_key(name):
  """'.params[...]' of a TrainState -> "['params'][...]" of a dict."""
  field, bracket, rest = name[1:].partition('[')
  return f"['{field}']{bracket}{rest}"


def saved(path: str) -> list[pathlib.Path]:
  """Returns the directories of the whole checkpoints, oldest first.

  Named by their steps; reads and changes nothing.

  Args:
    path: a workdir, or its checkpoints directory.
  """
  place = storage.path(path)
  for base in (place / 'checkpoints', place):
    found = (p for p in base.glob('[0-9]' * 8) if p.is_dir())
    steps = sorted(p for p in found if storage.is_whole(p, _MARKER))
    if steps:
      return steps
  return []


def _step_directory(path) -> pathlib.Path:
  place = storage.path(path)
  if steps := saved(path):
    return steps[-1]
  if (place / 'manifest').is_dir() and storage.is_whole(place, _MARKER):
    return place
  raise UserError(f"init_from '{path}' holds no checkpoint")
