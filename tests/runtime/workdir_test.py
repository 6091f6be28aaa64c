"""Whose a workdir is: every field of a config, one at a time."""

import json

import pytest

from configs import lenet5, resnet_cifar
from errors import UserError
from runtime import workdir

# Checkpoints have another form or meaning.
ANOTHER_RUN = {'optimizer.name', 'data.name', 'data.image_size'}
# Not to one who only looks: `networks.as_trained` takes what is recorded.
WHERE_IT_GOES_ON = {
  'train.batch_size', 'optimizer.momentum_form', 'data.mean', 'data.std',
  'data.order', 'optimizer.frozen',
}  # fmt: skip
FIRST_VALUES = {
  'model.init', 'model.init_exponent', 'model.init_range',
  'model.init_coefficient', 'model.init_bias',
}  # fmt: skip
SAME_TO_ROUNDING = {'model.fused_norm'}


def leaves(tree, *above):
  """Yields the path of each field, and the section that it is in."""
  for name, value in tree.items():
    if isinstance(value, dict) and value:
      yield from leaves(value, *above, name)
    else:
      yield '.'.join((*above, name)), tree, name


def refused(place, config, trains):
  try:
    changed = workdir.check_owner(place, config, trains=trains)
  except UserError as error:
    return str(error)
  assert len(changed) == 1  # it is told at least
  return ''


@pytest.mark.parametrize('trains', [True, False])
@pytest.mark.parametrize('paper', [lenet5, resnet_cifar])
def test_a_field_that_makes_another_run_is_compared(tmp_path, paper, trains):
  config = paper.get_config()
  (tmp_path / 'checkpoints' / '00000004').mkdir(parents=True)
  recorded = workdir.as_json(config)
  fields = list(leaves(recorded))
  assert len(fields) > 50
  names = {field for field, *_ in fields}
  assert names >= (ANOTHER_RUN | WHERE_IT_GOES_ON)
  found = set()
  for field, section, name in fields:
    value, section[name] = section[name], 'another'
    (tmp_path / 'config.json').write_text(json.dumps(recorded))
    if said := refused(tmp_path, config, trains):
      assert f'belongs to another run ({field}: another there, ' in said
      found.add(field)
    section[name] = value
  of_network = {n for n in names if n.startswith('model.')}
  of_network -= FIRST_VALUES | SAME_TO_ROUNDING
  assert {'model.name', 'model.dtype'} <= of_network
  expected = ANOTHER_RUN | of_network
  assert found == (expected | WHERE_IT_GOES_ON if trains else expected)


def test_without_a_checkpoint_nobody_owns_it(tmp_path):
  config = lenet5.get_config()
  recorded = workdir.as_json(config)
  recorded['model']['name'] = 'another'
  (tmp_path / 'config.json').write_text(json.dumps(recorded))
  (tmp_path / 'checkpoints').mkdir()
  assert workdir.check_owner(tmp_path, config, trains=True) == {
    'model.name': ('another', 'lenet5')
  }


def test_a_field_that_was_not_there_yet_makes_no_other_run(tmp_path):
  config = lenet5.get_config()
  (tmp_path / 'checkpoints' / '00000004').mkdir(parents=True)
  recorded = workdir.as_json(config)
  del recorded['optimizer']['momentum_form'], recorded['data']['order']
  (tmp_path / 'config.json').write_text(json.dumps(recorded))
  changed = workdir.check_owner(tmp_path, config, trains=True)
  assert changed.keys() == {'optimizer.momentum_form', 'data.order'}


@pytest.mark.parametrize(
  ('there', 'here', 'said'),
  [
    ({}, {'per_class': 5}, 'per_class: 0 there, 5 here'),
    ({'per_class': 5}, {}, 'per_class: 5 there, 0 here'),
    ({'per_class': 5}, {'per_class': 5, 'draw': 1}, 'draw: 0 there, 1 here'),
    ({}, {'holdout': 5}, 'holdout: 0 there, 5 here'),
    ({'held_out': 5}, {}, 'held_out: 5 there, 0 here'),
    ({'builder': 'a'}, {'builder': 'b'}, 'builder: a there, b here'),
    ({'per_class': 0, 'draw': 0}, {}, ''),
    ({'first': 5}, {'first': 6}, ''),
  ],
)
def test_other_examples_are_another_run(tmp_path, there, here, said):
  config = lenet5.get_config('data=mnist')
  (tmp_path / 'checkpoints' / '00000004').mkdir(parents=True)
  recorded = workdir.as_json(config)
  recorded['data']['options'] = there
  (tmp_path / 'config.json').write_text(json.dumps(recorded))
  config.data.options = here
  changed = workdir.check_owner(tmp_path, config)  # who looks at it may
  assert ('data.options.per_class' in changed) == ('per_class' in said)
  if not said:
    workdir.check_owner(tmp_path, config, trains=True)
    return
  with pytest.raises(UserError, match=f'another run .*{said}'):
    workdir.check_owner(tmp_path, config, trains=True)
