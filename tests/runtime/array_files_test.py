"""Arrays that grow into files: whole or not at all, whatever their size."""

import tracemalloc

import numpy as np
import pytest

from runtime import array_files


def rows(start, count):
  return np.arange(start, start + count * 6, dtype='f').reshape(count, 2, 3)


def fill(path):
  with array_files.Writer(path) as writer:
    for start, count in ((0, 7), (42, 5)):  # two digits in the end
      writer.add('maps', rows(start, count))
      writer.add('units', rows(start, count)[:, 0, 0])
    writer.put('keys', np.array(['a', 'b\u00e9']))
    writer.put('about', np.array('text'))
    assert writer.counts == {'maps': 12, 'units': 12}


def test_an_archive_holds_what_was_added(tmp_path):
  path = tmp_path / 'a.npz'
  path.write_bytes(b'of an earlier run')
  fill(path)
  assert list(tmp_path.iterdir()) == [path]
  with np.load(path, allow_pickle=False) as found:
    assert set(found) == {'maps', 'units', 'keys', 'about'}
    np.testing.assert_array_equal(found['maps'], rows(0, 12))
    np.testing.assert_array_equal(found['units'], rows(0, 12)[:, 0, 0])
    assert found['keys'].tolist() == ['a', 'b\u00e9']
    assert found['about'].item() == 'text'


def test_a_folder_is_mapped_without_reading_it(tmp_path):
  path = tmp_path / 'a'
  fill(path)
  assert list(tmp_path.iterdir()) == [path]
  found = np.load(path / 'maps.npy', mmap_mode='r')
  assert isinstance(found, np.memmap)
  np.testing.assert_array_equal(found, rows(0, 12))


@pytest.mark.parametrize('name', ['a.npz', 'a'])
@pytest.mark.parametrize('kind', [OSError, KeyboardInterrupt])
def test_what_is_stopped_leaves_nothing(tmp_path, name, kind):
  kept = tmp_path / 'a.npz'
  kept.write_bytes(b'of an earlier run')
  killed = tmp_path / f'.{name}.unfinished'
  killed.mkdir()
  (killed / 'maps.npy').write_bytes(b'of a process that was killed')
  with pytest.raises(kind), array_files.Writer(tmp_path / name) as writer:  # noqa: PT012
    writer.add('maps', rows(0, 7))
    raise kind
  assert list(tmp_path.iterdir()) == [kept]
  assert kept.read_bytes() == b'of an earlier run'


def test_what_a_killed_process_left_is_no_part_of_it(tmp_path):
  killed = tmp_path / '.a.npz.unfinished'
  killed.mkdir()
  (killed / 'more.npy').write_bytes(b'')
  fill(tmp_path / 'a.npz')
  with np.load(tmp_path / 'a.npz') as found:
    assert 'more' not in found


@pytest.mark.parametrize('name', ['a.npz', 'a'])
def test_memory_holds_no_more_than_what_is_added(tmp_path, name):
  part = np.zeros((1 << 10, 1 << 8), 'f')  # 1 MB
  tracemalloc.start()
  with array_files.Writer(tmp_path / name) as writer:
    for _ in range(30):
      writer.add('x', part)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 3e6


def test_rows_of_another_form_are_refused(tmp_path):
  with array_files.Writer(tmp_path / 'a') as writer:
    writer.add('maps', rows(0, 1))
    with pytest.raises(ValueError, match=r'maps: float32 \(1, 6\)'):
      writer.add('maps', rows(0, 1).reshape(1, 6))
