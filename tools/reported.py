"""The rows of the papers' results tables that concern networks of the zoo.

Errors in percent, on the validation set of ILSVRC-2012 unless a row says other;
each list in the order of its table. Rows on other people's test servers are not
here: their labels are not public.
"""

from typing import NamedTuple


class Row(NamedTuple):
  """One row; `members` is the number of networks whose softmax is averaged."""

  table: str
  what: str
  config: str  # of --config, of the first network
  protocol: str
  scales: tuple[int, ...]  # (): as the config has it
  top1: float | None
  top5: float | None
  members: int = 1
  note: str = ''  # what differs from the paper's row


_LENET = (
  Row(
    'LeNet-5, Fig. 9', 'LeNet-5', 'configs/lenet5.py:optimizer=sdlm',
    'single', (), 0.95, None, note='MNIST',
  ),
  Row(
    'LeNet-5, Fig. 9', 'LeNet-5, distortions',
    'configs/lenet5.py:optimizer=sdlm,augment=distort', 'single', (), 0.8, None,
    note='MNIST; magnitudes are ours',
  ),
)  # fmt: skip

_ALEXNET = (
  Row(
    'AlexNet, Table 2', '1 CNN', 'configs/alexnet.py', 'ten_crop', (256,),
    40.7, 18.2,
  ),
  Row(
    'AlexNet, Table 2', '5 CNNs', 'configs/alexnet.py', 'ten_crop', (256,),
    38.1, 16.4, 5,
  ),
  Row(
    'Caffe, bvlc_alexnet', 'centre crop',
    'configs/alexnet.py:variant=bvlc_alexnet', 'center', (256,), 42.9, 19.8,
    note='its readme, not a paper; accuracy 57.1 / 80.2',
  ),
)  # fmt: skip

_ZFNET = (
  Row(
    'ZFNet, Table 2', '1 net as Fig. 3 (a)', 'configs/zfnet.py', 'ten_crop',
    (256,), 38.4, 16.5,
  ),
  Row(
    'ZFNet, Table 2', '5 nets (a)', 'configs/zfnet.py', 'ten_crop', (256,),
    36.7, 15.3, 5,
  ),
  Row(
    'ZFNet, Table 2', '1 net 512-1024-512 (b)',
    'configs/zfnet.py:variant=zfnet_wide', 'ten_crop', (256,), 37.5, 16.0,
  ),
  Row(
    'ZFNet, Table 2', '6 nets (a) + (b)', 'configs/zfnet.py', 'ten_crop',
    (256,), 36.0, 14.7, 6,
  ),
)  # fmt: skip


def _vgg(table, net, scale, protocol, scales, top1, top5, members=1, note=''):
  config = f'configs/vgg.py:variant=vgg_{net},scale={scale}'
  shown = 'A-LRN' if net == 'a_lrn' else net.upper()
  what = f'{shown}, S = {"[256; 512]" if scale == "jitter" else scale}'
  if members > 1:
    what = f'{members} nets, first {what}'
  row = f'VGG, Table {table}'
  return Row(row, what, config, protocol, scales, top1, top5, members, note)


_JITTER = (256, 384, 512)
_VGG = (
  _vgg(3, 'a', '256', 'dense', (256,), 29.6, 10.4),
  _vgg(3, 'a_lrn', '256', 'dense', (256,), 29.7, 10.5),
  _vgg(3, 'b', '256', 'dense', (256,), 28.7, 9.9),
  _vgg(3, 'c', '256', 'dense', (256,), 28.1, 9.4),
  _vgg(3, 'c', '384', 'dense', (384,), 28.1, 9.3),
  _vgg(3, 'c', 'jitter', 'dense', (384,), 27.3, 8.8),
  _vgg(3, 'd', '256', 'dense', (256,), 27.0, 8.8),
  _vgg(3, 'd', '384', 'dense', (384,), 26.8, 8.7),
  _vgg(3, 'd', 'jitter', 'dense', (384,), 25.6, 8.1),
  _vgg(3, 'e', '256', 'dense', (256,), 27.3, 9.0),
  _vgg(3, 'e', '384', 'dense', (384,), 26.9, 8.7),
  _vgg(3, 'e', 'jitter', 'dense', (384,), 25.5, 8.0),
  _vgg(4, 'b', '256', 'dense', (224, 256, 288), 28.2, 9.6),
  _vgg(4, 'c', '256', 'dense', (224, 256, 288), 27.7, 9.2),
  _vgg(4, 'c', '384', 'dense', (352, 384, 416), 27.8, 9.2),
  _vgg(4, 'c', 'jitter', 'dense', _JITTER, 26.3, 8.2),
  _vgg(4, 'd', '256', 'dense', (224, 256, 288), 26.6, 8.6),
  _vgg(4, 'd', '384', 'dense', (352, 384, 416), 26.5, 8.6),
  _vgg(4, 'd', 'jitter', 'dense', _JITTER, 24.8, 7.5),
  _vgg(4, 'e', '256', 'dense', (224, 256, 288), 26.9, 8.7),
  _vgg(4, 'e', '384', 'dense', (352, 384, 416), 26.7, 8.6),
  _vgg(4, 'e', 'jitter', 'dense', _JITTER, 24.8, 7.5),
  _vgg(5, 'd', 'jitter', 'multi_crop', _JITTER, 24.6, 7.5),
  _vgg(5, 'd', 'jitter', 'dense_and_multi_crop', _JITTER, 24.4, 7.2),
  _vgg(5, 'e', 'jitter', 'multi_crop', _JITTER, 24.6, 7.4),
  _vgg(5, 'e', 'jitter', 'dense_and_multi_crop', _JITTER, 24.4, 7.1),
  _vgg(6, 'd', 'jitter', 'dense', _JITTER, 24.0, 7.1, 2, 'with E'),
  _vgg(6, 'd', 'jitter', 'multi_crop', _JITTER, 23.9, 7.2, 2, 'with E'),
  _vgg(
    6, 'd', 'jitter', 'dense_and_multi_crop', _JITTER, 23.7, 6.8, 2, 'with E'
  ),
)


def _googlenet(nets, protocol, scales, top5):
  what = f'{nets} net{"s" * (nets > 1)}'
  note = 'of the seven, one is wider: not published' if nets > 1 else ''
  config = 'configs/googlenet.py'
  return Row(
    'GoogLeNet, Table 3', what, config, protocol, scales, None, top5, nets, note
  )


_CROPS144 = (256, 288, 320, 352)
_GOOGLENET = (
  _googlenet(1, 'center', (256,), 10.07),
  _googlenet(1, 'ten_crop', (256,), 9.15),
  _googlenet(1, 'crops144', _CROPS144, 7.89),
  _googlenet(7, 'center', (256,), 8.09),
  _googlenet(7, 'ten_crop', (256,), 7.62),
  _googlenet(7, 'crops144', _CROPS144, 6.67),
)


def _resnet(table, net, protocol, top1, top5, shortcut=''):
  scales = (256,) if protocol == 'ten_crop' else (224, 256, 384, 480, 640)
  config = f'configs/resnet.py:variant={net}'
  if shortcut:
    config += f' --config.model.shortcut={shortcut}'
  what = f'{net} {shortcut}'.strip()
  row = f'ResNet, Table {table}'
  return Row(row, what, config, protocol, scales, top1, top5)


_RESNET = (
  _resnet(2, 'plain18', 'ten_crop', 27.94, None),
  _resnet(2, 'resnet18', 'ten_crop', 27.88, None),
  _resnet(3, 'plain34', 'ten_crop', 28.54, 10.02),
  _resnet(3, 'resnet34', 'ten_crop', 25.03, 7.76, 'A'),
  _resnet(3, 'resnet34', 'ten_crop', 24.52, 7.46, 'B'),
  _resnet(3, 'resnet34', 'ten_crop', 24.19, 7.40, 'C'),
  _resnet(3, 'resnet50', 'ten_crop', 22.85, 6.71),
  _resnet(3, 'resnet101', 'ten_crop', 21.75, 6.05),
  _resnet(3, 'resnet152', 'ten_crop', 21.43, 5.71),
  _resnet(4, 'resnet34', 'multiscale', 21.84, 5.71, 'B'),
  _resnet(4, 'resnet34', 'multiscale', 21.53, 5.60, 'C'),
  _resnet(4, 'resnet50', 'multiscale', 20.74, 5.25),
  _resnet(4, 'resnet101', 'multiscale', 19.87, 4.60),
  _resnet(4, 'resnet152', 'multiscale', 19.38, 4.49),
)

_CIFAR = tuple(
  Row(
    'ResNet, Table 6', f'ResNet-{depth}',
    f'configs/resnet_cifar.py:variant=resnet{depth}_cifar', 'single', (),
    error, None, note='CIFAR-10' + ', the best of 5 runs' * (depth == 110),
  )
  for depth, error in (
    (20, 8.75), (32, 7.51), (44, 7.17), (56, 6.97), (110, 6.43), (1202, 7.93),
  )
)  # fmt: skip

ROWS: tuple[Row, ...] = (
  *_LENET, *_ALEXNET, *_ZFNET, *_VGG, *_GOOGLENET, *_RESNET, *_CIFAR,
)  # fmt: skip
