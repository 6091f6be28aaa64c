"""An evaluation as tables: a line an image, a line a class, the confusions."""

from collections.abc import Iterator, Sequence

from evaluation.predictions import TOP, Counts, Rows


def header(classes: int) -> list[str]:
  """Returns the first line of predictions.csv."""
  best = range(1, min(TOP, classes) + 1)
  pairs = [name for i in best for name in (f'class_{i}', f'probability_{i}')]
  return ['index', 'key', 'label', 'rank', *pairs]


def lines(
  first: int, keys: Sequence[str], rows: Rows, names: Sequence[str]
) -> Iterator[list]:
  """Yields lines of predictions.csv.

  Args:
    first: index of the first image.
    keys: of the images.
    rows: what is said of them. The rank of the label is written from 1, right,
      to the number of classes.
    names: of the classes.
  """
  for i, key in enumerate(keys):
    pairs = zip(rows.best[i].tolist(), rows.probability[i].tolist())
    yield [
      first + i,
      key,
      names[rows.label[i]],
      min(int(rows.rank[i]) + 1, len(names)),  # NaN counts as one more
      *(field for c, p in pairs for field in (names[c], f'{p:.6g}')),
    ]


def by_class(counts: Counts, names: Sequence[str]) -> Iterator[list]:
  """Yields lines of classes.csv, the classes in their order."""
  top5 = len(names) > TOP
  yield [
    'number', 'class', 'images', 'wrong', 'top1_error',
    *(('top5_wrong', 'top5_error') if top5 else ()),
    'taken_for', 'times',
  ]  # fmt: skip
  for number, row in enumerate(counts.confusions):
    images, right = int(row.sum()), int(row[number])
    others = row.copy()
    others[number] = 0
    most = int(others.argmax())
    five = int(counts.top5_wrong[number])
    yield [
      number,
      names[number],
      images,
      images - right,
      _share(images - right, images),
      *((five, _share(five, images)) if top5 else ()),
      *((names[most], int(others[most])) if others[most] else ('', 0)),
    ]


def _share(part, whole):
  return f'{part / whole:.6g}' if whole else ''


def matrix(counts: Counts, names: Sequence[str]) -> Iterator[list]:
  """Yields lines of confusion.csv; a line a label, a column an answer."""
  yield ['label', *names]
  for name, row in zip(names, counts.confusions):
    yield [name, *row.tolist()]
