"""The record of a run: lines that are not ours, points of TensorBoard."""

import json

from tensorboard.backend.event_processing import event_accumulator

from runtime import run_log
from runtime.run_log import RunLog

OURS = [{'step': n, 'train/loss': 1.0 / n} for n in (1, 2, 3)]
STRANGE = [
  b'\xff\xfe\x00binary', b'[1, 2]', b'17', b'null', b'"step"', b'{"loss": 1}',
  b'{"step": "3"}', b'{"step": 2, "x"', '{"step": 1}'.encode('utf-16'),
  b'[' * 10_000,
]  # fmt: skip


def write(place, lines):
  (place / 'metrics.jsonl').write_bytes(b'\n'.join(lines))


def test_strange_lines_are_left_out_and_kept_aside(tmp_path, capsys):
  ours = [json.dumps(line).encode() for line in OURS]
  write(tmp_path, [*ours[:2], *STRANGE, ours[2], b''])
  before = (tmp_path / 'metrics.jsonl').read_bytes()
  log = RunLog(tmp_path, 3, 5, 1)
  log.close()
  said = capsys.readouterr().out
  assert 'metrics.jsonl: line 3 is none of ours' in said
  assert (tmp_path / 'metrics.damaged.jsonl').read_bytes() == before
  assert run_log.read_lines(tmp_path / 'metrics.jsonl') == (OURS, [])


def test_a_line_that_a_kill_has_cut_is_not_strange(tmp_path, capsys):
  ours = [json.dumps(line).encode() for line in OURS]
  write(tmp_path, [*ours, b'{"step": 4, "tra'])
  RunLog(tmp_path, 2, 5, 1).close()
  assert capsys.readouterr().out == ''
  assert not (tmp_path / 'metrics.damaged.jsonl').exists()
  assert run_log.read_lines(tmp_path / 'metrics.jsonl') == (OURS[:2], [])


def test_tensorboard_keeps_the_step_that_a_run_continues_from(tmp_path):
  first = RunLog(tmp_path, 0, 5, 1)
  for line in OURS:
    first.write(line['step'], {'train/loss': line['train/loss']})
  first.close()
  second = RunLog(tmp_path, 2, 5, 1)
  second.write(3, {'train/loss': 7.0})
  second.close()
  events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
  points = {p.step: p.value for p in events.Scalars('train/loss')}
  assert points == {1: 1.0, 2: 0.5, 3: 7.0}
