"""What happens to pixels on the device, inside the jitted step.

In training only, on images of 0 to 255 that have their border already. After it
`data.preprocess` brings them to the range that a network expects.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from errors import UserError, closest, select

Augment = Callable[[jax.Array, jax.Array], jax.Array]


def none(key: jax.Array, images: jax.Array) -> jax.Array:
  """Leaves the images as they are."""
  del key
  return images


def distort(
  key: jax.Array,
  images: jax.Array,
  translate: float = 2.0,
  scale: float = 0.1,
  squeeze: float = 0.1,
  shear: float = 0.15,
) -> jax.Array:
  """Random planar affine maps, LeNet-5's Section III-B.

  Combines horizontal and vertical translation, scaling, squeezing (horizontal
  compression with vertical elongation, or the reverse) and horizontal shear.
  The paper lists the distortions but gives no magnitudes: these are ours. Each
  magnitude m is the half-width of a uniform range around "no change".

  Args:
    key: of the batch.
    images: [N, H, W, C], any dtype.
    translate: pixels, in each direction.
    scale: fraction, of both sides together.
    squeeze: fraction, of one side against the other.
    shear: pixels sideways for each pixel of height.

  Returns:
    float32 [N, H, W, C], bilinearly resampled, 0 beyond the border.
  """
  n, height, width, _ = images.shape
  u = jax.random.uniform(key, (5, n, 1), minval=-1.0, maxval=1.0)
  dx, dy = translate * u[0], translate * u[1]
  zoom, squash = 1 + scale * u[2], 1 + squeeze * u[3]
  slope = shear * u[4]
  # Output pixel (y, x) reads the input at (rows[y], columns[y, x]). Rows do
  # not depend on x, so bilinear resampling is two products with hat functions,
  # exactly; a gather of four neighbours is slow on TPU.
  y = jnp.arange(height) - (height - 1) / 2
  x = jnp.arange(width) - (width - 1) / 2
  rows = y * zoom * squash + dy  # [N, H]
  columns = (x * zoom / squash + dx)[:, None] + (slope * y)[:, :, None]
  images = images.astype(jnp.float32)
  out = jnp.einsum(
    'nyh,nhwc->nywc',
    _hat(rows, height),
    images,
    precision=lax.Precision.HIGHEST,
  )
  return jnp.einsum(
    'nyxw,nywc->nyxc',
    _hat(columns, width),
    out,
    precision=lax.Precision.HIGHEST,
  )


def _hat(position, size):
  """Weights [..., size] of linear interpolation at positions about a centre."""
  pixels = jnp.arange(size) - (size - 1) / 2
  return jnp.maximum(0.0, 1.0 - jnp.abs(position[..., None] - pixels))


def invert(
  key: jax.Array, images: jax.Array, probability: float = 0.1
) -> jax.Array:
  """Salt-and-pepper noise: LeNet-5's Figure 13 is of a network trained with it.

  Args:
    key: of the batch.
    images: [N, H, W, C] of 0 to 255.
    probability: that a pixel is inverted, v to 255 - v; 0.1 in the paper.

  Returns:
    float32 [N, H, W, C].
  """
  images = images.astype(jnp.float32)
  inverted = jax.random.bernoulli(key, probability, images.shape)
  return jnp.where(inverted, 255 - images, images)


def flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each of [N, H, W, C] left to right with probability 1/2."""
  mirrored = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
  return jnp.where(mirrored, images[:, :, ::-1], images)


# Principal components of RGB over ImageNet's pixels of 0 to 255, one a row,
# and their standard deviations: cuda-convnet2, make-data/input_meta.
_COMPONENTS = (
  (-0.56351, -0.57618, -0.59200),
  (-0.71258, -0.02354, 0.70120),
  (0.41796, -0.81698, 0.39731),
)
_DEVIATIONS = (121.7801, 37.0939, 19.7208)


def lighting(
  key: jax.Array,
  images: jax.Array,
  std: float = 0.1,
  form: str = 'code',
  components=_COMPONENTS,
  deviations=_DEVIATIONS,
) -> jax.Array:
  """Flips, then shifts the colour of an image, AlexNet's Section 4.1.

  Args:
    key: of the batch.
    images: [N, H, W, 3] of 0 to 255.
    std: of the Gaussian alpha, drawn once an image for each component.
    form: 'code': alpha times the component's standard deviation, as the
      original code has it, 12 grey levels for the first. 'literal': alpha times
      the eigenvalue of the covariance of pixels of 0 to 1, back on 0 to 255: 6.
      (The eigenvalue of pixels of 0 to 255 would give 1,483.)
    components: principal components of RGB, one a row; ImageNet's by default,
      `python -m tools.data_mean` prints those of another data set.
    deviations: their standard deviations, of pixels of 0 to 255.

  Returns:
    float32 [N, H, W, 3]; what leaves 0 to 255 is not clipped, as in the code.

  Raises:
    UserError: unknown form.
  """
  flip_key, key = jax.random.split(key)
  images = flip(flip_key, images).astype(jnp.float32)
  deviations = jnp.array(deviations)
  scales = {'code': deviations, 'literal': deviations**2 / 255}
  if form not in scales:
    raise UserError(
      f"train.augment_options.form '{form}' is unknown.{closest(form, scales)}"
    )
  return images + _shift(key, len(images), std, scales[form], components)


def _shift(key, n, std, scales, components=_COMPONENTS):
  alpha = std * jax.random.normal(key, (n, 3))
  return ((alpha * scales) @ jnp.array(components))[:, None, None]


_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, luma


def photometric(
  key: jax.Array,
  images: jax.Array,
  brightness: float = 0.5,
  contrast: float = 0.5,
  colour: float = 0.5,
  lighting: float = 0.0,
) -> jax.Array:
  """Flips, then changes brightness, contrast, colour, light as Howard (2013).

  GoogLeNet, Section 6, cites him. His 2.2: "randomly manipulating the contrast,
  brightness and color", each factor uniform in 1 +- 0.5, in random order, and
  then AlexNet's lighting noise.

  Args:
    key: of the batch.
    images: [N, H, W, 3] of 0 to 255.
    brightness: half-width of the range of factors on the pixels.
    contrast: of those on the distance from the image's mean grey.
    colour: of those on the distance from the pixel's own grey.
    lighting: `std` of the function `lighting`; 0: none.

  Returns:
    float32 [N, H, W, 3], clipped to 0 to 255 after each of the three.
  """
  flip_key, order_key, key, light_key = jax.random.split(key, 4)
  images = flip(flip_key, images).astype(jnp.float32)
  n = len(images)
  widths = jnp.array([[brightness], [contrast], [colour]])
  factors = 1 + widths * jax.random.uniform(key, (3, n), minval=-1.0)
  order = jnp.argsort(jax.random.uniform(order_key, (3, n)), axis=0)
  for which in order:  # [N]: 0 brightness, 1 contrast, 2 colour
    factor = jnp.take_along_axis(factors, which[None], 0)[0]
    grey = (images @ jnp.array(_GREY))[..., None]
    mean = grey.mean((1, 2), keepdims=True)
    which, factor = (v[:, None, None, None] for v in (which, factor))
    centre = jnp.where(which == 0, 0.0, jnp.where(which == 1, mean, grey))
    images = (centre + factor * (images - centre)).clip(0, 255)
  if not lighting:
    return images
  return images + _shift(
    light_key, len(images), lighting, jnp.array(_DEVIATIONS)
  )


def pad_crop(
  key: jax.Array, images: jax.Array, padding: int = 4, fill=(0.0,)
) -> jax.Array:
  """Pads, cuts out of it an image of the old size, flips: ResNet, Section 4.2.

  Args:
    key: of the batch.
    images: [N, H, W, C].
    padding: pixels on every side.
    fill: of the border. The paper pads with zeros after the mean is subtracted,
      which is padding with the mean before.

  Returns:
    float32 [N, H, W, C].
  """
  n, height, width, channels = images.shape
  key, flip_key = jax.random.split(key)
  around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  fill = jnp.broadcast_to(jnp.asarray(fill, jnp.float32), (channels,))
  shifted = jnp.pad(images.astype(jnp.float32) - fill, around)
  corners = jax.random.randint(key, (n, 2), 0, 2 * padding + 1)

  def cut(image, corner):
    start = (corner[0], corner[1], 0)
    return lax.dynamic_slice(image, start, (height, width, channels))

  return flip(flip_key, jax.vmap(cut)(shifted, corners) + fill)


AUGMENTS: dict[str, Augment] = {
  'none': none,
  'distort': distort,
  'invert': invert,
  'flip': flip,
  'lighting': lighting,
  'photometric': photometric,
  'pad_crop': pad_crop,
}


def create(name: str, **options) -> Augment:
  """Returns the augmentation `train.augment` with `train.augment_options`.

  Raises:
    UserError: unknown name or option; names the closest.
  """
  function = select('train.augment', name, AUGMENTS, options, skip=2)
  return lambda key, images: function(key, images, **options)
