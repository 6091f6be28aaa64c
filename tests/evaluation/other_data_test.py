"""Runs and weights on data of other names, and what is refused of them."""

import jax
import numpy as np
import pytest
from conftest import OPTIMISED, make_config, random_variables, run_main
from tiny_network import (
  PART,
  config_of,
  folder,
  kernel_of,
  register,
  results,
  save,
)

import train_lib
import zoo
from data import arrays, sources
from data.imagenet_words import imagenet_words
from errors import UserError
from evaluation import networks, test_sets
from runtime import workdir
from zoo import weights


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
  register(monkeypatch)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """Weights of 1000 outputs, and no record whose."""
  return save(tmp_path_factory.mktemp('weights') / 'tiny.npz', kernel_of(0))


def digits(labels, names):
  rng = np.random.default_rng(3)
  images = rng.integers(0, 256, (len(labels), 28, 28, 1), np.uint8)
  return arrays.ArraySource(images, np.array(labels), names)


def test_a_run_is_evaluated_on_another_data_set(whole, monkeypatch, capsys):
  """Another data.name, other order, a part of the classes; single."""
  labels = [0, 1, 2, 0, 1, 2, 2, 1, 0, 2, 1]
  source = digits(labels, ('7', '2', '0'))
  monkeypatch.setitem(sources.SOURCES, 'mnist', lambda split, dir: source)
  config = make_config(data__name='mnist', eval__other_classes='leave_out')
  result = train_lib.evaluate_only(config, str(whole))
  variables = networks.load_variables(
    config.model.name, str(whole), num_classes=10
  )
  images = np.pad(source.images.astype('f'), ((0, 0), (2, 2), (2, 2), (0, 0)))
  module = zoo.create(config.model.name, num_classes=10)
  x = (images - config.data.mean[0]) / config.data.std[0]
  logits = np.asarray(jax.jit(module.apply)(variables, x))[:, [7, 2, 0]]
  assert result['wrong'] == (logits.argmax(1) != labels).sum()
  assert result['count'] == 11
  assert '3 of 10 classes, by name; the scores of' in capsys.readouterr().out
  found = results(whole)
  (name,) = [n for n in found if 'mnist5k' not in n]
  assert name == 'lenet5.mnist.3_of_10_left_out.single.json'
  assert found[name]['trained_on'] == {'name': 'mnist5k', 'options': {}}
  first = {'name': 'mnist', 'options': {'first': 9}}
  assert test_sets._trained_on(config.data, first) == first


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    ({'data__name': 'fashion_mnist'}, r"'Coat' is a class .* 10 of .*whole"),
    ({'data__name': 'cifar10'}, r'3 channels, .*whole.* takes 1'),
    ({'data__name': 'mnist'}, 'images of 40x40, larger than the network'),
    ({'eval__other_classes': 'drop'}, "'drop' is unknown. Known: keep, leave"),
    ({'eval__label_sets': 'real.json'}, r"'real.json' cannot be read"),
    (
      {'eval__label_sets': 'r', 'eval__other_classes': 'leave_out'},
      'does not go with eval.label_sets',
    ),
  ],
)
def test_what_does_not_go_with_a_run_is_refused(
  whole, monkeypatch, fields, words
):
  colours = arrays.ArraySource(
    np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2), '0'
  )
  clothes = digits([0, 0], ('Coat',))
  large = arrays.ArraySource(
    np.zeros((2, 40, 40, 1), np.uint8), np.zeros(2), '0'
  )
  table = {'fashion_mnist': clothes, 'cifar10': colours, 'mnist': large}
  for name, source in table.items():
    monkeypatch.setitem(sources.SOURCES, name, lambda *_, s=source: s)
  with pytest.raises(UserError, match=words) as error:
    train_lib.evaluate_only(make_config(**fields), str(whole))
  assert '\n' not in str(error.value)


def test_sets_of_labels_are_imagenets_and_of_photographs(whole, file, tmp_path):
  (tmp_path / 'real.json').write_text('[[1]]')
  fields = {'eval__label_sets': str(tmp_path / 'real.json')}
  with pytest.raises(UserError, match=r'1000 classes; .* has 10 others'):
    train_lib.evaluate_only(make_config(**fields), str(whole))
  config = config_of(file, '', **fields)
  config.data.name = 'fake'
  with pytest.raises(UserError, match=r"data\.name 'fake' have none"):
    train_lib.evaluate_only(config, str(tmp_path / 'run'))


def test_one_class_alone_is_nothing_to_tell_from(file, tmp_path):
  folder(tmp_path / 'one', ['tench'])
  config = config_of(file, tmp_path / 'one', eval__other_classes='leave_out')
  with pytest.raises(UserError, match="leaves one class, 'n01440764'"):
    train_lib.evaluate_only(config, str(tmp_path / 'run'))


def test_another_data_name_needs_a_record_of_the_classes(tmp_path):
  config = make_config()
  (tmp_path / 'checkpoints' / '1').mkdir(parents=True)
  workdir.record_start(tmp_path, config, 1)
  other = make_config(data__name='mnist')
  with pytest.raises(UserError, match=r'data\.name: mnist5k there, mnist here'):
    workdir.check_owner(tmp_path, other)
  workdir.record_classes(tmp_path, ['0'], (28, 28, 1), 1)
  assert workdir.check_owner(tmp_path, other)
  with pytest.raises(UserError, match=r'data\.name: mnist5k there, mnist here'):
    workdir.check_owner(tmp_path, other, trains=True)


@pytest.mark.slow
def test_counts_are_the_same_on_one_and_eight_devices(tmp_path):
  folder(tmp_path / 'data', [*PART, imagenet_words()[3]][:5])
  network = zoo.create('alexnet_owt', width=1 / 32)
  weights.save(
    str(tmp_path / 'net.npz'), random_variables(network, (224, 224, 3))
  )
  found = []
  for devices in (1, 8):
    result = run_main(
      '--config=configs/alexnet.py:variant=alexnet_owt,data=folder',
      '--mode=eval', f'--workdir={tmp_path / str(devices)}',
      f'--config.data.dir={tmp_path / "data"}', '--config.model.width=0.03125',
      f'--config.init_from={tmp_path / "net.npz"}',
      '--config.eval.other_classes=leave_out', '--config.eval.scales=256',
      '--config.eval.protocol=center,ten_crop',
      env={
        **OPTIMISED,
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
      },
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found.append(
      {
        name: {k: content['result'][k] for k in ('count', 'wrong', 'test_set')}
        for name, content in results(tmp_path / str(devices)).items()
      }
    )
  assert len(found[0]) == 2
  assert found[0] == found[1]
  assert all(r['count'] == 15 for r in found[0].values())
