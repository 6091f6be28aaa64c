# ruff: noqa: RUF001  the multiplication sign
"""The drawings of networks, against the networks and the papers' figures."""

import functools
import itertools
import math
import os
import re
from xml.etree import ElementTree

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

import zoo
from seeing import architecture
from seeing.svg import forms

SVG = '{http://www.w3.org/2000/svg}'
FEW = (
  'lenet5', 'lenet5_modern', 'alexnet', 'alexnet_source', 'zfnet', 'vgg_a_lrn',
  'vgg_c', 'googlenet', 'plain20_cifar', 'resnet34', 'resnet56_cifar',
)  # fmt: skip
LETTER = 0.56  # of its size, an average of what is written
of_name = functools.cache(architecture.of_name)


def draw(*names):
  return ElementTree.fromstring(forms.draw([*map(of_name, names)]))


def network_of(name):
  classes = 1000 if zoo.image_shape(name)[0] > 32 else 10
  return zoo.create(name, num_classes=classes)


def texts(svg):
  return [element.text for element in svg.iter(f'{SVG}text')]


def tips(svg):
  """Returns {name: shape} of what is told where a layer is pointed at."""
  found = {}
  for title in svg.iter(f'{SVG}title'):
    if match := re.match(r'(.+): (\d+(?:×\d+)*)(?:$|,)', title.text):
      found[match[1]] = match[2]
  return found


def frames(svg):
  """Returns (left, top, right, bottom, text) of all texts, estimated."""
  for element in svg.iter(f'{SVG}text'):
    size, x, y = (float(element.get(k)) for k in ('font-size', 'x', 'y'))
    wide = LETTER * size * len(element.text)
    anchor = element.get('text-anchor')
    left = x - wide * {'start': 0, 'middle': 0.5, 'end': 1}[anchor]
    yield left, y - 0.75 * size, left + wide, y + 0.1 * size, element.text


def assert_readable(svg):
  """No text lies over another one, or outside."""
  _, _, width, height = map(float, svg.get('viewBox').split())
  found = list(frames(svg))
  for left, top, right, bottom, text in found:
    assert 0 <= left < right <= width, text
    assert 0 <= top < bottom <= height, text
  for a, b in itertools.combinations(found, 2):
    apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert apart, (a, b)


def assert_faithful(name):
  """What is drawn has all that the network's own record of states has."""
  network, drawn, svg = network_of(name), of_name(name), draw(name)
  shapes = zoo.layer_shapes(network, zoo.image_shape(name))
  boxes = {box.name: box for box in drawn.boxes}
  told = tips(svg)
  for layer, shape in shapes.items():
    held = next((n for n in boxes if layer in names_of(n)), '')
    assert held, layer
    assert boxes[held].shape == shape, layer
    assert told[held] == '×'.join(map(str, shape)), layer
  image = jax.ShapeDtypeStruct((1, *zoo.image_shape(name)), jnp.float32)
  params = jax.eval_shape(network.init, jax.random.key(0), image)['params']
  counts = (math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  assert drawn.parameters == sum(counts)
  for edge in drawn.edges:  # what a layer has really read is what is given it
    if not edge.shortcut and boxes[edge.target].kind not in ('concat', 'sum'):
      target = boxes[edge.target]
      assert edge.shape == target.takes == boxes[edge.source].shape, edge
    elif edge.shortcut:
      given = boxes[edge.source].shape, boxes[edge.target].shape
      assert edge.changes == (given[0] != given[1])
  targets = {edge.target for edge in drawn.edges}
  beside = {edge.through for edge in drawn.edges}
  assert {*boxes} - targets - beside == {'input'}
  assert_readable(svg)


def names_of(name):
  """Returns the layers that a box stands for: 's1_2 to s1_9' is eight."""
  if not (match := re.fullmatch(r'(\w+_)(\d+) to \w+_(\d+)', name)):
    return [name]
  return [f'{match[1]}{i}' for i in range(int(match[2]), int(match[3]) + 1)]


@pytest.mark.parametrize('name', FEW)
def test_all_layers_are_drawn_with_their_shapes(name):
  assert_faithful(name)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', [n for n in zoo.names() if n not in (*FEW, 'resnet1202_cifar')]
)
def test_all_layers_of_the_others_are_drawn_too(name):
  if (
    re.search('101|152_v1_5|110|44|plain56', name) and 'DEEP' not in os.environ
  ):
    pytest.skip('more of the blocks of others: run with DEEP=1')
  assert_faithful(name)


@pytest.mark.parametrize(
  ('name', 'depth'),
  [
    ('lenet5', 7), ('alexnet', 8), ('zfnet', 8), ('vgg_c', 16),
    ('googlenet', 22), ('googlenet_naive', 13), ('plain18', 18),
    ('resnet34', 34), ('resnet50', 50), ('resnet152', 152),
    ('resnet56_cifar', 56), ('resnet1202_cifar', 1202),
  ],
)  # fmt: skip
def test_depth_is_what_the_papers_count(name, depth):
  assert of_name(name).depth == depth


def test_lenet_is_labelled_as_in_figure_2():
  said = texts(draw('lenet5'))
  for name, size in (
    ('INPUT', '32×32'), ('C1', '6@28×28'), ('S2', '6@14×14'),
    ('C3', '16@10×10'), ('S4', '16@5×5'), ('C5', '120'), ('F6', '84'),
    ('OUTPUT', '10'),
  ):  # fmt: skip
    assert said[said.index(name) + 1] == size
  words = ' '.join(said)
  links = re.findall('Convolutions|Subsampling|Full con|Gaussian con', words)
  assert links == [
    'Convolutions', 'Subsampling', 'Convolutions', 'Subsampling', 'Full con',
    'Full con', 'Gaussian con',
  ]  # fmt: skip
  assert 'Max pooling' in ' '.join(texts(draw('lenet5_modern')))


def test_alexnet_has_two_towers_and_its_merged_form_one():
  numbers = [t for t in texts(draw('alexnet')) if t.isdecimal()]
  for channels, times in (('48', 2), ('192', 4), ('2048', 4), ('1000', 1)):
    assert numbers.count(channels) == times
  assert numbers.count('55') == 4  # height and width
  merged = [t for t in texts(draw('alexnet_merged')) if t.isdecimal()]
  assert merged.count('96') == 1
  assert merged.count('4096') == 2


def test_windows_cross_towers_only_where_a_layer_has_no_groups():
  crossing = [
    line for line in draw('alexnet').iter(f'{SVG}path')
    if line.get('stroke-dasharray')
  ]  # fmt: skip
  assert len(crossing) == 2 * 2 + 2 + 2  # conv3's cones; fc6, fc7


def test_googlenet_is_the_graph_of_figure_3():
  said = texts(draw('googlenet'))
  counts = [
    said.count(w)
    for w in ('DepthConcat', 'Conv', 'MaxPool', 'AveragePool', 'FC')
  ]
  assert counts == [9, 3 + 9 * 6 + 2, 4 + 9, 1 + 2, 1 + 2 * 2]
  assert [t for t in said if t.startswith('softmax')] == [
    'softmax0', 'softmax1', 'softmax2',
  ]  # fmt: skip
  for box in ('7×7+2(S), 64', '5×5+3(V)', '7×7+1(V)', '3×3+2(S)'):
    assert box in said
  read = {
    edge.target: edge.source
    for edge in of_name('googlenet').edges
    if edge.target.endswith('avgpool')
  }
  assert read == {
    'aux1_avgpool': 'inception_4a',
    'aux2_avgpool': 'inception_4d',
    'avgpool': 'inception_5b',
  }


def test_concatenations_are_of_four_branches():
  drawn = of_name('googlenet')
  for box in drawn.boxes:
    if box.kind == 'concat':
      given = [e.shape[-1] for e in drawn.edges if e.target == box.name]
      assert len(given) == 4
      assert sum(given) == box.shape[-1]


@pytest.mark.parametrize(
  ('name', 'arcs', 'dotted'),
  [
    ('resnet34', 16, 3), ('resnet50', 16, 4), ('resnet20_cifar', 9, 2),
    ('plain18', 0, 0), ('resnet1202_cifar', 6, 2),
  ],
)  # fmt: skip
def test_shortcuts_are_arcs_and_dotted_where_the_shape_changes(
  name, arcs, dotted
):
  found = [p for p in draw(name).iter(f'{SVG}path') if p.get('data-shortcut')]
  assert len(found) == arcs
  assert sum(bool(p.get('stroke-dasharray')) for p in found) == dotted


def test_projections_are_named_at_their_arcs():
  drawn = architecture.of_name('resnet20_cifar', options={'shortcut': 'C'})
  assert drawn.title == 'resnet20_cifar (shortcut=C)'
  svg = ElementTree.fromstring(forms.draw([drawn]))
  said = texts(svg)
  assert said.count('1×1, 16') == 3
  assert said.count('1×1, 32, /2') == 1
  assert_readable(svg)


def test_equal_blocks_of_a_deep_network_stand_once():
  drawn = of_name('resnet1202_cifar')
  assert drawn.parameters == 19_421_274
  assert texts(draw('resnet1202_cifar')).count('× 199') == 3
  for stage in 's1', 's2', 's3':
    blocks = [b for b in drawn.boxes if b.name.startswith(stage)]
    assert sum(b.times for b in blocks if b.kind == 'sum') == 200


def test_columns_side_by_side_are_aligned_by_size_of_map():
  svg = draw('vgg_e', 'plain34', 'resnet34')
  assert_readable(svg)
  said = texts(svg)
  for size in (224, 112, 56, 28, 14, 7, 1):
    assert said.count(f'{size}×{size}') == 1
  assert said.count('7×7 conv, 64, /2') == 2
  assert said.count('3×3 conv, 512') == 8 + 5 + 5
  heights = {
    float(text.get('y'))
    for text in svg.iter(f'{SVG}text')
    if text.text == '3×3 conv, 256, /2'
  }
  assert len(heights) == 1


def test_every_network_can_stand_in_a_column():
  svg = draw('lenet5', 'alexnet', 'googlenet')
  assert_readable(svg)
  said = texts(svg)
  assert '16 to' not in ' '.join(said)
  assert said.count('inception 3a, 256') == 1
  assert said.count('RBF 10') == 1
  assert said.count('5×5 conv, 256, 2 groups') == 1


class Own(nn.Module):
  """A network that the zoo does not know."""

  @nn.compact
  def __call__(self, images):
    x = nn.Conv(4, (3, 3), strides=2, name='a<b>')(images)
    x = nn.BatchNorm(use_running_average=True)(x)
    return nn.Dense(7)(nn.relu(x).mean((1, 2)))


def test_a_network_of_ones_own_is_a_column_of_its_layers():
  drawn = architecture.of(Own(), (20, 20, 3), 'mine & "yours"')
  shapes = [(b.kind, b.shape) for b in drawn.boxes]
  assert shapes == [
    ('input', (20, 20, 3)), ('conv', (10, 10, 4)), ('norm', (10, 10, 4)),
    ('dense', (1, 1, 7)),
  ]  # fmt: skip
  assert (drawn.depth, drawn.edges) == (2, ())
  assert drawn.parameters == 3 * 9 * 4 + 4 + 8 + 4 * 7 + 7
  svg = ElementTree.fromstring(forms.draw([drawn]))
  assert svg.find(f'{SVG}title').text == 'mine & "yours"'
  assert tips(svg)['a<b>'] == '10×10×4'
  assert '3×3 conv, 4, /2' in texts(svg)
  assert_readable(svg)


def test_larger_images_have_maps_where_the_papers_have_units():
  svg = ElementTree.fromstring(
    forms.draw([architecture.of_name('lenet5', (40, 40, 1))])
  )
  assert '120@3×3' in texts(svg)
  assert tips(svg)['output'] == '3×3×10'


def test_a_picture_asks_for_nothing_outside_itself():
  text = forms.draw([of_name('alexnet')])
  assert re.findall(r'https?://[^"]*', text) == ['http://www.w3.org/2000/svg']
  assert '<rect width="100%" height="100%" fill="white"/>' in text
