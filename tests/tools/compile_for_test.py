"""Programs for TPUs that are not there: what needs no TPU compiler."""

import pytest

from configs import lenet5
from errors import UserError
from tools import compile_for

HLO = """
  %a = f32[64,3]{1,0} all-reduce(f32[64,3] %x), replica_groups={}
  %b = (f32[10]{0}, bf16[2,5]{1,0}) all-reduce-start(%y, %z), channel_id=2
  %c = (f32[10]{0}, bf16[2,5]{1,0}) all-reduce-done(%b)
  %d = u8[4,16]{1,0} all-gather(u8[1,16] %w), dimensions={0}
  %e = f32[64,3]{1,0} add(%a, %a)
"""


def test_collectives_are_counted_once_with_the_bytes_of_their_results():
  assert compile_for.collectives(HLO) == [
    ('all-reduce', 64 * 3 * 4),
    ('all-reduce', 10 * 4 + 10 * 2),
    ('all-gather', 64),
  ]


def test_a_report_warns_of_what_does_not_fit():
  report = compile_for.Report(
    chips=16, images=128, seconds=50.0, memory=20 * 10**9, traffic=819e9,
    flops=197e12 / 2, collectives=[('all-reduce', 10**6)] * 2,
  )  # fmt: skip
  said = compile_for.describe(report, 'v5e:4x4')
  assert '1,000 ms a step (1,000 for the traffic, 500 ' in said
  assert '20 of 16 GB: DOES NOT FIT' in said
  assert 'all-reduce  2, 2 MB a step' in said
  assert 'DOES NOT FIT' not in compile_for.describe(report, 'v5p:2x2x2')


def test_no_such_topology_is_refused():
  with pytest.raises(UserError, match='TPU compiler'):
    compile_for.compile_step(lenet5.get_config(''), 'v9:1x1', 8)
