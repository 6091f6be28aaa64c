"""The notebook for students: kept with its outputs, and still running."""

import ast

import nbformat
import pytest
import tour

NOTEBOOK = tour.read()
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == 'code']


def test_it_is_kept_as_it_ran_from_top_to_bottom():
  nbformat.validate(NOTEBOOK)
  assert [cell.execution_count for cell in CODE] == list(
    range(1, len(CODE) + 1)
  )
  shown = [output for cell in CODE for output in cell.outputs]
  assert not [o for o in shown if o.output_type == 'error']
  assert not [o for o in shown if o.get('name') == 'stderr']
  assert sum('image/png' in o.get('data', {}) for o in shown) >= 8
  assert tour.PLACE.stat().st_size < 1e6


def test_its_code_is_python():
  for cell in CODE:
    ast.parse(cell.source)


@pytest.mark.slow
def test_it_runs_where_what_it_uses_has_changed():
  """Two minutes; `python tests/tour.py --write` keeps the new outputs."""
  kept = NOTEBOOK.metadata[tour.USES]
  assert {'zoo/lenet5.py', 'train_lib.py', 'seeing/answers.py'} <= set(kept)
  if any(tour.digest(path) != digest for path, digest in kept.items()):
    tour.run(NOTEBOOK.copy())
