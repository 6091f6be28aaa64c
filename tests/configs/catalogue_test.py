"""The config files as a person meets them: help, names of runs."""

import pytest

from configs import catalogue


def test_every_file_is_listed_with_a_line():
  files = catalogue.files()
  assert sorted(files) == [
    f'configs/{name}.py'
    for name in (
      'alexnet', 'finetune', 'googlenet', 'lenet5', 'resnet', 'resnet_cifar',
      'vgg', 'zfnet',
    )
  ]  # fmt: skip
  for path, title in files.items():
    assert title.endswith('.')
    assert f'  {path}' in catalogue.listing()


def test_a_file_says_what_it_takes():
  said = catalogue.describe('configs/vgg.py:variant=vgg_a')
  for line in (
    'VGG on ImageNet: Simonyan & Zisserman 2014, Sections 2.1 and 3.1.',
    '  variant=vgg_d           the network: docs/zoo.md',
    '                          or vgg_a, vgg_a_lrn, vgg_b, vgg_c, vgg_e',
    '                          or 384, jitter',
    '  smoke                   3 steps of 8 images, for a look',
  ):
    assert line in said.split('\n')
  assert 'configs/default.py' in said
  assert max(len(line) for line in said.split('\n')) <= 80
  with pytest.raises(OSError, match=r'nope\.py'):
    catalogue.describe('configs/nope.py')


@pytest.mark.parametrize(
  ('path', 'name'),
  [
    ('configs/googlenet.py', 'googlenet'),
    ('configs/googlenet.py:data=imagenet2012', 'googlenet'),
    ('configs/vgg.py:variant=vgg_a,scale=256', 'vgg_a'),
    ('configs/vgg.py:scale=384,variant=vgg_e', 'vgg_e_scale-384'),
    ('configs/lenet5.py:data=mnist5k', 'lenet5_mnist5k'),
    ('configs/lenet5.py:optimizer=sdlm', 'lenet5_optimizer-sdlm'),
    ('configs/resnet.py:data=fake,smoke', 'resnet50_fake_smoke'),
    ('configs/lenet5.py:smoke', 'lenet5_mnist5k_smoke'),
    (
      'configs/finetune.py:network=vgg_d,data=folder,learn=head',
      'finetune_vgg_d_learn-head',
    ),
    (
      'configs/finetune.py:network=lenet5,data=mnist5k',
      'finetune_lenet5_mnist5k',
    ),
  ],
)
def test_a_run_is_named_after_what_is_not_the_default(path, name):
  file, _, text = path.partition(':')
  config = catalogue.load(file).get_config(text)
  assert catalogue.run_name(path, config) == name


def test_the_config_of_a_run_has_its_network_and_its_data_as_name():
  config = catalogue.load('configs/lenet5.py').get_config('data=mnist5k')
  path = 'published/lenet5_mnist/config.json'
  assert catalogue.run_name(path, config) == 'lenet5_mnist5k'


def test_a_config_without_arguments_has_its_own_name(tmp_path):
  file = tmp_path / 'mine.py'
  file.write_text(
    'from configs import lenet5\n'
    'def get_config():\n'
    "  return lenet5.get_config('data=mnist5k')\n"
  )
  config = catalogue.load(str(file)).get_config()
  assert catalogue.run_name(str(file), config) == 'lenet5'
