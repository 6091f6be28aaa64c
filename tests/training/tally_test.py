"""Training loss and error counted on the fly, as in LeNet-5's Figure 5."""

import jax
import numpy as np
from conftest import make_config
from jax.sharding import NamedSharding, PartitionSpec
from pod import record

import train_lib
from runtime import checkpoints
from runtime.mesh import all_devices
from training.tally import Tally


def config_of(**fields):
  """Returns a config with one evaluation, at the end."""
  end = {'eval__every': '12 steps', 'checkpoint__every': '12 steps'}
  return make_config(**end, **fields)


def means(workdir):
  names = ('step', 'train/mean_loss', 'train/mean_top1_error')
  return [
    tuple(line[n] for n in names)
    for line in record(workdir)
    if 'train/mean_loss' in line
  ]


def test_means_are_of_all_steps_since_the_last_line_also_after_a_stop(tmp_path):
  every_step = config_of(train__log_every=1)
  train_lib.train_and_evaluate(every_step, str(tmp_path / 'each'))
  loss, error = (
    np.array([v[k] for v in record(tmp_path / 'each') if k in v])
    for k in ('train/loss', 'train/top1_error')
  )
  train_lib.train_and_evaluate(
    config_of(train__log_every=5), str(tmp_path / 'whole')
  )
  expected = [
    (stop, loss[start:stop].mean(), error[start:stop].mean())
    for start, stop in ((0, 5), (5, 10), (10, 12))
  ]
  np.testing.assert_allclose(means(tmp_path / 'whole'), expected, rtol=1e-6)
  assert error.std() > 0

  for steps in (8, 12):
    config = config_of(train__log_every=5, train__steps=steps)
    train_lib.train_and_evaluate(config, str(tmp_path / 'parts'))
  stopped, whole = means(tmp_path / 'parts'), means(tmp_path / 'whole')
  assert stopped.pop(1)[0] == 8  # the last line of the shorter run
  assert stopped == whole


def test_what_was_not_counted_is_not_averaged():
  tally = Tally({})  # of a checkpoint from before there were sums
  for _ in range(2):
    tally.add({'loss': 1.0, 'top1_error': 0.5, 'learning_rate': 1.0})
  assert tally.take(10, 5) == {}
  for _ in range(5):
    tally.add({'loss': 1.0, 'top1_error': 0.5, 'learning_rate': 1.0})
  assert tally.take(15, 5) == {
    'train/mean_loss': 1.0,
    'train/mean_top1_error': 0.5,
  }


def test_sums_are_saved_as_they_were_while_the_run_counts_on(
  tmp_path, monkeypatch
):
  def sealed_late(content):
    """What the background writes is what the run has counted on."""
    late.append(content)
    return seal(content)

  late, seal = [], checkpoints._sealed
  monkeypatch.setattr(checkpoints, '_sealed', sealed_late)
  store = checkpoints.Checkpoints(tmp_path / 'checkpoints', 3, 0)
  everywhere = NamedSharding(all_devices(), PartitionSpec())
  state = {'a': jax.device_put(np.arange(3.0), everywhere)}
  tally = Tally({})
  for step in range(1, 4):
    tally.add({'loss': 1.0, 'top1_error': 0.5})
    store.save(step, state, None, tally.sums)
  tally.add({'loss': 1.0, 'top1_error': 0.5})
  store.wait()
  assert [content['sums']['steps'] for content in late] == [1.0, 2.0, 3.0]
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), state
  )
  assert store.restore_latest(target)[1] == []
  assert [store.sums(n)['steps'] for n in (1, 2, 3)] == [1.0, 2.0, 3.0]
  store.close()
