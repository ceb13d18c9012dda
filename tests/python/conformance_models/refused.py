"""Models that cannot be accepted are refused in words that help."""

import subprocess

import catboost
import numpy as np
import xgboost
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from .exports import export
from .training import training_data


def refused_models(rng):
    """(name, model, what the refusal says)."""
    x, y = training_data(rng, n=200)
    xm, ym = training_data(rng, n=200, targets=3)

    def sklearn(model, y=y):
        return export("scikit-learn", model.fit(x, y), x)

    yield "nearest neighbours", sklearn(KNeighborsRegressor()), "control flow (If, Loop, Scan)"
    yield "Gaussian process", sklearn(GaussianProcessRegressor()), "train another kind"
    ranked = make_pipeline(QuantileTransformer(n_quantiles=20), GradientBoostingRegressor(n_estimators=3))
    yield "quantile transformer", sklearn(ranked), "(Gather): input `"
    yield "classifier", sklearn(LogisticRegression(), y > 0), "operator LinearClassifier of ai.onnx.ml is not supported"
    yield "text categories", with_texts(x, y), "holds STRING values"

    several = catboost.CatBoostRegressor(iterations=3, verbose=0, allow_writing_files=False, loss_function="MultiRMSE")
    yield "catboost, 3 targets", export("CatBoost", several.fit(xm, ym), xm), "train one model for each target"
    # onnxmltools gives the weights of all trees to the first target.
    several = xgboost.XGBRegressor(n_estimators=3).fit(xm, ym)
    yield "xgboost, 3 targets", export("XGBoost", several, xm), "base_values[1]"


def with_texts(x, y):
    import pandas

    frame = pandas.DataFrame({"kind": np.where(x[:, 3] > 2, "a", "b").astype(object), "value": x[:, 0]})
    columns = ColumnTransformer([("kind", OneHotEncoder(), ["kind"]), ("value", "passthrough", ["value"])])
    model = make_pipeline(columns, GradientBoostingRegressor(n_estimators=3)).fit(frame, y)
    inputs = [("kind", StringTensorType([None, 1])), ("value", FloatTensorType([None, 1]))]
    return to_onnx(model, initial_types=inputs, target_opset={"": 17, "ai.onnx.ml": 3})


def run_refused(rng, program, folder):
    """Prints one line a model; gives whether each is refused as expected."""
    passed = True
    for name, model, wanted in refused_models(rng):
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "rows.f32").write_bytes(b"")
        features = sum(info.type.tensor_type.shape.dim[-1].dim_value for info in model.graph.input)
        command = [program, folder / "model.onnx", str(features), folder / "rows.f32", folder / "out.f32"]
        done = subprocess.run(command, capture_output=True, text=True)
        refused = done.returncode == 1 and "is refused" in done.stderr and wanted in done.stderr
        shown = f"refused: ... {wanted} ..." if refused else f"expected `{wanted}`, got: {done.stderr.strip() or 'an answer'}"
        print(f"{'ok  ' if refused else 'FAIL'}  {name:62} {shown}", flush=True)
        passed &= refused
    return passed
