"""Kinds of operations of a train step, and the times of a trace by kind."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from benchmarks import operation_kinds as of
from benchmarks import operations
from benchmarks.operation_kinds import Event
from zoo import layers

SHARES = {'a': of.FORWARD, 'b': of.KERNEL, 'loop': of.INPUT}


def times(*events):
  return of.times([Event(*event) for event in events], SHARES)


def test_a_loop_does_not_count_what_its_body_does():
  found = times((1, 0, 10, 'loop'), (1, 2, 3, 'a'), (1, 4, 8, 'b'))
  assert found == {of.INPUT: 5, of.FORWARD: 1, of.KERNEL: 4}


def test_two_threads_share_a_moment_and_nothing_at_all_is_rest():
  found = times((1, 0, 4, 'a'), (2, 2, 4, 'b'), (1, 7, 8, 'b'), (2, 7, 8, 'b'))
  assert found == {of.FORWARD: 3, of.KERNEL: 2, of.REST: 3}


def test_an_event_may_end_after_the_one_that_it_began_in():
  """By the rounding of a clock."""
  found = times((1, 0, 4, 'a'), (1, 3, 5, 'b'), (1, 5, 5, 'a'))
  assert found == {of.FORWARD: 3, of.KERNEL: 2}


def test_operations_that_are_not_known_are_rest():
  assert times((1, 0, 4, 'a'), (1, 4, 5, 'x')) == {of.FORWARD: 4, of.REST: 1}


PROGRAM = """
HloModule jit_step, is_scheduled=true

%fused (x: f32[2,8,8,3], k: f32[3,3,3,4]) -> f32[2,8,8,4] {
  %x = f32[2,8,8,3]{3,2,1,0} parameter(0)
  %k = f32[3,3,3,4]{3,2,1,0} parameter(1)
  ROOT %c = f32[2,8,8,4]{3,2,1,0} convolution(%x, %k), \
metadata={op_name="jit(step)/jvp(N)/a/a._conv/conv_general_dilated"}
}
ENTRY %main (x: f32[2,8,8,3], k: f32[3,3,3,4]) -> f32[2,8,8,4] {
  %p = f32[2,8,8,3]{3,2,1,0} parameter(0)
  %q = f32[3,3,3,4]{3,2,1,0} parameter(1), \
metadata={op_name="state[0]['a']['kernel']"}
  %copied = f32[3,3,3,4]{2,3,1,0} copy(%q)
  %forward = f32[2,8,8,4]{3,2,1,0} fusion(%p, %q), kind=kCustom, calls=%fused
LINES
}
"""
GRAD = 'jit(step)/transpose(jvp(N))'
LINES = [
  ('f32[4,3,3,3]{3,2,1,0} convolution', f'{GRAD}/a/conv', of.KERNEL),
  ('f32[2,8,8,3]{3,2,1,0} convolution', f'{GRAD}/a/conv', of.INPUT),
  ('f32[2,9,8,3]{3,2,1,0} pad', f'{GRAD}/a/kernel_gradient/pad', of.KERNEL),
  ('f32[2,9,8,3]{3,2,1,0} pad', f'{GRAD}/a._conv/pad', of.INPUT),
  ('f32[2,9,8,3]{3,2,1,0} pad', f'{GRAD}/a/pad', of.REST),
  ('f32[2,8]{1,0} dot', f'{GRAD}/fc/fc._conv/dot_general', of.DENSE),
  ('f32[2,8]{1,0} dot', f'{GRAD}/loss2_fc/dot_general', of.DENSE),
  ('f32[2,8]{1,0} maximum', f'{GRAD}/pool1/max', of.POOLS),
  ('f32[2,8]{1,0} maximum', f'{GRAD}/conv1/conv1._pooled/max', of.POOLS),
  ('f32[2,8]{1,0} multiply', f'{GRAD}/m_pool_proj/bn/mul', of.BACK),
  ('f32[2,8]{1,0} multiply', 'jit(step)/jvp(N)/bn/mul', of.AHEAD),
  ('f32[2,8]{1,0} multiply', 'jit(step)/mul', of.OPTIMIZER),
]  # fmt: skip


def test_an_operation_is_what_its_path_its_product_and_its_result_say():
  lines = '\n'.join(
    f'  %n{i} = {result}(%p, %q), metadata={{op_name="{path}"}}'
    for i, (result, path, _) in enumerate(LINES)
  )
  kinds = of.kinds_of(PROGRAM.replace('LINES', lines))
  assert (kinds['forward'], kinds['copied']) == (of.FORWARD, of.REST)
  assert {line: kinds[f'n{i}'] for i, line in enumerate(LINES)} == {
    line: line[2] for line in LINES
  }


class Small(nn.Module):
  """Two convolutions, a pool, and one that is fully connected."""

  @nn.compact
  def __call__(self, x):
    for name in ('conv1', 'conv2'):
      x = layers.Conv(4, 3, 1, padding=((1, 1), (1, 1)), name=name)(x)
      x = nn.relu(x)
    x = layers.MaxPool(2, 2, name='pool1')(x)
    return layers.Conv(10, 4, 1, name='fc')(x)


def test_the_trace_of_a_step_has_its_kinds():
  x = jnp.ones((2, 8, 8, 3))
  params = Small().init(jax.random.key(0), x)

  @jax.jit
  def step(params, x):
    grads = jax.grad(lambda p: (Small().apply(p, x) ** 2).sum())(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

  compiled = step.lower(params, x).compile()
  trace = of.trace_of(lambda: jax.block_until_ready(compiled(params, x)))
  events = of.events_of(trace, 'jit_step')
  found = of.times(events, of.kinds_of(compiled.as_text()))
  span = max(e.end for e in events) - min(e.start for e in events)
  assert sum(found.values()) == pytest.approx(span)
  assert set(found) >= {of.FORWARD, of.INPUT, of.KERNEL, of.DENSE, of.POOLS}
  assert all(time > 0 for time in found.values())


def test_floating_point_operations_are_those_of_the_layers():
  found = operations.operations('resnet18', 2)
  # docs/zoo.md: 1,814,073,344 multiplications an image with projections, of
  # which 512,000 are the classifier's.
  stem = 112 * 112 * 64 * 7 * 7 * 3
  assert found[of.FORWARD] == found[of.KERNEL] == found[of.INPUT] + 4 * stem
  assert found[of.DENSE] == 2 * 2 * 3 * 512_000
  assert found[of.FORWARD] == 2 * 2 * (1_814_073_344 - 512_000)


def test_a_row_has_the_median_share_of_a_step_and_its_rate():
  rounds = [
    (1.0, {of.FORWARD: 30, of.REST: 10}, 0.1),
    (2.0, {of.FORWARD: 10, of.REST: 10}, 0.2),
    (4.0, {of.FORWARD: 5, of.REST: 15}, 0.1),
  ]
  measured = operations.median(rounds)
  assert (measured.step, measured.product) == (2.0, 0.1)
  assert (measured.kinds[of.FORWARD], measured.kinds[of.REST]) == (1.0, 1.0)
  lines = operations.table({of.FORWARD: 5e10}, *[measured] * 3).splitlines()
  assert lines[2] == (
    f'| {of.FORWARD} | 50.0 | 1,000 | 1,000 | 1,000 | 50 | 50 | 50 |'
  )
  assert len({line.count('|') for line in lines}) == 1


@pytest.mark.parametrize(
  ('argument', 'said'),
  [
    ('resnet1', "no network 'resnet1' here. Did you mean 'resnet18'?"),
    ('--rounds=0', '--rounds=0: must be at least 1'),
    ('--batch=-1', '--batch=-1: must be at least 1'),
  ],
)
def test_what_cannot_be_measured_is_said(argument, said, capsys, monkeypatch):
  monkeypatch.setattr('sys.argv', ['operations', argument])
  with pytest.raises(SystemExit):
    operations.main()
  assert capsys.readouterr().err == f'error: {said}\n'
