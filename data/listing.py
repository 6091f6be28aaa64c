"""What of a folder of photographs is read, and what is left out, by kind."""

import collections
import dataclasses
import os
import pathlib
import unicodedata

from errors import UserError

# What `crops.decode` reads with every OpenCV that requirements.txt allows: GIF
# and AVIF need a later one. The content decides how a file is decoded.
EXTENSIONS = tuple(
  '.jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff .jp2 .ppm .pgm .pbm '
  '.pnm'.split()
)
# Folders that file systems, network storage and archives make, in lower case;
# those that start with a dot are hidden on their own.
_OF_SYSTEMS = {
  '@eadir', '@recycle', '#recycle', '#snapshot', '__macosx', 'lost+found',
  '$recycle.bin', 'system volume information',
}  # fmt: skip
_SHOWN = 6  # kinds of files, names of folders


@dataclasses.dataclass
class LeftOut:
  """What is not read: files, counted by their kind, and names of folders."""

  files: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  folders: set[str] = dataclasses.field(default_factory=set)

  def add(self, other: 'LeftOut') -> None:
    """Adds what was left out elsewhere."""
    self.files += other.files
    self.folders |= other.folders

  def __bool__(self):
    return bool(+self.files or self.folders)

  def __str__(self):
    """As '5 files: 3 .heic, 2 hidden; folders @eaDir'."""
    parts = []
    if files := +self.files:
      total = files.total()
      # Not most_common, where equal ones have the order of the disk.
      common = sorted(files.items(), key=lambda f: (-f[1], f[0]))[:_SHOWN]
      kinds = [f'{n:,} {kind}' for kind, n in common]
      if rest := total - sum(n for _, n in common):
        kinds.append(f'{rest:,} others')
      parts.append(
        f'{total:,} file{"s" if total > 1 else ""}: {", ".join(kinds)}'
      )
    if self.folders:
      parts.append(f'folders {shown(sorted(self.folders))}')
    return '; '.join(parts)


@dataclasses.dataclass
class Listing:
  """Names in one folder, sorted as `nfc` has them."""

  photos: list[str]
  folders: list[str]
  left_out: LeftOut


def shown(names: list[str]) -> str:
  """Returns the first of the names, and how many more there are."""
  more = len(names) - _SHOWN
  return ', '.join(names[:_SHOWN]) + (f' and {more:,} more' if more > 0 else '')


def nfc(name: str) -> str:
  """Returns a name in the normal form of Unicode that most systems write.

  macOS decomposes letters with accents: 'é' comes back from it as two
  characters, which look the same, compare as different and sort elsewhere.
  """
  return unicodedata.normalize('NFC', name)


def of(place: pathlib.Path) -> Listing:
  """Lists a folder; folders in it are named, not entered.

  Raises:
    UserError: it cannot be listed.
  """
  found = Listing([], [], LeftOut())
  try:
    with os.scandir(place) as entries:
      for entry in entries:
        _sort_in(entry, found)
  except OSError as error:
    raise UserError(f'{place} cannot be listed: {error.strerror}') from None
  found.photos.sort(key=nfc)
  found.folders.sort(key=nfc)
  return found


def is_of_system(folder: str) -> bool:
  """Whether a folder of that name is hidden, or one that systems make."""
  return folder.startswith('.') or folder.lower() in _OF_SYSTEMS


def kind_left_out(file: str) -> str:
  """Returns why a file of that name is left out; '' for a photograph."""
  if file.startswith('.'):
    return 'hidden'
  extension = os.path.splitext(file)[1].lower()
  if extension in EXTENSIONS:
    return ''
  return extension or 'without an extension'


def _sort_in(entry, found):
  name = entry.name
  if _is(entry.is_dir):
    made = is_of_system(name)
    (found.left_out.folders.add if made else found.folders.append)(name)
    return
  kind = kind_left_out(name)
  if kind != 'hidden' and not _is(entry.is_file):
    kind = 'linked to nothing' if entry.is_symlink() else 'of a special kind'
  if kind:
    found.left_out.files[kind] += 1
  else:
    found.photos.append(name)


def _is(ask):
  try:
    return ask()
  except OSError:  # a link that leads to itself
    return False


def count_below(place: pathlib.Path) -> int:
  """Returns how many photographs lie in a folder and the folders in it."""
  number = 0
  for folder, _, _ in os.walk(place):
    number += len(of(pathlib.Path(folder)).photos)
  return number
