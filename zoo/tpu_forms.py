"""Forms of operations that are there for the bytes that they spare on TPU.

A train step of a ResNet on TPU waits for memory, not for arithmetic, so these
compute more and move less. Each gives what the plain form gives, to rounding,
and its gradients (tests/zoo/tpu_forms_test.py). What they are judged by is the
whole step: `python -m tools.compile_for`, docs/performance.md.

Batch normalisation behind a 1x1 convolution, y = z w. Its statistics are
moments of the input, channel by channel of w,

    mean = E[z] w,  variance = w' cov(z) w,

and every gradient follows from z, the gradient d of the output and z'd. So the
raw output y, four times the size of z at the end of a bottleneck, is neither
written nor read again: it lives inside of the convolution that makes it.

cov(z) is a difference of moments, which cancels where means are large against
deviations. So z is centred first, by the mean of the first image of its group:
any constant is right, and that one is near the mean and costs no pass over z.
"""

import functools
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from zoo.batch_norm import Normalised

_F32 = jnp.float32


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
    # Else each of its readers makes these pixels from the whole map.
    x = lax.optimization_barrier(x)
  return Normalised(*_conv_norm(x, kernel[0, 0], scale, offset, group, epsilon))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _conv_norm(z, w, scale, offset, group, epsilon):
  return _conv_norm_fwd(z, w, scale, offset, group, epsilon)[0]


def _conv_norm_fwd(z, w, scale, offset, group, epsilon):
  wide = w.astype(_F32)
  means = _grouped(z, group).astype(_F32).mean((1, 2, 3))  # [g, I]
  centre = _centre(z, group)
  off = means - centre.astype(_F32)
  centred = z - _spread(centre, group)
  moments = _gram(centred, centred, group) / _count(z, group)
  cov = moments - off[:, :, None] * off[:, None, :]
  cov_w = _einsum('gij,jo->gio', cov, wide)
  mean = _einsum('gi,io->go', means, wide)
  variance = jnp.maximum((cov_w * wide).sum(1), 0)
  r = lax.rsqrt(variance + epsilon)
  y = _conv(z, w).astype(_F32)
  y = (y - _spread(mean, group)) * _spread(r * scale, group) + offset
  kept = (z, w, scale, means, centre, cov_w, r)
  return (y.astype(z.dtype), mean, variance), kept


def _conv_norm_bwd(group, epsilon, kept, gradients):
  """With v = (y - mean) r, dy = scale r (d - E[d] - v E[d v])."""
  del epsilon
  z, w, scale, means, centre, cov_w, r = kept
  d = gradients[0]
  wide, n = w.astype(_F32), _count(z, group)
  d_sum = _grouped(d, group).astype(_F32).sum((1, 2, 3))  # [g, O]
  off = means - centre.astype(_F32)
  # Sum of (z - mean)' d: [g, I, O].
  zd = _gram(z - _spread(centre, group), d, group)
  zd -= off[:, :, None] * d_sum[:, None, :]
  scale_sum = (zd * wide).sum(1) * r  # sum of d v: [g, O]
  factor = scale * r
  w_grad = (factor[:, None] * (zd - (r * scale_sum)[:, None] * cov_w)).sum(0)
  # d z = factor d w' + (z - mean) m, less its mean: what the rounded matrices
  # make of the means, so that their rounding does not shift it.
  m = -_einsum('io,go,jo->gij', wide, factor * r * scale_sum / n, wide)
  m = m.astype(z.dtype)
  z_grad = _per_group(z, m, group)
  shift = _einsum('gi,gij->gj', means, m.astype(_F32))
  if os.environ.get('DFORM', 'scaled') == 'scaled':
    scaled = (d.astype(_F32) * _spread(factor, group)).astype(d.dtype)
    z_grad = z_grad.astype(_F32) + _conv(scaled, w.T).astype(_F32)
    shift += _einsum('go,io->gi', factor * d_sum / n, wide)
  else:
    k = jnp.swapaxes(factor[:, None] * wide, 1, 2).astype(d.dtype)
    z_grad = z_grad.astype(_F32) + _per_group(d, k, group).astype(_F32)
    shift += _einsum('go,goi->gi', d_sum / n, k.astype(_F32))
  z_grad = z_grad - _spread(shift, group)
  return (
    z_grad.astype(z.dtype),
    w_grad.astype(w.dtype),
    scale_sum.sum(0),
    d_sum.sum(0),
  )


_conv_norm.defvjp(_conv_norm_fwd, _conv_norm_bwd)


def _grouped(x, group):
  return x.reshape(-1, group, *x.shape[1:])


def _count(x, group):
  """Values of a channel in a group."""
  return group * x.shape[1] * x.shape[2]


def _centre(z, group):
  """[N, H, W, C] -> [groups, C], of the dtype of z."""
  if os.environ.get('CENTRE') == '0':
    return jnp.zeros((z.shape[0] // group, z.shape[-1]), z.dtype)
  first = _grouped(z, group)[:, 0].astype(_F32)
  return first.mean((1, 2)).astype(z.dtype)


def _spread(values, group):
  """[groups, C] -> [N, 1, 1, C]."""
  return jnp.repeat(values, group, 0)[:, None, None]


def _gram(a, b, group):
  """Sums a'b of [N, H, W, I], [N, H, W, J] -> float32 [groups, I, J]."""
  return jnp.einsum(
    'gnhwi,gnhwj->gij', _grouped(a, group), _grouped(b, group),
    preferred_element_type=_F32, precision=_precision(a),
  )  # fmt: skip


def _precision(x):
  """Products of bfloat16 are exact; TPU rounds float32 to it, if let."""
  return lax.Precision.HIGHEST if x.dtype == _F32 else None


def _einsum(what, *arrays):
  """Of small float32 arrays."""
  return jnp.einsum(what, *arrays, precision=lax.Precision.HIGHEST)


def _conv(x, w):
  """[N, H, W, I] by [I, O]: as a convolution; see `layers.conv2d`."""
  return lax.conv_general_dilated(
    x, w[None, None], (1, 1), ((0, 0), (0, 0)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip


def _per_group(x, w, group):
  """[N, H, W, I] by [groups, I, O], each group by its own."""
  if w.shape[0] == 1:
    return _conv(x, w[0])
  y = jnp.einsum('gnhwi,gio->gnhwo', _grouped(x, group), w)
  return y.reshape(*x.shape[:-1], w.shape[-1])


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
      normalised channel rises with x, so its largest value is that of x, and a
      quarter of the map is left to be normalised.
    scale: float32 [C].
    offset: float32 [C].
    pool: max pooling of [N, H, W, C].
    group: images that share statistics; divides N.
    epsilon: added to the variance.

  Returns:
    Its maps are pooled; its statistics are those of x without the signs.
  """
  y = _grouped(x, group).astype(_F32)
  means = y.mean((1, 2, 3))
  squares = jnp.square(y).mean((1, 2, 3))
  variances = jnp.maximum(squares - jnp.square(means), 0)
  factor = lax.rsqrt(variances + epsilon) * (scale * signs(scale))
  z = pool(x)
  out = z.astype(_F32) - _spread(means, group)
  out = out * _spread(factor, group) + offset
  return Normalised(out.astype(x.dtype), means * signs(scale), variances)


def signs(scale: jax.Array) -> jax.Array:
  """-1 where it is below 0, else 1; no gradient passes."""
  return lax.stop_gradient(jnp.where(scale < 0, -1.0, 1.0))
