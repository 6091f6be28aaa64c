"""Parameters from elsewhere: checkpoints of ours, and published weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

import zoo
from errors import UserError
from evaluation import networks
from experiment import Experiment
from recipe import freezing
from runtime import checkpoints
from training.state import TrainState, abstract_state


def load_variables(
  experiment: Experiment,
  path: str,
  say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Returns the variables to evaluate, on all devices.

  Args:
    experiment: with the network that they are for.
    path: a checkpoint or workdir, or a file that `zoo.weights.load` reads.
      Where `train.average` is set, a checkpoint gives the average.
    say: as `zoo.weights.load` has it.

  Raises:
    UserError: nothing there, damaged, or it does not fit.
  """
  if networks.is_file(path):
    return _published(experiment, path, say)
  target = abstract_state(experiment)
  field = 'average' if target.average else 'params'
  state = checkpoints.load_parameters(
    path, {field: target.params, 'model_state': target.model_state}
  )
  return {'params': state[field], **state['model_state']}


def start_from(
  experiment: Experiment, state: TrainState
) -> tuple[TrainState, list[str]]:
  """Returns a fresh state with the parameters that `init_from` names.

  With `init_layers` those layers only, by name and shape (VGG, Section 3.1);
  with `init_head` 'new' all but the classifier; with the statistics of batch
  normalisation that belong to them. What is not taken is not compared.

  Returns:
    The state, and lines for a person: what was taken and what was not.

  Raises:
    UserError: nothing there, damaged, it does not fit, or no such layer.
  """
  notes: list[str] = []
  path = experiment.config.init_from
  layers = _Layers.of(experiment, state)
  if networks.is_file(path):
    loaded, there = _from_file(experiment, path, layers, notes.append)
  else:
    loaded, there = _from_checkpoint(experiment, path, layers)
  params = _filled(state.params, loaded.pop('params'))
  model_state = {
    kind: _filled(of, loaded.get(kind, {}))
    for kind, of in state.model_state.items()
  }
  # A copy: the step's argument is donated, no buffer may be there twice.
  average = jax.tree.map(jnp.copy, params) if state.average else ()
  state = state._replace(
    params=params, model_state=model_state, average=average
  )
  return state, [f'parameters from {path}{layers.describe(there)}', *notes]


class _Layers(NamedTuple):
  """What is taken of another network, by path of its modules."""

  left_out: frozenset[str]
  named: tuple[str, ...]  # init_layers
  head: tuple[str, ...]  # the classifier's
  classes: int | None  # of the classifier here; None: it has none of its own

  @classmethod
  def of(cls, experiment, state) -> '_Layers':
    config = experiment.config
    modules = freezing.modules_of(state.params)
    head = zoo.classifier(**config.model)
    taken = set(modules)
    if named := tuple(config.init_layers):
      taken = {
        module
        for name in named
        for module in freezing.matching('init_layers', name, modules, head)
      }
    if config.init_head == 'new':
      if named and taken & set(head):
        raise UserError(
          f'init_layers {named} has the classifier ({", ".join(head)}), which '
          'init_head=new leaves out: give one of the two'
        )
      taken -= set(head)
    size = state.params[head[-1]]['bias'].size
    classes = experiment.train_source.num_classes
    return cls(
      frozenset(modules) - taken,
      named,
      head,
      classes if size == classes else None,
    )

  @property
  def has_head(self) -> bool:
    return self.head[-1] not in self.left_out

  def check(self, path, there) -> None:
    """Refuses the classifier of other classes; `there` many, or unknown."""
    here = self.classes
    if self.has_head and None not in (here, there) and here != there:
      raise UserError(
        f"init_from '{path}' knows {there:,} classes, the data have {here:,}: "
        'with --config.init_head=new all but its classifier '
        f'({", ".join(self.head)}) is taken'
      )

  def describe(self, there) -> str:
    if not self.left_out:
      return ''
    if self.named:
      return f', of the layers {", ".join(self.named)} only'
    said = f', but the classifier {", ".join(self.head)}: new'
    if self.classes:
      said += f', {self.classes:,} classes'
      said += f' (the file has {there:,})' if there else ''
    return said


def _filled(fresh, found):
  """Returns a tree with the leaves of another one where that has them."""
  flat = traverse_util.flatten_dict(fresh)
  return traverse_util.unflatten_dict(
    {**flat, **traverse_util.flatten_dict(found)}
  )


def _from_checkpoint(experiment, path, layers):
  """Returns variables, and the number of classes of the network there."""
  record = networks.trained_classes(path)
  there = len(record[0]) if record else None
  layers.check(path, there)
  target, keep = abstract_state(experiment), freezing.Learning(layers.left_out)
  wanted = {
    'params': keep.split(target.params)[0],
    'model_state': {
      kind: keep.split(of)[0] for kind, of in target.model_state.items()
    },
  }
  state = checkpoints.load_parameters(
    path, wanted, partial=bool(layers.left_out)
  )
  return {'params': state['params'], **state['model_state']}, there


def _from_file(experiment, path, layers, say):
  """As `_from_checkpoint`, of published weights."""
  file = networks.open_file(experiment.config, path, say)
  there = file.num_classes(layers.head[-1])
  layers.check(path, there)
  classes = experiment.train_source.num_classes
  variables = networks.variables_of(
    file, experiment.config, classes, layers.left_out
  )
  return jax.device_put(variables, experiment.replicated), there


def _published(experiment, path, say):
  classes = experiment.train_source.num_classes
  variables = networks.read_file(experiment.config, path, classes, say)
  return jax.device_put(variables, experiment.replicated)
