"""What is random in training follows from seed, step and part; CONTRIBUTING."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_config

import experiment as experiment_lib
import train_lib
from data import sources
from training import loop
from training.state import TrainState, create_state
from training.train_step import make_train_step


def halves(key):
  """Returns a key as four numbers that float32 holds exactly."""
  words = jax.random.key_data(key)
  return jnp.concatenate([words >> 16, words & 0xFFFF]).astype(jnp.float32)


def told(key, images):
  """Augments by writing the key into the first row of each image."""
  return jnp.zeros(images.shape).at[:, 0, :4, 0].set(halves(key))


class Recorder:
  """A network whose state has the keys that it was given, in order."""

  @staticmethod
  def apply(variables, images, *, train, rngs, mutable):
    assert train
    assert 'keys' in mutable
    seen = variables['keys']
    keys = jnp.stack([images[0, 0, :4, 0], halves(rngs['dropout'])])
    keys = seen['all'].at[seen['number']].set(keys)
    logits = jnp.zeros((len(images), 10)) + variables['params']['bias']
    return logits, {'keys': {'all': keys, 'number': seen['number'] + 1}}


def keys_of(seed, parts, first=0, steps=2, together=1):
  """Returns the keys [(augmentation, dropout)] of each part of each step."""
  config = make_config(
    seed=seed,
    train__batch_size=4,
    train__microbatch=parts,
    train__steps_per_call=together,
  )
  experiment = dataclasses.replace(
    experiment_lib.create_experiment(config),
    module=Recorder(),
    augment=told,
    prepare=lambda images: images,
  )
  params = {'bias': jnp.zeros(10)}
  keys = {'all': jnp.zeros((steps * parts, 2, 4)), 'number': jnp.int32(0)}
  state = TrainState(
    jnp.int32(first), params, {'keys': keys}, experiment.optimizer.init(params)
  )
  state = jax.device_put(state, experiment.replicated)
  step = make_train_step(experiment)
  batch = {
    'image': np.zeros((4, 28, 28, 1), np.uint8), 'label': np.zeros(4, np.int32)
  }  # fmt: skip
  if together > 1:
    batch = jax.tree.map(lambda x: np.stack([x] * together), batch)
  for _ in range(steps // together):
    state, _ = step(state, batch)
  found = np.asarray(state.model_state['keys']['all'])
  return [(tuple(a), tuple(d)) for a, d in found.tolist()]


def test_each_seed_step_part_and_use_has_a_key_of_its_own():
  runs = [keys_of(seed, 2) for seed in (0, 1)]
  augment = {a for keys in runs for a, _ in keys}
  dropout = {d for keys in runs for _, d in keys}
  assert len(augment) == 2 * 2  # once for all parts of a step
  assert len(dropout) == 2 * 2 * 2
  assert not augment & dropout


def test_keys_follow_from_the_step_wherever_a_run_starts():
  whole = keys_of(0, 1, steps=4)
  assert len({key for keys in whole for key in keys}) == 4 * 2
  assert keys_of(0, 1, first=2, together=2) == whole[2:]


class Linear(nn.Module):
  """One layer."""

  @nn.compact
  def __call__(self, images, train=False):
    return nn.Dense(10)(images.reshape(len(images), -1))


def test_another_seed_starts_elsewhere():
  def start(seed):
    experiment = experiment_lib.create_experiment(make_config(seed=seed))
    state = create_state(dataclasses.replace(experiment, module=Linear()))
    return np.asarray(state.params['Dense_0']['kernel'])

  assert (start(0) != start(1)).all()
  np.testing.assert_array_equal(start(1), start(1))


class StopError(Exception):
  """Enough has been seen."""


def test_a_run_reads_the_order_of_its_seed(tmp_path, monkeypatch):
  """The first epoch of seed 5, from the start and from where it stopped."""
  labels, enough = [], [1, 3]

  def step(state, batch):
    if len(labels) == enough[0]:
      raise StopError
    labels.append(batch['label'])
    metrics = dict.fromkeys(('loss', 'top1_error', 'learning_rate'), 0.5)
    return state._replace(step=state.step + 1), metrics

  monkeypatch.setattr(loop, 'make_train_step', lambda experiment: step)
  config = make_config(seed=5, checkpoint__every='1 step')
  while enough:
    with pytest.raises(StopError):
      train_lib.train_and_evaluate(config, str(tmp_path))
    enough.pop(0)
  order = np.random.default_rng([5, 0]).permutation(4000)[: 3 * 16]
  expected = sources.create('mnist5k', 'train').labels[order]
  np.testing.assert_array_equal(np.concatenate(labels), expected)
