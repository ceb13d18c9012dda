"""Models trained and exported by the libraries that people use."""

import lightgbm
import numpy as np
import xgboost
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from .case import FEATURES, NETWORK_TOLERANCE, Case


def training_data(rng, n=3000, missing=0.0, targets=1):
    x = rng.normal(size=(n, FEATURES)).astype(np.float32)
    x[:, 3] = rng.integers(0, 6, n)  # few distinct values: many rows at thresholds
    y = np.stack(
        [np.sin(x[:, t]) * x[:, 1] + x[:, 2] ** 2 - x[:, 3] * (x[:, 4] > 0) + t for t in range(targets)], axis=1
    )
    if missing:
        x[rng.random(x.shape) < missing] = np.nan
    return x, (y[:, 0] if targets == 1 else y)


def sklearn_onnx(model, x):
    return to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3})


def without_last_reshape(model):
    """The exporter ends networks with a reshape to one column, also those with several outputs."""
    *rest, last = model.graph.node
    assert last.op_type == "Reshape"
    rest[-1].output[0] = last.output[0]
    model.graph.node.remove(last)
    return model


def library_models(rng):
    """One case a model."""
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)
    xm, ym = training_data(rng, targets=3)
    inputs = [("X", FloatTensorType([None, FEATURES]))]

    booster = xgboost.XGBRegressor(n_estimators=120, max_depth=6, learning_rate=0.1, base_score=0.5).fit(xn, yn)
    yield Case("xgboost", convert_xgboost(booster, initial_types=inputs, target_opset=15), missing=True)

    booster = lightgbm.LGBMRegressor(n_estimators=150, num_leaves=31, verbose=-1).fit(xn, yn)
    yield Case("lightgbm", convert_lightgbm(booster, initial_types=inputs, target_opset=15), missing=True)

    booster = lightgbm.LGBMRegressor(n_estimators=40, num_leaves=15, min_data_per_group=5, cat_smooth=1, verbose=-1)
    booster.fit(x, y, categorical_feature=[3])
    yield Case("lightgbm categorical", convert_lightgbm(booster, initial_types=inputs, target_opset=15))

    trees = {
        "sklearn decision tree": DecisionTreeRegressor(max_depth=8, random_state=1),
        "sklearn random forest": RandomForestRegressor(n_estimators=60, max_depth=8, random_state=1),
        "sklearn extra trees": ExtraTreesRegressor(n_estimators=60, max_depth=9, random_state=1),
        "sklearn gradient boosting": GradientBoostingRegressor(n_estimators=100, random_state=1),
    }
    for name, model in trees.items():
        yield Case(name, sklearn_onnx(model.fit(x, y), x))
    for name, model in {
        "sklearn random forest, 3 targets": RandomForestRegressor(n_estimators=40, max_depth=8, random_state=1),
        "sklearn extra trees, 3 targets": ExtraTreesRegressor(n_estimators=40, max_depth=8, random_state=1),
    }.items():
        yield Case(name, sklearn_onnx(model.fit(xm, ym), xm))

    scaled = make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=50, random_state=1)).fit(x, y)
    yield Case("sklearn scaler and boosting", sklearn_onnx(scaled, x))
    network = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(32, 16), max_iter=60, random_state=1)).fit(x, y)
    yield Case("sklearn scaler and network", sklearn_onnx(network, x), tolerance=NETWORK_TOLERANCE)
    network = MLPRegressor(hidden_layer_sizes=(24,), activation="tanh", max_iter=60, random_state=1).fit(xm, ym)
    yield Case("sklearn network, 3 targets", without_last_reshape(sklearn_onnx(network, xm)), tolerance=NETWORK_TOLERANCE)
    yield Case("sklearn linear", sklearn_onnx(LinearRegression().fit(x, y), x), tolerance=NETWORK_TOLERANCE)
