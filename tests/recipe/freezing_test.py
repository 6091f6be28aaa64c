"""Which layers a name means, and what of a tree learns."""

import jax
import numpy as np
import pytest

from errors import UserError
from recipe import freezing

# As ResNet and VGG would have them together.
MODULES = ['conv1', 'conv1/bn', 'conv2_1/a', 'conv2_1/a/bn', 'conv2_1/b']
MODULES += ['conv2_10/a', 'conv10', 'fc6', 'fc']
HEAD = ['fc']


def meant(name):
  return freezing.matching('optimizer.frozen', name, MODULES, HEAD)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('conv1', ['conv1', 'conv1/bn']),  # and not conv10
    ('conv2_1', ['conv2_1/a', 'conv2_1/a/bn', 'conv2_1/b']),
    ('conv2_1/a', ['conv2_1/a', 'conv2_1/a/bn']),
    ('conv2', ['conv2_1/a', 'conv2_1/a/bn', 'conv2_1/b', 'conv2_10/a']),
    ('fc', ['fc']),  # the layer, before the start of others
    ('f', ['fc6', 'fc']),
    ('head', ['fc']),
    ('body', MODULES[:-1]),
  ],
)
def test_a_name_means_a_layer_else_all_that_start_so(name, expected):
  assert meant(name) == expected


@pytest.mark.parametrize(
  ('name', 'hint'),
  [
    ('conv3', r"no layer 'conv3'\. Did you mean conv1 or conv10"),
    ('conv2_2', 'Did you mean conv2_1'),
    ('norm', 'Known: conv1, conv2_1, conv2_10, conv10, fc6, fc'),
  ],
)
def test_a_name_of_no_layer_is_refused_with_the_close_ones(name, hint):
  with pytest.raises(UserError, match=f'^optimizer.frozen: .*{hint}'):
    meant(name)


def test_names_may_come_in_one_text():
  one = freezing.create(('conv1,fc6', ' conv10'), MODULES, HEAD)
  assert one.frozen == {'conv1', 'conv1/bn', 'fc6', 'conv10'}


def test_nothing_left_to_learn_is_refused():
  with pytest.raises(UserError, match=r"'body', 'fc'.*nothing is left"):
    freezing.create(('body', 'fc'), MODULES, HEAD)


def test_what_learns_and_what_does_not_make_the_whole():
  tree = {
    'conv1': {'kernel': 1, 'bn': {'scale': 2}},
    'conv2': {'a': {'kernel': 3}, 'b': {'kernel': 4}},
    'fc': {'kernel': 5, 'bias': 6},
  }
  learning = freezing.create(
    ('conv1', 'conv2/b'), freezing.modules_of(tree), ['fc']
  )
  moving, fixed = learning.split(tree)
  assert moving == {'conv2': {'a': {'kernel': 3}}, 'fc': tree['fc']}
  assert fixed == {'conv1': tree['conv1'], 'conv2': {'b': {'kernel': 4}}}
  assert learning.join(moving, fixed) == tree
  assert jax.tree.structure(learning.marks) == jax.tree.structure(
    {'frozen': {'conv1': {'bn': {'statistics': 0}}}}
  )


def test_of_several_rates_the_longest_name_counts():
  rates = {'conv1': 0.0, 'body': 0.5, 'conv': 2.0, 'fc': 10}
  found = freezing.factors(rates, MODULES, HEAD)
  assert found == {
    'conv1': 0.0, 'conv1/bn': 0.0, 'conv2_1/a': 2.0, 'conv2_1/a/bn': 2.0,
    'conv2_1/b': 2.0, 'conv2_10/a': 2.0, 'conv10': 2.0, 'fc6': 0.5, 'fc': 10.0,
  }  # fmt: skip


def test_rates_of_what_does_not_learn_are_refused():
  with pytest.raises(
    UserError, match=r"optimizer\.rates: 'fc6' does not learn"
  ):
    freezing.factors({'fc6': 2.0}, MODULES, HEAD, frozen={'fc6', 'fc'})
  with pytest.raises(UserError, match=r"optimizer.rates: .*no layer 'fd6'"):
    freezing.factors({'fd6': 2.0}, MODULES, HEAD)


def test_updates_are_scaled_by_module():
  scale = freezing.scale_by_module({'a/b': 10.0})
  updates = {'a': {'b': {'w': np.ones(2)}, 'w': np.ones(1)}}
  found, _ = scale.update(updates, scale.init(updates))
  np.testing.assert_array_equal(found['a']['b']['w'], [10, 10])
  np.testing.assert_array_equal(found['a']['w'], [1])
