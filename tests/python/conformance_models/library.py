"""Models trained and exported by the libraries that people use."""

from .boosters import catboost_models, lightgbm_models, xgboost_models
from .operators import operator_models
from .sklearn_smooth import smooth_models
from .sklearn_trees import transformer_models, tree_models


def library_models(rng):
    """One case a model."""
    boosters = [lightgbm_models, xgboost_models, catboost_models]
    for models in [*boosters, tree_models, transformer_models, smooth_models, operator_models]:
        yield from models(rng)
