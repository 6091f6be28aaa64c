"""What a run says of its speed and its devices, on chips that are not here."""

import json
import types

import jax
import pytest
from conftest import make_config

import experiment
import train_lib
from runtime import chips, clock
from tools import summarize

H100 = 'NVIDIA H100 80GB HBM3'


def device(kind=H100, process=0, **stats):
  return types.SimpleNamespace(
    device_kind=kind, process_index=process, memory_stats=lambda: stats or None
  )


@pytest.fixture
def seconds(monkeypatch):
  """A clock that stands still; its only element is the time."""
  now = [100.0]
  monkeypatch.setattr(clock.time, 'monotonic', lambda: now[0])
  return now


def test_a_lap_has_what_is_known_of_two_chips(seconds):
  devices = [device(peak_bytes_in_use=3_000_000_000),
             device(peak_bytes_in_use=12_345_678_900)]  # fmt: skip
  found = clock.Clock(512, devices, 6 * 4e9, 'bfloat16')
  for _ in found.waiting(range(10)):
    found.step_done()
    seconds[0] += 0.25
  with found.paused():
    seconds[0] += 1000
  assert found.lap() == {
    'time/images_per_second': 2048.0,
    'time/images_per_second_per_chip': 1024.0,
    'time/data_wait_fraction': 0.0,
    'time/mfu': round(1024 * 24e9 / 989e12, 4),  # 0.0248
    'time/peak_device_memory_gb': 12.346,
  }
  assert found.summary() == (
    '2.5 s, 2,048 images/s (1,024 a chip), 0% waiting for data, MFU 2.5%, '
    '12.3 GB at most'
  )


def test_what_is_not_known_is_left_out(seconds):
  for devices, flops in (
    ([device('cpu')], 1e9),  # no peak
    ([device()], 0),  # no count
    ([], 1e9),
    # Of another process, which says it itself; without the number.
    ([device(process=1, peak_bytes_in_use=1), device(bytes_in_use=1)], 0),
  ):
    found = clock.Clock(8, devices, flops)
    found.step_done()
    seconds[0] += 1
    assert set(found.lap()) == {
      'time/images_per_second', 'time/images_per_second_per_chip',
      'time/data_wait_fraction',
    }  # fmt: skip
    assert found.load_texts() == ['0% waiting for data']


def test_the_flops_of_a_run_are_those_of_its_table():
  found = experiment.create_experiment(make_config())
  macs = summarize.total(summarize.rows('lenet5')).macs
  # C1, S2, C3, S4, C5, F6 and the distances to the codes: Section II.B.
  taps = 6 * 3 + 9 * 4 + 6
  assert macs == (
    25 * 6 * 28**2 + 6 * 14**2 + 25 * taps * 10**2 + 16 * 5**2
    + 400 * 120 + 120 * 84 + 84 * 10
  )  # fmt: skip
  assert found.training_flops == 6 * macs
  fields = {'optimizer.frozen': ('C1',), 'optimizer.rates': {}}
  frozen = experiment.create_experiment(make_config(**fields))
  assert frozen.training_flops == 0


def test_lines_of_a_run_have_them(tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(chips.CHIPS, 'cpu', chips.Chip(1e12, 1e10))
  monkeypatch.setattr(clock, 'peak_memory', lambda devices: 1.25)
  train_lib.train_and_evaluate(make_config(train__steps=2), str(tmp_path))
  lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
  (last,) = (x for x in lines if x['step'] == 2 and 'train/loss' in x)
  rate = last['time/images_per_second']
  count = jax.device_count()
  assert last['time/images_per_second_per_chip'] == pytest.approx(
    rate / count, abs=0.1
  )
  flops = experiment.create_experiment(make_config()).training_flops
  assert last['time/mfu'] == pytest.approx(
    rate * flops / 1e10 / count, abs=1e-4
  )
  assert last['time/peak_device_memory_gb'] == 1.25
  (done,) = (
    x for x in capsys.readouterr().out.splitlines() if x.startswith('done')
  )
  assert ', MFU ' in done
  assert done.endswith('%, 1.2 GB at most')
