"""Networks as ONNX graphs, by jax2onnx: pip install jax2onnx.

Left out of requirements-dev.txt, since it holds back orbax-checkpoint; skipped
where it is absent.
"""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import random_variables

import zoo
from errors import UserError
from evaluation.inference import Model
from evaluation.scoring import Network
from tools import export, export_onnx

jax2onnx = pytest.importorskip('jax2onnx', reason='pip install jax2onnx')
pytestmark = pytest.mark.slow


def model_of(name, **options):
  """Returns a network whose scores have the deviation 1, on pixels of noise."""
  module = zoo.create(name, num_classes=10, **options)
  shape = zoo.image_shape(name)
  variables = random_variables(module, shape)
  images = noise(shape)

  def prepare(images):
    return images[..., ::-1] / 128.0 - 1

  scores = jax.jit(module.apply)(variables, prepare(images))
  network = Network(
    '', module, variables, prepare, shape[0], 10, float(1 / scores.std())
  )
  return Model([network], tuple('0123456789'), shape), scores / scores.std()


def noise(shape):
  return np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)


# LeNet-5's distances; groups, response norms and pools that reach over the
# border; paddings of pools; strides, shortcuts A, a loop over blocks.
@pytest.mark.parametrize(
  ('name', 'options'),
  [
    ('lenet5', {}),
    ('lenet5_modern', {}),
    ('alexnet', {'width': 0.25}),
    ('alexnet_source', {'width': 0.25}),
    ('zfnet', {'width': 0.25}),
    ('vgg_a_lrn', {'width': 0.1}),
    ('googlenet', {'width': 0.25}),
    ('resnet18', {'width': 0.25, 'scan': True}),
    ('resnet50_v1_5', {'width': 0.25}),
    ('resnet20_cifar', {}),
  ],
)
def test_onnxruntime_says_what_the_network_says(name, options):
  model, scores = model_of(name, **options)
  shape = zoo.image_shape(name)
  content = export_onnx.convert(export.probabilities_of(model), shape)
  onnx.checker.check_model(content)
  session = onnxruntime.InferenceSession(
    content, providers=['CPUExecutionProvider']
  )
  images = noise(shape)
  (whole,) = session.run(['probabilities'], {'images': images})
  (one,) = session.run(['probabilities'], {'images': images[:1]})
  expected = np.asarray(jax.nn.log_softmax(scores))
  assert np.abs(np.log(whole) - expected).max() < 1e-4
  assert np.abs(np.log(one) - expected[:1]).max() < 1e-4


def test_bfloat16_is_computed_in_float32():
  model, _ = model_of('resnet20_cifar', dtype=jnp.bfloat16)
  model = export_onnx.in_float32(model)
  content = export_onnx.convert(export.probabilities_of(model), (32, 32, 3))
  kinds = {
    i.data_type for i in onnx.load_from_string(content).graph.initializer
  }
  assert onnx.TensorProto.BFLOAT16 not in kinds


def test_what_cannot_be_converted_is_said_in_a_line():
  def probabilities(images):
    return jnp.linalg.qr(images[:, :, :, 0].astype('f'))[0][:, 0]

  with pytest.raises(UserError, match=r'jax2onnx \S+ cannot convert'):
    export_onnx.convert(probabilities, (2, 2, 1))
