"""A network of one layer, what NumPy says of it, and folders to count on."""

import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import photographs
import pytest

import zoo
from configs import alexnet
from data.imagenet_words import imagenet_ids
from zoo import weights

IDS = imagenet_ids()
SIDE, WIDTH = 32, 40  # of the network's input; of photographs
MEAN, STD = 120.0, 60.0


class Tiny(nn.Module):
  """Scores of 8x8 means; a map of them where the image is larger."""

  num_classes: int = 1000
  dtype: type = jnp.float32

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.avg_pool(x, (8, 8), (8, 8))
    x = nn.Conv(self.num_classes, (4, 4), padding='VALID', name='conv')(x)
    return x[:, 0, 0] if x.shape[1:3] == (1, 1) else x


def register(monkeypatch):
  """Makes 'tiny' a name of the zoo."""
  network = zoo.Network(Tiny, (SIDE, SIDE, 3), 'alexnet')
  monkeypatch.setitem(zoo.NETWORKS, 'tiny', network)


def kernel_of(seed, classes=1000):
  rng = np.random.default_rng(seed)
  return rng.standard_normal((4, 4, 3, classes)).astype(np.float32)


def save(path, kernel):
  variables = {'params': {'conv': {'kernel': kernel, 'bias': kernel[0, 0, 0]}}}
  weights.save(str(path), variables)
  return path


def config_of(file, root, **fields):
  config = alexnet.get_config('variant=alexnet_owt,data=folder')
  with config.unlocked():
    config.model = {'name': 'tiny', 'dtype': 'float32'}
  config.update_from_flattened_dict(
    {
      'init_from': str(file), 'data.dir': str(root), 'data.image_size': SIDE,
      'data.mean': (MEAN,), 'data.std': (STD,), 'data.threads': 0,
      'data.eval_geometry.shorter_side': SIDE,
      **{k.replace('__', '.'): v for k, v in fields.items()},
    }
  )  # fmt: skip
  return config


def write(place, number):
  """Writes a photograph without loss, and no resizing is needed."""
  place.parent.mkdir(parents=True, exist_ok=True)
  pixels = photographs.pixels(number, SIDE, WIDTH)
  place.write_bytes(photographs.encode(pixels, 'PNG'))


def folder(root, names, per_class=3):
  """Returns the folder, and (number of the photograph, name of its class)."""
  images = []
  for name in names:
    for i in range(per_class):
      write(root / name / f'{i}.png', len(images))
      images.append((len(images), name))
  return images


# The second form: logits of the pixels by a product, ranks by sorting.


def scores(view, kernel):
  """Returns the logits of uint8 [32, w, 3], the mean of the map."""
  x = (view.astype(np.float64) - MEAN) / STD
  w = x.shape[1] // 8
  x = x[:, : 8 * w].reshape(4, 8, w, 8, 3).mean((1, 3))
  maps = [
    np.einsum('hwc,hwcn->n', x[:, i : i + 4], kernel) for i in range(w - 3)
  ]
  return np.mean(maps, 0) + kernel[0, 0, 0]


def views_of(protocol, image):
  if protocol == 'center':
    return [image[:, 4:36]]
  starts = [0] if protocol == 'dense' else [0, 2, 4, 6, 8]
  width = WIDTH if protocol == 'dense' else SIDE
  views = [image[:, s : s + width] for s in starts]
  return [v for view in views for v in (view, view[:, ::-1])]


def expected(images, protocol, kernels=(), kept=None):
  """Counts by (number of a photograph, its right classes)."""
  kernels = kernels or [kernel_of(0)]
  wrong = top5 = 0
  losses = []
  for number, right in images:
    image = photographs.pixels(number, SIDE, WIDTH)
    p = np.zeros(1000)
    for kernel in kernels:
      for view in views_of(protocol, image):
        z = np.full(1000, -np.inf)
        z[kept] = scores(view, kernel)[kept]
        z = np.exp(z - z.max())
        p += z / z.sum() / len(views_of(protocol, image)) / len(kernels)
    order = np.argsort(-p, kind='stable').tolist()
    wrong += order[0] not in right
    top5 += not set(order[:5]) & set(right)
    losses.append(-np.log(p[list(right)].max()))
  return wrong, top5, np.mean(losses)


def check(result, images, protocol, **options):
  wrong, top5, loss = expected(images, protocol, **options)
  assert result['protocol'] == protocol
  assert result['count'] == len(images)
  assert result['wrong'] == wrong
  assert result['top1_error'] == wrong / len(images)
  assert result['top5_error'] == pytest.approx(top5 / len(images))
  assert result['loss'] == pytest.approx(loss, rel=1e-4)


def results(place):
  files = sorted((place / 'results').glob('*.json'))
  return {f.name: json.loads(f.read_text()) for f in files}


PART = [IDS[i] for i in (999, 0, 217, 482, 491, 497, 566, 569)]
