"""Programs for TPUs that are not there: what needs no TPU compiler."""

import pytest

from configs import lenet5
from errors import UserError
from tools import compile_for, hlo_traffic

HLO = """
ENTRY %main (p: f32[]) -> f32[] {
  %x = f32[64,3]{1,0} parameter(0)
  %a = f32[64,3]{1,0} all-reduce(f32[64,3] %x), replica_groups={}
  %b = (f32[10]{0}, bf16[2,5]{1,0}) all-reduce-start(%x, %x), channel_id=2
  %c = (f32[10]{0}, bf16[2,5]{1,0}) all-reduce-done(%b)
  %d = u8[4,16]{1,0} all-gather(%x), dimensions={0}
  %e = f32[64,3]{1,0} add(%a, %a)
}
"""


def test_collectives_are_counted_once_with_the_bytes_of_their_results():
  ops = hlo_traffic.operations(HLO)
  assert compile_for.collectives(ops) == {
    'all-reduce': (2, 64 * 3 * 4 + 10 * 4 + 10 * 2),
    'all-gather': (1, 64),
  }


def test_a_collective_in_a_loop_counts_in_every_turn():
  ops = [op._replace(turns=3) for op in hlo_traffic.operations(HLO)]
  assert compile_for.collectives(ops)['all-gather'] == (3, 3 * 64)


def _report(hbm=0.0, **fields):
  op = hlo_traffic.operations(HLO)[0]._replace(hbm=hbm, counted=2 * hbm)
  small = op._replace(kind=hlo_traffic.AHEAD, layer='conv1/add', op='add')
  return compile_for.Report(**{
    'chips': 16, 'images': 128, 'seconds': 50.0, 'memory': 10**9,
    'counted': 2.0 * hbm, 'flops': 197e12 / 2,
    'operations': [op, small._replace(hbm=0.0, counted=1e9), op], **fields,
  })  # fmt: skip


def test_a_report_warns_of_what_does_not_fit():
  report = _report(819e9 / 2, memory=20 * 10**9)
  said = compile_for.describe(report, 'v5e:4x4')
  assert '1,000 ms a step (1,000 for HBM, 500 for the arithmetic)' in said
  assert '20 of 16 GB: DOES NOT FIT' in said
  assert 'all-reduce  2, 0.00154 MB a step' in said
  assert 'DOES NOT FIT' not in compile_for.describe(report, 'v5p:2x2x2')


def test_a_report_has_traffic_by_kind_and_the_largest_operations():
  report = _report(128e6)
  lines = compile_for.describe(report, 'v5e:4x4', largest=3).splitlines()
  rows = {' '.join(line.split()[:-3]): line.split()[-3:] for line in lines}
  assert rows['between chips'] == ['2.00', '4.00', '2']
  assert rows['elementwise, forward'] == ['0.00', '7.81', '1']
  assert rows['all'] == ['2.00', '11.81', '3']
  assert lines[-1].endswith('elementwise, forward    conv1/add: f32[64,3]')
  assert (
    len(lines) == len(compile_for.describe(report, 'v5e:4x4').splitlines()) + 5
  )


def test_a_report_says_what_the_compiler_makes_of_loops():
  report = _report(128e6)
  assert 'loop' not in compile_for.describe(report, 'v5e:4x4')
  report.operations[0] = report.operations[0]._replace(turns=3)
  lines = compile_for.describe(report, 'v5e:4x4').splitlines()
  once = [line.split()[0] for line in lines if 'body of a loop once' in line]
  assert once == ['counted', 'arithmetic']


def test_no_such_topology_is_refused():
  with pytest.raises(UserError, match='TPU compiler'):
    compile_for.compile_step(lenet5.get_config(''), 'v9:1x1', 8)
