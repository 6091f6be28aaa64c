"""The papers' test protocols: which views of an image, and their average.

    single                the whole image, once (LeNet-5, ResNet on CIFAR)
    center                shorter side 256, the centre
    ten_crop              AlexNet, Section 4.1: of the central square of side
                          256, four corners and the centre, with flips;
                          `eval.corners='image'`: ResNet, Section 3.4: of the
                          whole image of that shorter side
    dense                 VGG, Section 3.2: the whole image, at each scale, with
                          flips; the map of scores is averaged
    multi_crop            VGG, Section 3.2: 5x5 grid, at each scale, with flips
    dense_and_multi_crop  VGG, Section 4.3: the mean of both
    crops144              GoogLeNet, Section 7: shorter sides 256, 288, 320,
                          352; three squares of each; of a square the corners,
                          the centre and all of it, resized; with flips
    multiscale            ResNet, Section 3.4: the whole image at shorter sides
                          224, 256, 384, 480, 640, with flips

What is averaged is the softmax of views, in the given proportions; within a
map, scores before the softmax. A view is uint8 from the host; flips, mean,
network, softmax and averages run on the device: `scoring`.

Corners: the SPP-net paper (He et al. 2014), by the group of ResNet, takes those
of the entire image and says that AlexNet's are of the central 256x256.
GoogLeNet's ten crops, of which its paper says nothing, are taken as AlexNet's,
with which it compares itself. A corner of VGG's grid is the image's. Flips at
ResNet's many scales: Section 3.4 does as its references [41, 13], and [41],
VGG, averages flips. Images are resized as `data.eval_geometry.resize` says.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from ml_collections import ConfigDict

from errors import UserError, closest

# Resized image [H, W, 3] and side of a crop -> views [K, h, w, 3].
Cut = Callable[[np.ndarray, int], np.ndarray]


class Part(NamedTuple):
  """Views of one size: `views` of them, each with its mirror if `flips`."""

  side: int  # shorter one of the resized image; 0: as it is
  cut: Cut
  views: int
  flips: bool
  weight: float


class Protocol(NamedTuple):
  """A name and what it averages; weights sum to 1."""

  name: str
  scales: tuple[int, ...]
  parts: tuple[Part, ...]
  resize: str = 'bilinear'  # see data/crops.py

  @property
  def passes(self) -> int:
    """Forward passes an image."""
    return sum(p.views * (1 + p.flips) for p in self.parts)

  @property
  def sides(self) -> tuple[int, ...]:
    """Shorter sides to resize to, each once, the largest first."""
    return tuple(sorted({p.side for p in self.parts}, reverse=True))


def whole(image: np.ndarray, size: int) -> np.ndarray:
  """Returns all of the image, [1, H, W, 3]."""
  del size
  return image[None]


def centre(image: np.ndarray, size: int) -> np.ndarray:
  """Returns the central square, [1, size, size, 3]."""
  top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
  return image[None, top : top + size, left : left + size]


def five(image: np.ndarray, size: int) -> np.ndarray:
  """Returns corners and centre of the central square, [5, size, size, 3]."""
  return five_of_image(centre(image, min(image.shape[:2]))[0], size)


def five_of_image(image: np.ndarray, size: int) -> np.ndarray:
  """Returns the corners and the centre of all of it, [5, size, size, 3]."""
  corners = [
    image[top : top + size, left : left + size]
    for top in (0, image.shape[0] - size)
    for left in (0, image.shape[1] - size)
  ]
  return np.stack([*corners, centre(image, size)[0]])


def grid(image: np.ndarray, size: int) -> np.ndarray:
  """Returns a regular grid of 5x5 crops, [25, size, size, 3]."""
  rows, columns = (
    [i * (length - size) // 4 for i in range(5)] for length in image.shape[:2]
  )
  return np.stack(
    [
      image[top : top + size, left : left + size]
      for top in rows
      for left in columns
    ]
  )


def squares(image: np.ndarray, size: int) -> np.ndarray:
  """Returns six views of each of three squares, [18, size, size, 3].

  The squares are left, centre, right; or top, centre, bottom.
  """
  height, width = image.shape[:2]
  side, slack = min(height, width), abs(height - width)
  views = []
  for start in (0, slack // 2, slack):
    along = slice(start, start + side)
    square = image[along] if height > width else image[:, along]
    views += [*five(square, size), cv2.resize(square, (size, size))]
  return np.stack(views)


class _Form(NamedTuple):
  cuts: tuple[tuple[Cut, int], ...]  # and how many views each gives
  flips: bool
  scales: tuple[int, ...] = ()  # (): of the training


_FORMS = {
  'single': _Form(((whole, 1),), flips=False),
  'center': _Form(((centre, 1),), flips=False),
  'ten_crop': _Form(((five, 5),), flips=True, scales=(256,)),
  'dense': _Form(((whole, 1),), flips=True),
  'multi_crop': _Form(((grid, 25),), flips=True),
  'dense_and_multi_crop': _Form(((whole, 1), (grid, 25)), flips=True),
  'crops144': _Form(((squares, 18),), flips=True, scales=(256, 288, 320, 352)),
  'multiscale': _Form(
    ((whole, 1),), flips=True, scales=(224, 256, 384, 480, 640)
  ),
}
NAMES = tuple(_FORMS)
CORNERS = {'square': five, 'image': five_of_image}


def natural(config: ConfigDict) -> str:
  """Returns the cheap protocol of a data set, which evaluates in training.

  Photographs: the geometry `data.eval_geometry`, most often center.
  """
  name = config.data.eval_geometry.name
  return 'single' if name == 'none' else name


def requested(config: ConfigDict) -> list[str]:
  """Returns the names in `eval.protocol`; empty stands for the natural one.

  Raises:
    UserError: unknown; names the closest.
  """
  text = config.eval.protocol
  names = [n.strip() for n in text.split(',')] if text else [natural(config)]
  for name in names:
    if name not in NAMES and name != natural(config):
      raise UserError(
        f"eval.protocol '{name}' is unknown.{closest(name, NAMES)}"
      )
  return names


def create(config: ConfigDict, name: str) -> Protocol:
  """Returns the protocol `name` at `eval.scales`, or at the paper's scales.

  Raises:
    UserError: the data set has images of one size, or photographs; or a scale
      is not above zero.
  """
  photographs = config.data.eval_geometry.name != 'none'
  if photographs == (name == 'single'):
    raise UserError(
      f"eval.protocol '{name}' does not go with data.name "
      f"'{config.data.name}': "
      + (
        f'photographs have many sizes, take {", ".join(NAMES[1:])}'
        if photographs
        else 'its images have one size, take single'
      )
    )
  if name not in _FORMS:
    raise UserError(
      f"eval.protocol '{name}' is a geometry of crops: it goes alone, without "
      'eval.scales and eval.members'
    )
  form = _FORMS[name]
  scales: tuple[int, ...] = (0,)
  if photographs:
    scales = tuple(config.eval.scales) or form.scales
    scales = scales or _training_scales(config, name)
    if min(scales) < 1:
      raise UserError(f'eval.scales {scales}: shorter sides, in pixels')
  if name == 'ten_crop':
    form = form._replace(cuts=((_corners(config), 5),))
  weight = 1 / (len(scales) * len(form.cuts))
  parts = tuple(
    Part(side, cut, views, form.flips, weight)
    for cut, views in form.cuts
    for side in scales
  )
  resize = config.data.eval_geometry.get('resize', 'bilinear')
  return Protocol(name, tuple(s for s in scales if s), parts, resize)


def _corners(config):
  if config.eval.corners not in CORNERS:
    raise UserError(
      f"eval.corners '{config.eval.corners}' is unknown."
      f'{closest(config.eval.corners, CORNERS)}'
    )
  return CORNERS[config.eval.corners]


def _training_scales(config, name):
  """VGG, Section 4.2: S and 32 around it, or the ends and middle of a range."""
  if name == 'center':
    return (config.data.eval_geometry.get('shorter_side', 256),)
  geometry = config.data.geometry
  if 'smallest' not in geometry or 'largest' not in geometry:
    return (256,)
  smallest, largest = geometry.smallest, geometry.largest
  if smallest == largest:
    return (smallest - 32, smallest, smallest + 32)
  return (smallest, (smallest + largest) // 2, largest)


def check_scales(protocol: Protocol, size: int) -> None:
  """Refuses scales at which an image does not hold a crop.

  Raises:
    UserError: names the scale and the side of the crop.
  """
  if protocol.scales and min(protocol.scales) < size:
    raise UserError(
      f'eval.scales: {min(protocol.scales)} of {protocol.name} is below the '
      f"network's input, data.image_size {size}; set eval.scales"
    )


def views(
  protocol: Protocol, images: dict[int, np.ndarray], size: int
) -> list[np.ndarray]:
  """Returns uint8 [K, h, w, 3] for each part.

  Args:
    protocol: from `create`.
    images: by shorter side, as `protocol.sides` lists them.
    size: side of the crops.
  """
  return [part.cut(images[part.side], size) for part in protocol.parts]
