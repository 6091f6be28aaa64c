"""VGG: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale
Image Recognition", ICLR 2015, Section 2, Table 1.

    vgg_a  vgg_a_lrn  vgg_b  vgg_c  vgg_d (VGG-16)  vgg_e (VGG-19)

head='fc' is the paper's; head='gap' averages the last 7x7 maps before the
fully connected layers, of which the first then has 49 times fewer weights.

Differs from the paper in:
  - Weights start at random with the deviation of A's, 0.1 (Section 3.1:
    variance 1e-2), in every network. The paper copies some layers of the
    others from a trained A, and says later that Glorot's initialisation makes
    that needless: initializer='glorot'. With 0.1 and pixels of +-128 the
    first scores of A are of the order of 1e8, which cannot be trained at the
    paper's rate; initializer='caffe' is the deviation of 0.01 that others used.
"""

from zoo.chain import (
  DROPOUT,
  LRN,
  RELU,
  AveragePool,
  Chain,
  Conv,
  MaxPool,
  Row,
)
from zoo.layers import pad

# Table 1, a block a word: channels of 3x3 convolutions, 1 after a dash for 1x1.
TABLE_1 = {
  'vgg_a': '64 128 256,256 512,512 512,512',
  'vgg_a_lrn': '64-lrn 128 256,256 512,512 512,512',
  'vgg_b': '64,64 128,128 256,256 512,512 512,512',
  'vgg_c': '64,64 128,128 256,256,256-1 512,512,512-1 512,512,512-1',
  'vgg_d': '64,64 128,128 256,256,256 512,512,512 512,512,512',
  'vgg_e': '64,64 128,128 256,256,256,256 512,512,512,512 512,512,512,512',
}
_STD = {'paper': 0.1, 'caffe': 0.01, 'glorot': 0.0}  # 0: see `chain.Conv`


def rows(
  name: str, head: str = 'fc', initializer: str = 'paper'
) -> tuple[Row, ...]:
  """Returns the layers of a column of Table 1.

  Raises:
    ValueError: unknown head or initializer.
  """
  if initializer not in _STD:
    known = ', '.join(_STD)
    raise ValueError(f"initializer is one of {known}, not '{initializer}'")
  std = _STD[initializer]
  table: list[Row] = []
  for i, block in enumerate(TABLE_1[name].split(), start=1):
    for j, word in enumerate(block.split(','), start=1):
      channels, _, mark = word.partition('-')
      size = 1 if mark == '1' else 3
      table += [
        Conv(f'conv{i}_{j}', int(channels), size, 1, pad(size // 2), std=std),
        RELU,
      ]
      if mark == 'lrn':
        table.append(LRN(f'norm{i}'))
    table.append(MaxPool(f'pool{i}', 2, 2, ceil=False))
  heads = {'fc': 7, 'gap': 1}
  if head not in heads:
    raise ValueError(f"head is one of {', '.join(heads)}, not '{head}'")
  if head == 'gap':
    table.append(AveragePool('avgpool', 7))
  for number, size in ((6, heads[head]), (7, 1)):
    table += [Conv(f'fc{number}', 4096, size, std=std), RELU, DROPOUT]
  return (*table, Conv('fc8', 0, 1, std=std))


def create(
  name: str, head: str = 'fc', initializer: str = 'paper', **fields
) -> Chain:
  """Returns a network of Table 1; `fields` are those of `Chain`."""
  smallest = {'fc': 224, 'gap': 32}.get(head, 0)
  return Chain(rows(name, head, initializer), smallest, **fields)
