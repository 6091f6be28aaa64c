"""Curves of runs."""

import pytest
from conftest import make_config

import train_lib
from tools import plot_runs


@pytest.mark.slow
def test_curves_are_read_and_what_is_missing_is_named(tmp_path):
  train_lib.train_and_evaluate(make_config(), str(tmp_path))
  steps, values = plot_runs.read(str(tmp_path), 'train/loss')
  assert steps == list(range(1, 13))
  assert len(values) == 12
  assert plot_runs.read(str(tmp_path), 'eval/top1_error')[0] == [4, 8, 12]
  with pytest.raises(ValueError, match=r"no 'train/los', but .*train/loss"):
    plot_runs.read(str(tmp_path), 'train/los')
