"""Every network against the fact sheets of its paper.

tests/zoo/sheets/ and TOTALS were typed from the sheets, which count by other
code than ours, and check against the authors' own files where there are any.
"""

import collections
import functools
import math
import os
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest
from conftest import ROOT, cases

import zoo
from tools import overview, summarize
from zoo import layers

DEEP = re.compile('resnet(50|101|152|110|1202)|plain(44|56)|googlenet')
SHEETS = pathlib.Path(__file__).parent / 'sheets'
SHORT = ('lenet5', 'alexnet', 'alexnet_merged', 'zfnet', 'zfnet_wide', 'vgg_a',
         'vgg_b', 'vgg_c', 'vgg_d', 'vgg_e', 'resnet20_cifar')  # fmt: skip

# name, options: parameters, multiply-accumulates, activation floats
TOTALS = {
  ('lenet5',): (60_000, 328_096, 9_118),
  ('lenet5_modern',): (61_706, 416_520, 9_118),
  ('alexnet',): (60_965_224, 724_406_816, 1_409_288),
  ('bvlc_alexnet',): (60_965_224, 724_406_816, 1_413_347),
  ('caffenet',): (60_965_224, 724_406_816, None),
  ('alexnet_source',): (60_965_224, 724_406_816, None),
  ('alexnet_merged',): (62_378_344, 1_135_256_096, 1_049_571),
  ('alexnet_owt',): (61_100_840, 714_188_480, 733_032),
  ('zfnet',): (62_357_608, 1_168_032_896, 2_343_976),
  ('zfnet_wide',): (107_627_624, 2_476_704_896, 2_526_248),
  # From the published graph (onnx/backend/test/data/light).
  ('zfnet512',): (87_250_536, None, None),
  ('vgg_a',): (132_863_336, 7_609_090_048, 9_116_136),
  ('vgg_a_lrn',): (132_863_336, 7_609_090_048, 12_327_400),
  ('vgg_b',): (133_047_848, 11_308_466_176, 13_933_032),
  ('vgg_c',): (133_638_952, 11_770_888_192, 15_237_608),
  ('vgg_d',): (138_357_544, 15_470_264_320, 15_237_608),
  ('vgg_e',): (143_667_240, 19_632_062_464, 16_542_184),
  # The first fully connected layer is 49 times smaller.
  ('vgg_d', 'head', 'gap'): (138_357_544 - 48 * 512 * 4096, None, None),
  ('googlenet',): (13_378_280, 1_591_044_096, 5_623_784),
  ('bvlc_googlenet',): (13_378_280, 1_591_044_096, 5_623_784),
  ('plain18',): (11_515_688, 1_794_805_760, 2_660_840),
  ('resnet18',): (11_515_688, 1_794_805_760, 2_660_840),
  ('resnet18', 'shortcut', 'B'): (11_689_512, 1_814_073_344, 2_836_456),
  ('resnet18_v1_5',): (11_689_512, 1_814_073_344, 2_836_456),
  ('resnet18', 'shortcut', 'C'): (12_043_816, 1_878_298_624, 3_413_480),
  ('plain34',): (21_623_848, 3_644_493_824, 3_915_240),
  ('resnet34',): (21_623_848, 3_644_493_824, 3_915_240),
  ('resnet34', 'shortcut', 'B'): (21_797_672, 3_663_761_408, 4_090_856),
  ('resnet34_v1_5',): (21_797_672, 3_663_761_408, 4_090_856),
  ('resnet34', 'shortcut', 'C'): (22_716_840, 3_830_747_136, 5_295_080),
  ('resnet50', 'shortcut', 'A'): (22_780_456, 3_498_311_680, 9_436_136),
  ('resnet50',): (25_557_032, 3_857_973_248, 10_941_416),
  ('resnet50', 'shortcut', 'C'): (40_128_552, 6_324_224_000, 14_955_496),
  ('resnet50_v1_5',): (25_557_032, 4_089_184_256, 11_468_264),
  ('resnet101', 'shortcut', 'A'): (41_772_584, 7_210_532_864, 14_554_088),
  ('resnet101',): (44_549_160, 7_570_194_432, 16_059_368),
  ('resnet101', 'shortcut', 'C'): (76_981_288, 13_530_300_416, 23_485_416),
  ('resnet101_v1_5',): (44_549_160, 7_801_405_440, 16_586_216),
  ('resnet152', 'shortcut', 'A'): (57_416_232, 10_922_754_048, 20_876_264),
  ('resnet152',): (60_192_808, 11_282_415_616, 22_381_544),
  ('resnet152', 'shortcut', 'C'): (107_335_720, 20_736_376_832, 34_022_376),
  ('resnet152_v1_5',): (60_192_808, 11_513_626_624, 22_908_392),
  ('resnet20_cifar',): (269_722, 40_551_040, 191_562),
  ('resnet32_cifar',): (464_154, 68_862_592, 306_250),
  ('resnet44_cifar',): (658_586, 97_174_144, 420_938),
  ('resnet56_cifar',): (853_018, 125_485_696, 535_626),
  ('resnet110_cifar',): (1_727_962, 252_887_680, 1_051_722),
  ('resnet1202_cifar',): (19_421_274, 2_829_238_912, 11_488_330),
  ('resnet20_cifar', 'shortcut', 'B'): (272_474, None, None),
  ('resnet110_cifar', 'shortcut', 'B'): (1_730_714, None, None),
  ('plain20_cifar',): (269_722, 40_551_040, 191_562),
  ('plain32_cifar',): (464_154, 68_862_592, 306_250),
  ('plain44_cifar',): (658_586, 97_174_144, 420_938),
  ('plain56_cifar',): (853_018, 125_485_696, 535_626),
}


# Without what takes seconds to trace; others differ from these little.
QUICK = [key for key in TOTALS if len(key) == 1 and not DEEP.match(key[0])]


# The options of each network, as its paper has it: lenet5 Section II-B and
# Appendix A (EBLearn's start is its config's), AlexNet 4.2, ZFNet 3.1, VGG 3.1,
# GoogLeNet Table 1 and Section 5 (Caffe's norms: its prototxt), ResNet 4.1, 4.2
# and Figure 3; torchvision's for v1_5; groups: a GPU's share of the batch.
_CHAIN = {
  'width': 1.0, 'dropout': 0.5, 'until': '', 'head': 'fc',
  'initializer': 'paper',
}  # fmt: skip
_GOOGLENET = {
  'width': 1.0, 'dropout': 0.4, 'aux_dropout': 0.7, 'aux_heads': True,
  'lrn': 'paper',
}  # fmt: skip
_RESNET = {
  'width': 1.0, 'shortcut': 'A', 'padded_pool': False, 'bn_group': 32,
  'fused_norm': True, 'scan': False,
}  # fmt: skip
_B, _PLAIN = {'shortcut': 'B'}, {'shortcut': 'none'}
OPTIONS = {
  'lenet5': {
    'init_exponent': 1.0,
    'init_range': 2.4,
    'init_bias': True,
    'init_coefficient': 0.0,
  },
  'lenet5_modern': {'activation': 'relu', 'pool': 'max'},
  'alexnet': _CHAIN,
  'vgg': _CHAIN,
  'zfnet': {'width': 1.0, 'dropout': 0.5, 'until': ''},
  'googlenet': _GOOGLENET,
  'bvlc_googlenet': {**_GOOGLENET, 'lrn': 'caffe'},
  'resnet': _RESNET,
  **{f'resnet{depth}': {**_RESNET, **_B} for depth in (50, 101, 152)},
  **{
    f'resnet{depth}_v1_5': {**_RESNET, **_B, 'padded_pool': True}
    for depth in (18, 34, 50, 101, 152)
  },
  **{f'plain{depth}': {**_RESNET, **_PLAIN} for depth in (18, 34)},
  'resnet_cifar': {**_RESNET, 'bn_group': 64},
  'resnet1202_cifar': {**_RESNET, 'bn_group': 64, 'scan': True},
  **{
    f'plain{depth}_cifar': {**_RESNET, **_PLAIN, 'bn_group': 64}
    for depth in (20, 32, 44, 56)
  },
}


@pytest.mark.parametrize('name', zoo.names())
def test_by_default_a_network_is_its_papers(name):
  family = zoo.NETWORKS[name].family
  assert zoo.options(name) == OPTIONS.get(name, OPTIONS[family])


@pytest.fixture(scope='module', autouse=True)
def counted_once():
  """Counts each network in its own form once for all tests here."""
  count = summarize.rows
  once = functools.cache(count)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      summarize,
      'rows',
      lambda name, *size, **more: (
        count(name, *size, **more) if size or more else once(name)
      ),
    )
    yield


def test_every_network_has_totals():
  # The sheet has the naive net's main path only: below.
  assert {key[0] for key in TOTALS} | {'googlenet_naive'} == set(zoo.names())


@pytest.mark.parametrize('key', cases(TOTALS, QUICK), ids='-'.join)
def test_totals(key):
  name, *option = key
  if option and re.search('101|152', name) and 'DEEP' not in os.environ:
    pytest.skip('more of the blocks of resnet50: run with DEEP=1')
  options = dict([option]) if option else {}
  total = summarize.total(summarize.rows(name, **options))
  got = (total.parameters, total.macs, total.activations)
  for value, expected in zip(got, TOTALS[key]):
    if expected is not None:
      assert value == expected


def test_googlenet_without_its_auxiliary_heads():
  for name, parameters, macs in (
    ('googlenet', 6_998_552, 1_582_671_872),
    ('googlenet_naive', 97_526_008, 12_568_061_056),
  ):
    table = [r for r in summarize.rows(name) if not r.name.startswith('aux')]
    total = summarize.total(table)
    assert (total.parameters, total.macs) == (parameters, macs)


def typed(name):
  lines = (SHEETS / f'{name}.txt').read_text().splitlines()[1:]
  return [tuple(line.split()) for line in lines]


def as_typed(row):
  output = 'x'.join(map(str, row.output))
  beside = row.biases + row.norm
  return row.name, output, str(row.weights), str(beside), str(row.macs)


@pytest.mark.parametrize('name', SHORT)
def test_layers_are_those_of_the_sheet_in_order(name):
  rows = [as_typed(row) for row in summarize.rows(name)[1:]]
  expected = typed(name)
  if name.startswith('resnet'):  # the sheet has the classifier's bias apart
    fc = rows.pop()
    assert fc[:3] == expected.pop()[:3]
    expected = [e for e in expected if e[0] != 'avgpool']
    rows = [r for r in rows if r[0] != 'avgpool']
  if name == 'alexnet_merged':  # the sheet lists the paper's order of the two
    rows = [r for r in rows if not r[0].startswith('norm')]
    expected = [e for e in expected if not e[0].startswith('norm')]
  if name == 'lenet5':  # nor does it count the codes as weights
    assert rows.pop()[0] == 'output'
  assert rows == expected


@pytest.mark.parametrize(
  ('name', 'options'),
  [('resnet34', {'shortcut': 'B'}), ('resnet50', {}), ('googlenet', {})],
)
def test_layers_that_the_sheet_lists(name, options):
  rows = {r.name: as_typed(r) for r in summarize.rows(name, **options)}
  for expected in typed(name):
    if expected[0] in ('avgpool', 'fc'):
      assert rows[expected[0]][:3] == expected[:3]
    else:
      assert rows[expected[0]] == expected


def test_the_nine_modules_of_googlenet():
  sums = collections.defaultdict(lambda: [0, 0, 0])
  for row in summarize.rows('googlenet'):
    if row.name.startswith('inception_'):
      for i, value in enumerate((row.weights, row.biases, row.macs)):
        sums[row.name.split('_')[1]][i] += value
  assert len(sums) == 9
  for module, *expected in typed('googlenet_modules'):
    assert sums[module] == [int(value) for value in expected]


# The deepest of each form and more of it: traced in seconds, only deeper.
SHALLOW = [n for n in zoo.names() if not re.search('101|152|110|1202', n)]


@pytest.mark.slow
@pytest.mark.parametrize('name', SHALLOW)
def test_larger_images_give_a_map_of_scores(name):
  """Of as many parameters as are counted; those of the paper's size none."""
  side, _, channels = zoo.image_shape(name)
  classes = 1000 if side > 32 else 10
  network = zoo.create(name, num_classes=classes)
  image = jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)
  init = network.init_with_output
  scores, variables = jax.eval_shape(init, jax.random.key(0), image)
  assert (scores.shape, scores.dtype) == ((2, classes), jnp.float32)
  sizes = [leaf.size for leaf in jax.tree.leaves(variables['params'])]
  assert summarize.total(summarize.rows(name)).parameters == sum(sizes)
  larger = (256, 320) if side > 32 else (64, 96)
  image = jax.ShapeDtypeStruct((2, *larger, channels), jnp.float32)
  scores = jax.eval_shape(network.apply, variables, image)
  assert scores.dtype == jnp.float32
  maps = {'lenet5': (9, 17), 'resnet_cifar': (9, 17)}
  known = maps.get(zoo.NETWORKS[name].family, (2, 4))
  assert scores.shape == (2, *known, classes)


SMALLEST = {
  'alexnet': 196, 'alexnet_merged': 199, 'alexnet_owt': 223, 'zfnet': 208,
  'zfnet512': 203, 'vgg_d': 224, 'googlenet': 31, 'resnet18': 3,
}  # fmt: skip


@pytest.mark.parametrize('name', SMALLEST)
def test_the_smallest_image_is_the_one_that_the_error_names(name, monkeypatch):
  network, side = zoo.create(name, num_classes=10), SMALLEST[name]

  def shape(side):
    image = jnp.zeros((1, side, side, 3))
    return jax.eval_shape(network.init, jax.random.key(0), image)

  shape(side)
  with pytest.raises(ValueError, match=f'at least {side}x{side}'):
    shape(side - 1)
  monkeypatch.setattr(layers, 'check_size', lambda *_: None)
  with pytest.raises(ValueError, match='is too small for a window'):
    shape(side - 1)


def test_summarize_prints_and_refuses(capsys):
  summarize.main(['lenet5'])
  assert capsys.readouterr().out.splitlines()[-1].split() == [
    'total', '60,000', '328,096', '9,118', '36,472',
  ]  # fmt: skip
  summarize.main(['--inception'])
  assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == [
    '4.06', '3.52',
  ]  # fmt: skip
  for arguments, word in (
    (['vgg'], "Did you mean 'vgg_"),
    (['vgg_d', '--input=100x100'], 'at least 224x224'),
  ):
    with pytest.raises(SystemExit) as stop:
      summarize.main(arguments)
    assert stop.value.code == 2
    assert word in capsys.readouterr().err


def test_names_and_options_that_do_not_exist():
  with pytest.raises(ValueError, match="Did you mean 'resnet50'"):
    zoo.create('resnet5O')
  with pytest.raises(ValueError, match="no option 'shortcuts'"):
    zoo.create('resnet50', shortcuts='B')
  with pytest.raises(ValueError, match='num_classes is 0'):
    zoo.create('vgg_d', num_classes=0)
  for name, options in (
    ('vgg_d', {'head': 'fcc'}),
    ('alexnet', {'head': 'fcc'}),
    ('alexnet', {'initializer': 'caffe'}),
    ('vgg_d', {'initializer': 'x'}),
    ('resnet18', {'shortcut': 'D'}),
    ('googlenet', {'lrn': 'x'}),
  ):
    with pytest.raises(ValueError, match=r'is (one of|A, B)'):
      summarize.rows(name, **options)


@pytest.mark.slow
def test_forms_for_small_images():
  """AlexNet's fc6 sees averages, GoogLeNet has its main path only."""
  smallest = dict.fromkeys(('alexnet', 'alexnet_source'), 36)
  smallest |= dict.fromkeys(('alexnet_merged', 'bvlc_alexnet', 'caffenet'), 39)
  for name, side in {**smallest, 'alexnet_owt': 63}.items():
    whole, averaged = (
      {r.name: r for r in summarize.rows(name, head=head)}
      for head in ('fc', 'gap')
    )
    assert averaged['fc6'].weights == whole['fc6'].weights / 36
    network = zoo.create(name, head='gap', width=0.1)
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    out, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), image)
    assert out.shape == (1, 1000)
    image = jax.ShapeDtypeStruct((1, side, side - 1, 3), jnp.float32)
    with pytest.raises(ValueError, match=f'at least {side}x{side}'):
      jax.eval_shape(network.init, jax.random.key(0), image)
  without = summarize.rows('googlenet', aux_heads=False)
  assert summarize.total(without).parameters == 6_998_552
  image = jax.ShapeDtypeStruct((1, 96, 96, 3), jnp.float32)
  for heads in (False, True):
    network = zoo.create('googlenet', width=0.1, aux_heads=heads)
    init = functools.partial(network.init_with_output, train=True)
    keys = dict.fromkeys(('params', 'dropout'), jax.random.key(0))
    if heads:
      with pytest.raises(ValueError, match='aux_heads=False'):
        jax.eval_shape(init, keys, image)
    else:
      out, variables = jax.eval_shape(init, keys, image)
      assert out.shape == (1, 1000)
      assert set(variables) == {'params'}


def test_width_scales_the_channels():
  whole, half = (
    summarize.total(summarize.rows('vgg_a', width=w)).weights for w in (1, 0.5)
  )
  assert math.isclose(half / whole, 0.25, rel_tol=0.05)


@pytest.mark.slow
def test_the_page_in_docs_is_what_the_command_writes():
  assert (ROOT / 'docs' / 'zoo.md').read_text() == overview.page() + '\n'
