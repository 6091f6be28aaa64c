"""Where a wrong sign falsifies results, and the tests that see it.

A module, and arguments of pytest, what is quick and near first: they run until
one fails. What a survivor costs is the time of all of them.
"""


def _tests(words: str) -> str:
  return ' '.join(f'tests/{name}_test.py' for name in words.split())


_NETWORK = _tests(
  'zoo/reference zoo/initialisers zoo/sheets configs/traces zoo/dense '
  'zoo/weights zoo/activations'
)
_RECIPE = 'configs/traces configs/recipes'
MODULES = {
  'zoo/layers.py': _tests('zoo/layers zoo/lenet5 zoo/dtypes') + f' {_NETWORK}',
  'zoo/cpu_forms.py': _tests('zoo/layers zoo/reference zoo/lenet5'),
  'zoo/cpu_gradients.py': _tests('zoo/cpu_gradients'),
  'zoo/tpu_forms.py': _tests('zoo/tpu_forms'),
  'zoo/batch_norm.py': _tests(
    'zoo/reference zoo/initialisers configs/traces training/warm_start '
    'runtime/topology'
  ),
  'zoo/chain.py': f'{_NETWORK} {_tests("zoo/until")}',
  'zoo/alexnet.py': f"{_NETWORK} -k 'alexnet or caffenet or small'",
  'zoo/zfnet.py': f'{_NETWORK} -k zfnet',
  'zoo/vgg.py': f'{_NETWORK} -k vgg',
  'zoo/googlenet.py': f'{_NETWORK} {_tests("training/auxiliary")} '
  "-k 'googlenet or inception or auxiliary'",
  'zoo/resnet.py': f"{_NETWORK} -k 'resnet or plain or loop'",
  'zoo/lenet5.py': _tests(
    'zoo/lenet5 zoo/initialisers zoo/sheets configs/traces zoo/activations'
  ),
  'recipe/losses.py': _tests(
    f'recipe/losses zoo/lenet5 evaluation/exact {_RECIPE}'
  ),
  'recipe/optimizers.py': _tests(
    f'recipe/optimizers recipe/schedules {_RECIPE}'
  ),
  'recipe/schedules.py': _tests(f'recipe/schedules {_RECIPE} trainer'),
  'recipe/freezing.py': _tests('recipe/freezing training/finetune'),
  'recipe/durations.py': _tests('config_lib configs/recipes recipe/schedules'),
  'recipe/sdlm.py': _tests('recipe/optimizers configs/traces trainer'),
  'recipe/augment.py': _tests(f'recipe/augment {_RECIPE} data/photos'),
  'training/curvature.py': _tests('recipe/optimizers configs/traces trainer'),
  'training/train_step.py': _tests(
    'training/randomness training/auxiliary configs/traces trainer '
    'recipe/schedules runtime/topology'
  ),
  'training/statistics.py': _tests('training/warm_start trainer learn'),
  'training/warm_start.py': _tests('training/warm_start'),
  'training/tally.py': _tests('training/tally trainer'),
  'data/crops.py': _tests('data/crops data/decoding data/photos'),
  'data/preprocess.py': _tests(
    'configs/traces configs/recipes data/mean_image recipe/augment '
    'evaluation/protocols'
  ),
  'zoo/preprocessing.py': _tests(
    'zoo/pretrained data/mean_image recipe/augment configs/recipes'
  ),
  'data/folders.py': _tests('data/folders data/labels data/photos'),
  'data/listing.py': _tests('data/folders data/labels tools/predict_files'),
  'data/photos.py': _tests(
    'data/photos data/folders data/sources data/tfds evaluation/protocols '
    'tools/prepare_imagenet'
  ),
  'input_pipeline.py': _tests(
    'input_pipeline data/photos configs/traces training/randomness '
    'runtime/topology'
  ),
  'evaluation/exact.py': _tests('evaluation/exact trainer'),
  'evaluation/predictions.py': _tests(
    'evaluation/predictions evaluation/saving'
  ),
  'evaluation/protocols.py': _tests('evaluation/protocols evaluation/networks'),
  'evaluation/test_sets.py': _tests(
    'evaluation/test_sets evaluation/other_data'
  ),
  'data/parts.py': _tests('data/parts data/tfds'),
  'data/classes.py': _tests('data/classes evaluation/test_sets'),
  'data/label_sets.py': _tests('data/label_sets evaluation/test_sets'),
  'evaluation/scoring.py': _tests('evaluation/protocols evaluation/networks'),
  'runtime/checkpoints.py': _tests(
    'trainer damage training/tally training/warm_start training/restarts '
    'compatibility runtime/preemption runtime/buckets'
  ),
}
