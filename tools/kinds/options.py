"""Flags that several kinds of pictures read; absl knows a name once."""

from absl import flags

# Of a network: which, and the names of its classes.
from runtime.command_line import WORKDIR as WORKDIR
from tools.command import CLASSES as CLASSES
from tools.command import LAYER as LAYER
from tools.command import SPLIT as SPLIT

NETWORK = WORKDIR, CLASSES
NUMBER = flags.DEFINE_integer('number', None, 'how many are drawn')
SEED = flags.DEFINE_integer(
  'seed', 0, 'of what is drawn at random', 0, 2**32 - 1
)
EXAMPLES = flags.DEFINE_list(
  'examples',
  None,
  'numbers of test images, as 0,3,17, where no PHOTOS are given',
)
