"""Forms of operations that are there for the bytes that they spare on TPU.

A train step of a ResNet on TPU waits for memory, not for arithmetic, so these
compute more and move less. Each gives what the plain form gives, to rounding,
and its gradients (tests/zoo/tpu_forms_test.py). What they are judged by is the
whole step: `python -m tools.compile_for`, docs/performance.md.

Batch normalisation behind a 1x1 convolution, y = z w. Its statistics are
moments of the input,

    mean = E[z] w,  variance = w' cov(z) w  for each column of w,

and all gradients follow from z, the gradient d of the output and z'd. So the
raw output y, at the end of a bottleneck four times as large as z, is neither
written nor read again: it lives inside of the convolution that makes it.

cov(z) as E[zz'] - E[z] E[z]' would cancel where means are large against
deviations: z has its mean taken off before it is multiplied.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from zoo.batch_norm import Normalised

_F32 = jnp.float32
_LANES = 128  # of a TPU's vector unit


@jax.custom_jvp
def relu(x: jax.Array) -> jax.Array:
  """max(x, 0); its gradient looks at what comes out, which is in memory.

  That of `nn.relu` looks at x, which would be computed again, or kept.
  """
  return jnp.maximum(x, 0)


@relu.defjvp
def _relu_jvp(primals, tangents):
  y = relu(*primals)
  return y, jnp.where(y > 0, tangents[0], 0)


def spares(ins: int, outs: int, group: int) -> bool:
  """Whether `conv_norm` moves fewer bytes than the plain form.

  Args:
    ins: channels of its input; moments are `ins` x `ins` products.
    outs: channels of its output, the plain form's raw maps. With `ins` of them
      nothing is spared, and ResNet-50 moves 1 % more.
    group: images. Maps of fewer channels than there are lanes have their images
      along these, and would be copied for groups that divide the lanes.
  """
  return ins < outs and (ins >= _LANES or group % _LANES == 0)


def conv_norm(
  x: jax.Array,
  kernel: jax.Array,
  scale: jax.Array,
  offset: jax.Array,
  stride: int,
  group: int,
  epsilon: float,
) -> Normalised:
  """Batch normalisation of a 1x1 convolution, in training: see the module.

  Args:
    x: [N, H, W, I].
    kernel: [1, 1, I, O], of the dtype of x.
    scale: float32 [O].
    offset: float32 [O].
    stride: of the convolution.
    group: images that share statistics; divides N.
    epsilon: added to the variance.
  """
  x = x[:, ::stride, ::stride]
  if stride > 1:
    # Else each of its readers takes these pixels from the whole map.
    x = lax.optimization_barrier(x)
  found = _conv_norm(x, kernel[0, 0], scale, offset, group, epsilon)
  return Normalised(*found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _conv_norm(z, w, scale, offset, group, epsilon):
  return _conv_norm_fwd(z, w, scale, offset, group, epsilon)[0]


def _conv_norm_fwd(z, w, scale, offset, group, epsilon):
  wide = w.astype(_F32)
  z_mean = _sum(z, group) / _count(z, group)  # [groups, I]
  centred, rest = _centred(z, z_mean, group)
  cov = _products(centred, centred, group) / _count(z, group)
  cov -= rest[:, :, None] * rest[:, None]
  cov_w = _einsum('gij,jo->gio', cov, wide)
  mean = _einsum('gi,io->go', z_mean, wide)
  variance = jnp.maximum((cov_w * wide).sum(1), 0)
  r = lax.rsqrt(variance + epsilon)
  y = _conv(z, w).astype(_F32) - _spread(mean, group)
  y = y * _spread(r * scale, group) + offset
  kept = z, w, scale, z_mean, cov_w, r
  return (y.astype(z.dtype), mean, variance), kept


def _conv_norm_bwd(group, epsilon, kept, gradients):
  """For y = z w and v = (y - E[y]) r: dy = scale r (d - E[d] - v E[d v])."""
  del epsilon
  z, w, scale, z_mean, cov_w, r = kept
  d = gradients[0]
  wide, n = w.astype(_F32), _count(z, group)
  d_sum = _sum(d, group)  # [groups, O]
  centred, rest = _centred(z, z_mean, group)
  zd = _products(centred, d, group)  # [groups, I, O]
  zd -= rest[:, :, None] * d_sum[:, None]
  dv_sum = (zd * wide).sum(1) * r
  factor = scale * r
  w_grad = factor[:, None] * (zd - (r * dv_sum)[:, None] * cov_w)
  # dy w', in which y is z w: two products, of d and of z. One of groups has
  # matrices of its own, for d it is the factors that differ.
  m = -_einsum('io,go,jo->gij', wide, factor * r * dv_sum / n, wide)
  m = m.astype(z.dtype)
  scaled = (d.astype(_F32) * _spread(factor, group)).astype(d.dtype)
  z_grad = _conv(scaled, w.T).astype(_F32) + _conv_by_group(z, m, group)
  # Less its mean: of m as it was rounded, or means would shift the gradient.
  shift = _einsum('go,io->gi', factor * d_sum / n, wide)
  shift += _einsum('gi,gij->gj', z_mean, m.astype(_F32))
  return (
    (z_grad - _spread(shift, group)).astype(z.dtype),
    w_grad.sum(0).astype(w.dtype),
    dv_sum.sum(0),
    d_sum.sum(0),
  )


_conv_norm.defvjp(_conv_norm_fwd, _conv_norm_bwd)


def pooled_norm(
  x: jax.Array,
  scale: jax.Array,
  offset: jax.Array,
  pool: Callable[[jax.Array], jax.Array],
  group: int,
  epsilon: float,
) -> Normalised:
  """Batch normalisation, then max pooling, of maps with the signs of scale.

  Args:
    x: [N, H, W, C] of a kernel that was multiplied by `signs(scale)`. Then a
      normalised channel rises with x, its largest value is that of x, and what
      is left to be normalised is a quarter.
    scale: float32 [C].
    offset: float32 [C].
    pool: max pooling of [N, H, W, C].
    group: images that share statistics; divides N.
    epsilon: added to the variance.

  Returns:
    Its maps are pooled; its statistics are those without the signs.
  """
  y = _grouped(x, group).astype(_F32)
  mean = y.mean((1, 2, 3))
  squares = jnp.square(y).mean((1, 2, 3))
  variance = jnp.maximum(squares - jnp.square(mean), 0)
  factor = lax.rsqrt(variance + epsilon) * (scale * signs(scale))
  out = pool(x).astype(_F32) - _spread(mean, group)
  out = out * _spread(factor, group) + offset
  return Normalised(out.astype(x.dtype), mean * signs(scale), variance)


def signs(scale: jax.Array) -> jax.Array:
  """-1 where it is below 0, else 1; no gradient passes."""
  return lax.stop_gradient(jnp.where(scale < 0, -1.0, 1.0))


def _grouped(x, group):
  return x.reshape(-1, group, *x.shape[1:])


def _count(x, group):
  """Values of a channel in a group."""
  return group * x.shape[1] * x.shape[2]


def _sum(x, group):
  """[N, H, W, C] -> float32 [groups, C]."""
  return _grouped(x, group).astype(_F32).sum((1, 2, 3))


def _centred(z, mean, group):
  """Takes the mean off z as far as its dtype can say; returns the rest too."""
  centre = mean.astype(z.dtype)
  return z - _spread(centre, group), mean - centre.astype(_F32)


def _spread(values, group):
  """[groups, C] -> [N, 1, 1, C]."""
  return jnp.repeat(values, group, 0)[:, None, None]


def _products(a, b, group):
  """Sums a'b of [N, H, W, I], [N, H, W, J] to float32 [groups, I, J]."""
  return jnp.einsum(
    'gnhwi,gnhwj->gij', _grouped(a, group), _grouped(b, group),
    preferred_element_type=_F32,
    # TPU would round float32 to bfloat16, whose products are exact.
    precision=lax.Precision.HIGHEST if a.dtype == _F32 else None,
  )  # fmt: skip


def _einsum(what, *arrays):
  """Of small float32 arrays."""
  return jnp.einsum(what, *arrays, precision=lax.Precision.HIGHEST)


def _conv(x, w):
  """[N, H, W, I] by [I, O]; on TPU better than a product: `layers.conv2d`."""
  return lax.conv_general_dilated(
    x, w[None, None], (1, 1), ((0, 0), (0, 0)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip


def _conv_by_group(x, w, group):
  """[N, H, W, I] by [groups, I, O], each group by its own."""
  if len(w) == 1:
    return _conv(x, w[0])
  y = jnp.einsum('gnhwi,gio->gnhwo', _grouped(x, group), w)
  return y.reshape(*x.shape[:-1], w.shape[-1])
