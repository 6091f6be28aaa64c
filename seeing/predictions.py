"""What a network thinks most probable: AlexNet's Figure 4, left."""

import jax.numpy as jnp
import numpy as np

from evaluation import predictions
from evaluation.predictions import Rows
from evaluation.scoring import Network
from seeing import answers


def of_images(network: Network, images: np.ndarray, labels: np.ndarray) -> Rows:
  """Returns the most probable classes of images, five where there are as many.

  Args:
    network: with its variables.
    images: uint8 [N, H, W, C].
    labels: int32 [N]; -1: not known, and the rank means nothing.
  """
  size = answers.batch_size(network.image_size, len(images))
  logits = answers.Reader(network, size).logits(images)
  batch = {'label': jnp.asarray(labels), 'mask': np.ones(len(labels), bool)}
  rows, _ = predictions.of_logits(network.scale)(jnp.asarray(logits), batch)
  return Rows(*map(np.asarray, rows))
