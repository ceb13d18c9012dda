"""Models of LightGBM, XGBoost and CatBoost."""

import catboost
import lightgbm
import numpy as np
import xgboost
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import DoubleTensorType, FloatTensorType

from .case import FEATURES, TRANSFORM_TOLERANCE, Case
from .exports import export
from .training import training_data


def lightgbm_models(rng):
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)

    def train(x, y, trees=60, fit=None, **settings):
        return lightgbm.LGBMRegressor(n_estimators=trees, verbose=-1, n_jobs=1, **settings).fit(x, y, **(fit or {}))

    variants = {
        "": {"trees": 150, "num_leaves": 31},
        ", 255 leaves": {"trees": 12, "num_leaves": 255, "min_child_samples": 2},
        ", dart": {"boosting_type": "dart"},
        # The exporter divides the sum by the number of trees.
        ", random forest": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        ", quantile": {"objective": "quantile", "alpha": 0.8},
        ", zero as missing": {"zero_as_missing": True},
        # Only the constants of the leaves are exported: not what LightGBM predicts, but what the file says.
        ", linear leaves": {"linear_tree": True},
    }
    for name, settings in variants.items():
        yield Case(f"lightgbm{name}", export("LightGBM", train(xn, yn, **settings), xn), missing=True)
    for objective in ["poisson", "tweedie"]:  # an exponential behind the trees
        model = train(xn, np.abs(yn), objective=objective)
        yield Case(f"lightgbm, {objective}", export("LightGBM", model, xn), missing=True, tolerance=TRANSFORM_TOLERANCE)
    model = train(x, y, num_leaves=15, min_data_per_group=5, cat_smooth=1, fit={"categorical_feature": [3]})
    yield Case("lightgbm, categorical", export("LightGBM", model, x))
    model = train(xn, yn)
    floats, doubles = [("X", kind([None, FEATURES])) for kind in (FloatTensorType, DoubleTensorType)]
    # Parts of the ensemble, each in double precision, summed up.
    split = convert_lightgbm(model, initial_types=[floats], target_opset=15, split=25)
    yield Case("lightgbm, split by the exporter", split, missing=True)
    yield Case("lightgbm, double", convert_lightgbm(model, initial_types=[doubles], target_opset=15), missing=True)


def xgboost_models(rng):
    xn, yn = training_data(rng, missing=0.05)
    positive = np.abs(yn) + 0.1

    def train(y=yn, model=xgboost.XGBRegressor, trees=40, **settings):
        return model(n_estimators=trees, n_jobs=1, **settings).fit(xn, y)

    variants = {
        "": train(trees=120, max_depth=6, learning_rate=0.1, base_score=0.5),
        ", depth 10": train(trees=15, max_depth=10),
        ", by loss": train(max_depth=0, max_leaves=40, grow_policy="lossguide"),
        ", random forest": train(model=xgboost.XGBRFRegressor),
        ", absolute error": train(objective="reg:absoluteerror"),
        ", quantile": train(objective="reg:quantileerror", quantile_alpha=0.7),
    }
    for name, model in variants.items():
        yield Case(f"xgboost{name}", export("XGBoost", model, xn), missing=True)
    for objective, y in {"reg:logistic": positive / positive.max(), "count:poisson": positive}.items():
        model = export("XGBoost", train(y, objective=objective), xn)
        yield Case(f"xgboost, {objective}", model, missing=True, tolerance=TRANSFORM_TOLERANCE)


def catboost_models(rng):
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)

    def train(x=xn, y=yn, trees=80, **settings):
        model = catboost.CatBoostRegressor(
            iterations=trees, verbose=0, allow_writing_files=False, thread_count=1, random_seed=1, **settings
        )
        return model.fit(x, y)

    variants = {
        "": train(),
        ", depth 10": train(trees=6, depth=10),
        ", missing below": train(nan_mode="Min"),
        ", missing above": train(nan_mode="Max"),
        ", quantile": train(loss_function="Quantile:alpha=0.7"),
        ", poisson": train(y=np.abs(yn), loss_function="Poisson"),
    }
    for name, model in variants.items():
        yield Case(f"catboost{name}", export("CatBoost", model, xn), missing=True)
    yield Case("catboost, nothing missing", export("CatBoost", train(x, y), x))
