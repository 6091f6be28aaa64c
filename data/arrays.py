"""Examples held in memory, and the check of labels."""

import numpy as np

from errors import UserError


class ArraySource:
  """Examples in memory as uint8 [N, H, W, C] and integer labels [N]."""

  def __init__(self, images, labels, class_names, origin='the data', notes=()):
    """Raises UserError where counts differ or a label is out of range."""
    self.notes = notes  # what a person should know of them
    if len(images) != len(labels) or not len(images):
      raise UserError(
        f'{origin}: {len(images)} images but {len(labels)} labels'
      )
    self.origin = origin
    self.images, self.labels = images, labels.astype(np.int32)
    self.class_names = tuple(class_names)
    self.num_classes = len(self.class_names)
    self.image_shape = images.shape[1:]
    check_labels(self.labels, self.num_classes, origin)

  def part(self, start: int, stop: int) -> 'ArraySource':
    """Returns the examples number `start` to `stop` - 1."""
    images, labels = self.images[start:stop], self.labels[start:stop]
    return ArraySource(images, labels, self.class_names, self.origin)

  def __len__(self):
    return len(self.labels)

  def batch(self, indices, positions=None):
    """See `sources.Source`."""
    del positions
    return {'image': self.images[indices], 'label': self.labels[indices]}

  def read_labels(self):
    """See `parts.selectable`."""
    return self.labels

  def count_classes(self):
    """See `sources.Source`."""
    return np.bincount(self.labels, minlength=self.num_classes)


def check_labels(labels: np.ndarray, num_classes: int, origin: str) -> None:
  """Raises UserError naming the first label outside [0, num_classes)."""
  bad = np.flatnonzero((labels < 0) | (labels >= num_classes))
  if bad.size:
    raise UserError(
      f'{origin}: label {labels[bad[0]]} of example {bad[0]} is not in '
      f'0..{num_classes - 1}'
    )
