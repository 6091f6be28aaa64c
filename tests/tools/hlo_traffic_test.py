"""Traffic of programs as libtpu writes them, cut down to a few lines."""

import pytest

from tools import hlo, hlo_traffic

A = 'f32[8,128]{1,0:T(8,128)}'  # 4096 bytes in HBM
V = 'f32[8,128]{1,0:T(8,128)S(1)}'  # the same in VMEM
K = 4096


def moved(lines: str, before: str = '') -> list[tuple[str, float, float]]:
  """Kind, bytes counted and bytes of HBM of each operation."""
  text = f'{before}\nENTRY %main (p: f32[]) -> f32[] {{\n{lines}\n}}\n'
  ops = hlo_traffic.operations(text)
  return [(op.kind, op.counted, op.hbm) for op in ops]


def test_what_lies_in_vmem_is_counted_but_is_no_traffic_of_hbm():
  [(_, counted, hbm)] = moved(f"""
  %p = {A} parameter(0)
  %v = {V} parameter(1)
  ROOT %sum = {V} add(%p, %v)""")
  assert (counted, hbm) == (3 * K, K)


def test_arrays_are_as_large_as_their_tiles():
  size = lambda text: hlo.shapes_of(text)[0].bytes  # noqa: E731
  assert size('bf16[3,100]{1,0:T(8,128)(2,1)}') == 8 * 128 * 2
  assert size('bf16[100,3]{0,1:T(8,128)(2,1)}') == 128 * 8 * 2
  assert size('f32[2,5]{1,0}') == 40
  assert size('pred[]') == 1
  assert size('u8[300]{0:T(1024)}') == 1024
  assert size('token[]') == 0


def test_a_copy_touches_hbm_where_it_lies_there():
  copies = moved(
    f"""
  %p = {A} parameter(0)
  %in = ({V}, {A}, u32[]{{:S(2)}}) copy-start(%p)
  %at = {V} copy-done(%in)
  %out = ({A}, {V}, u32[]{{:S(2)}}) copy-start(%at)
  %done = {A} copy-done(%out)
  %half = (({A}), f32[4,128]{{1,0:T(4,128)S(1)}}, s32[]{{:S(2)}}) """
    + """\
slice-start(%p), slice={[0:4], [0:128]}
  %there = f32[4,128]{1,0:T(4,128)S(1)} slice-done(%half)"""
  )
  assert copies == [
    (hlo_traffic.VMEM, 4 * K, K),
    (hlo_traffic.VMEM, 4 * K, K),
    (hlo_traffic.VMEM, K, K / 2),
  ]


def test_parts_that_lie_side_by_side_and_new_buffers_move_nothing():
  calls = moved(
    f"""
  %v = {V} parameter(0)
  %both = f32[16,128]{{1,0:T(8,128)S(1)}} custom-call(%v, %v), """
    + f"""\
custom_call_target="ConcatBitcast"
  %new = {A} custom-call(), custom_call_target="AllocateBuffer" """
  )
  assert [(counted, hbm) for _, counted, hbm in calls] == [(2 * K, 0), (0, 0)]


LOOP = """
%fused (a: f32[35,8,128], b: s32[]) -> f32[35,8,128] {
  %a = f32[35,8,128]{2,1,0:T(8,128)} parameter(0)
  %b = s32[] parameter(1)
  %part = f32[1,8,128]{2,1,0:T(8,128)} dynamic-slice(%a, %b)
  %twice = f32[1,8,128]{2,1,0:T(8,128)} add(%part, %part)
  %new = f32[35,8,128]{2,1,0:T(8,128)} dynamic-update-slice(%a, %twice, %b)
  ROOT %same = f32[35,8,128]{2,1,0:T(8,128)} bitcast(%new)
}
%body (t: (s32[], f32[35,8,128])) -> (s32[], f32[35,8,128]) {
  %t = (s32[], f32[35,8,128]{2,1,0:T(8,128)}) parameter(0)
  %i = s32[]{:S(2)} get-tuple-element(%t), index=0
  %x = f32[35,8,128]{2,1,0:T(8,128)} get-tuple-element(%t), index=1
  %y = f32[35,8,128]{2,1,0:T(8,128)} fusion(%x, %i), calls=%fused
  ROOT %r = (s32[], f32[35,8,128]{2,1,0:T(8,128)}) tuple(%i, %y)
}
%condition (t.1: (s32[], f32[35,8,128])) -> pred[] {
  %t.1 = (s32[], f32[35,8,128]{2,1,0:T(8,128)}) parameter(0)
  %i.1 = s32[] get-tuple-element(%t.1), index=0
  %end = s32[] constant(35)
  ROOT %lt = pred[] compare(%i.1, %end), direction=LT
}"""
WHILE = (
  '%w = (s32[], f32[35,8,128]) while(%p), condition=%condition, body=%body'
)


def test_a_loop_counts_in_every_turn_and_of_a_stack_its_slices():
  [(_, counted, hbm)] = moved(f'  %p = (s32[]) parameter(0)\n  {WHILE}', LOOP)
  assert hbm == 35 * 2 * K  # a slice read, a slice written
  assert counted == 35 * (2 * K + 4)  # and the counter


def test_a_loop_may_say_how_often_it_turns():
  said = WHILE + ', backend_config={"known_trip_count":{"n":"3"}}'
  [(_, _, hbm)] = moved(f'  %p = (s32[]) parameter(0)\n  {said}', LOOP)
  assert hbm == 3 * 2 * K


@pytest.mark.parametrize(
  ('op', 'path', 'kind'),
  [
    ('convolution(%p, %p), dim_labels=b01f_01io->b01f', 'jvp(N)', 'FORWARD'),
    (
      'convolution(%p, %p), dim_labels=b01f_01oi->b01f',
      'transpose(jvp(N))',
      'INPUTS',
    ),
    (
      'convolution(%p, %p), dim_labels=f01b_i01o->01bf',
      'transpose(jvp(N))',
      'WEIGHTS',
    ),
    ('dot(%p, %p), lhs_contracting_dims={1}', 'jvp(N)', 'FORWARD'),
    ('dot(%p, %p), lhs_contracting_dims={0}', 'transpose(jvp(N))', 'WEIGHTS'),
    ('reduce-window(%p, %p), window={}', 'jvp(N)', 'POOLS'),
    ('select-and-scatter(%p, %p)', 'transpose(jvp(N))', 'POOLS'),
    ('all-reduce-start(%p), to_apply=%add', 'transpose(jvp(N))', 'EXCHANGE'),
    ('add(%p, %p)', 'jvp(N)', 'AHEAD'),
    ('add(%p, %p)', 'transpose(jvp(N))', 'BACK'),
    ('add(%p, %p)', 'update', 'REST'),
  ],
)
def test_kinds(op, path, kind):
  fused = f"""
%fused (p: f32[8,128]) -> f32[8,128] {{
  %p = {A} parameter(0)
  ROOT %o = {A} {op}, metadata={{op_name="jit(step)/{path}/a/b"}}
}}"""
  line = f"""
  %q = {A} parameter(0)
  %f = {A} fusion(%q), calls=%fused, """
  line += f'metadata={{op_name="jit(step)/{path}/a/b"}}'
  assert [found for found, _, _ in moved(line, fused)] == [
    getattr(hlo_traffic, kind)
  ]


def test_a_reduction_writes_little_of_what_it_reads():
  lines = f"""
  %p = {A} parameter(0)
  %r = f32[128]{{0:T(128)}} reduce(%p, %p), dimensions={{0}}, """
  named = lines + 'metadata={op_name="jit(step)/jvp(N)/bn/reduce_sum"}'
  assert moved(named)[0][0] == hlo_traffic.REDUCTIONS


def test_a_layer_is_named_without_what_jax_wraps_it_in():
  path = 'metadata={op_name="jit(step)/jvp(N)/conv1/cond/branch_1_fun/add"}'
  ops = hlo_traffic.operations(f"""
ENTRY %main (p: f32[]) -> f32[] {{
  %p = {A} parameter(0), metadata={{op_name="state.params['fc']"}}
  %c = ({V}, {A}, u32[]) copy-start(%p)
  ROOT %d = {A} add(%p, %p), {path}
}}""")
  assert [op.layer for op in ops] == ["state.params['fc']", 'conv1/add']


def test_a_text_without_a_program_is_refused():
  with pytest.raises(ValueError, match='ENTRY'):
    hlo_traffic.operations('nothing')
