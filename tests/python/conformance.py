#!/usr/bin/env python3
"""Compare cooltwin with ONNX Runtime on models of several libraries.

    python tests/python/conformance.py [--predict PROGRAM] [--rows N] [--keep DIR]

Trains small models with XGBoost, scikit-learn and LightGBM, exports them to ONNX, adds tree
ensembles made at random from all node modes and aggregates, and runs each of them in ONNX Runtime
(one thread) and in cooltwin on the same rows: random ones, rows with values exactly at a threshold
and at the next float above and below, and rows with NaN and infinities.

Tree models must agree to the bit; networks within 1e-5, relative. Exit code 1 otherwise.

PROGRAM is the example `predict_onnx`; without --predict it is built with cargo (dev profile).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxruntime
import xgboost
from onnx import TensorProto, helper
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

FEATURES = 12
SEED = 20240229
NETWORK_TOLERANCE = 1e-5
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def training_data(rng, n=3000, missing=0.0, targets=1):
    x = rng.normal(size=(n, FEATURES)).astype(np.float32)
    x[:, 3] = rng.integers(0, 6, n)  # few distinct values: many rows at thresholds
    y = np.stack(
        [np.sin(x[:, t]) * x[:, 1] + x[:, 2] ** 2 - x[:, 3] * (x[:, 4] > 0) + t for t in range(targets)], axis=1
    )
    if missing:
        x[rng.random(x.shape) < missing] = np.nan
    return x, (y[:, 0] if targets == 1 else y)


# --- models of other libraries -----------------------------------------------------------------

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
    """(name, ONNX model, rows may hold NaN, is a network)."""
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)
    xm, ym = training_data(rng, targets=3)
    inputs = [("X", FloatTensorType([None, FEATURES]))]

    booster = xgboost.XGBRegressor(n_estimators=120, max_depth=6, learning_rate=0.1, base_score=0.5).fit(xn, yn)
    yield "xgboost", convert_xgboost(booster, initial_types=inputs, target_opset=15), True, False

    booster = lightgbm.LGBMRegressor(n_estimators=150, num_leaves=31, verbose=-1).fit(xn, yn)
    yield "lightgbm", convert_lightgbm(booster, initial_types=inputs, target_opset=15), True, False

    booster = lightgbm.LGBMRegressor(n_estimators=40, num_leaves=15, min_data_per_group=5, cat_smooth=1, verbose=-1)
    booster.fit(x, y, categorical_feature=[3])
    yield "lightgbm categorical", convert_lightgbm(booster, initial_types=inputs, target_opset=15), False, False

    trees = {
        "sklearn decision tree": DecisionTreeRegressor(max_depth=8, random_state=1),
        "sklearn random forest": RandomForestRegressor(n_estimators=60, max_depth=8, random_state=1),
        "sklearn extra trees": ExtraTreesRegressor(n_estimators=60, max_depth=9, random_state=1),
        "sklearn gradient boosting": GradientBoostingRegressor(n_estimators=100, random_state=1),
    }
    for name, model in trees.items():
        yield name, sklearn_onnx(model.fit(x, y), x), False, False
    for name, model in {
        "sklearn random forest, 3 targets": RandomForestRegressor(n_estimators=40, max_depth=8, random_state=1),
        "sklearn extra trees, 3 targets": ExtraTreesRegressor(n_estimators=40, max_depth=8, random_state=1),
    }.items():
        yield name, sklearn_onnx(model.fit(xm, ym), xm), False, False

    scaled = make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=50, random_state=1)).fit(x, y)
    yield "sklearn scaler and boosting", sklearn_onnx(scaled, x), False, False
    network = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(32, 16), max_iter=60, random_state=1)).fit(x, y)
    yield "sklearn scaler and network", sklearn_onnx(network, x), False, True
    network = MLPRegressor(hidden_layer_sizes=(24,), activation="tanh", max_iter=60, random_state=1).fit(xm, ym)
    yield "sklearn network, 3 targets", without_last_reshape(sklearn_onnx(network, xm)), False, True
    yield "sklearn linear", sklearn_onnx(LinearRegression().fit(x, y), x), False, True


# --- ensembles made at random ------------------------------------------------------------------

def random_tree(rng, modes, depth):
    """Nodes as dictionaries, the root first, ids shuffled."""
    nodes = []

    def grow(level):
        index = len(nodes)
        nodes.append({"mode": "LEAF", "feature": 0, "value": 0.0, "missing": 0, "true": 0, "false": 0})
        if level < depth and (level == 0 or rng.random() < 0.8):
            special = rng.random()
            value = float(np.float32(rng.normal())) if special < 0.8 else float(
                rng.choice([0.0, -0.0, 1e-42, -1e-45, np.inf, 3.4028235e38, -3.4028235e38, 1.0])
            )
            nodes[index] |= {
                "mode": str(rng.choice(modes)), "feature": int(rng.integers(FEATURES)), "value": value,
                "missing": int(rng.random() < 0.5), "true": grow(level + 1), "false": grow(level + 1),
            }
        return index

    grow(0)
    return nodes, rng.permutation(len(nodes)).tolist()


def random_ensemble(rng, modes, aggregate, targets, missing, base, per_leaf, trees=37):
    names = ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"]
    columns = {f"nodes_{name}": [] for name in names}
    tracks = []
    leaves = {f"target_{name}": [] for name in ["treeids", "nodeids", "ids", "weights"]}
    for tree in range(trees):
        nodes, ids = random_tree(rng, modes, depth=int(rng.integers(0, 7)))
        only = int(rng.integers(targets))
        for index, node in enumerate(nodes):
            row = [tree, ids[index], node["feature"], node["mode"], node["value"], ids[node["true"]], ids[node["false"]]]
            for column, value in zip(columns.values(), row):
                column.append(value)
            tracks.append(node["missing"])
            if node["mode"] == "LEAF":
                chosen = range(targets) if per_leaf == "all" else [only]
                if per_leaf == "some":
                    chosen = [t for t in range(targets) if rng.random() < 0.6]
                for target in chosen:
                    weight = float(np.float32(rng.normal() * 10.0 ** rng.integers(-3, 4)))
                    for column, value in zip(leaves.values(), [tree, ids[index], target, weight]):
                        column.append(value)
    attributes = columns | leaves | {"n_targets": targets, "aggregate_function": aggregate}
    if missing:
        attributes["nodes_missing_value_tracks_true"] = tracks
    if base:
        attributes["base_values"] = [float(np.float32(v)) for v in rng.normal(size=targets)]
    node = helper.make_node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], "random",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, targets])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def random_models(rng):
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        for targets, per_leaf in [(1, "all"), (3, "all"), (3, "one"), (4, "some")]:
            for base in [False, True]:
                ordered = bool(rng.random() < 0.7)
                modes = MODES[:4] if ordered else MODES
                kind = "ordered" if ordered else "all modes"
                name = f"random {aggregate}, {targets} targets ({per_leaf} a leaf), {kind}{', base' if base else ''}"
                model = random_ensemble(rng, modes, aggregate, targets, bool(rng.random() < 0.6), base, per_leaf)
                yield name, model, True, False
    for mode in MODES:
        yield f"random {mode} only", random_ensemble(rng, [mode], "SUM", 1, True, False, "all"), True, False


# --- comparison --------------------------------------------------------------------------------

def thresholds(model):
    """{feature: thresholds} over all tree nodes of the graph."""
    found = {}
    for node in model.graph.node:
        if node.op_type == "TreeEnsembleRegressor":
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            nodes = zip(attributes["nodes_featureids"], attributes["nodes_values"], attributes["nodes_modes"])
            for feature, value, mode in nodes:
                if mode != b"LEAF":
                    found.setdefault(feature, []).append(np.float32(value))
    return found


def test_rows(rng, model, n, missing):
    rows = (rng.normal(size=(n, FEATURES)) * rng.choice([0.5, 1.0, 4.0], size=(n, 1))).astype(np.float32)
    rows[: n // 2, 3] = rng.integers(-1, 8, n // 2)
    rows[rng.random(rows.shape) < 0.02] = 0.0
    rows[rng.random(rows.shape) < 0.02] = -0.0
    at = thresholds(model)
    for feature, values in at.items():
        hit = rng.random(n) < 0.5
        exact = rng.choice(np.array(values, np.float32), size=n)
        step = rng.integers(-1, 2, n)
        near = np.where(step < 0, np.nextafter(exact, np.float32(-np.inf)), exact)
        near = np.where(step > 0, np.nextafter(exact, np.float32(np.inf)), near)
        rows[hit, feature] = near.astype(np.float32)[hit]
    if at:  # infinities mean nothing to a network
        rows[rng.random(rows.shape) < 0.01] = np.inf
        rows[rng.random(rows.shape) < 0.01] = -np.inf
    if missing:
        rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows


def onnx_runtime(model, rows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = session.get_inputs()[0].name
    output = session.run(None, {feed: rows})[0]
    return output.reshape(len(rows), -1)


def cooltwin(program, folder, model, rows):
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rows.astype("<f4").tofile(folder / "rows.f32")
    command = [program, folder / "model.onnx", str(FEATURES), folder / "rows.f32", folder / "out.f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    info = json.loads(done.stdout)
    walks = ",".join(sorted({e["walk"] for e in info["ensembles"]}))
    path = info["path"] + (f" ({walks})" if walks else "")
    return np.fromfile(folder / "out.f32", "<f4").reshape(len(rows), -1), path


def compare(name, model, rows, network, program, folder):
    """Prints one line; gives whether the model passes."""
    expected = onnx_runtime(model, rows)
    found, path = cooltwin(program, folder, model, rows)
    both_nan = np.isnan(expected) & np.isnan(found)
    with np.errstate(invalid="ignore"):
        difference = np.where(both_nan | (expected == found), 0.0, np.abs(expected.astype(np.float64) - found))
    worst = float(np.nan_to_num(difference, nan=np.inf).max())
    if network:
        relative = float((difference / np.maximum(np.abs(expected), 1.0)).max())
        passed, shown = relative <= NETWORK_TOLERANCE, f"{relative:.1e} relative"
    else:
        bits = (expected.view(np.int32) == found.view(np.int32)) | both_nan
        passed, shown = worst == 0.0 and bool(bits.all()), f"{worst}"
        if not passed:
            shown += f" in {int((~bits).sum())} of {bits.size} values"
    print(f"{'ok  ' if passed else 'FAIL'}  {name:62} {path:16} {len(rows):6} rows  max difference {shown}", flush=True)
    return passed


def build_program():
    root = Path(__file__).resolve().parents[2]
    subprocess.run(["cargo", "build", "--quiet", "--example", "predict_onnx"], cwd=root, check=True)
    target = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=root, check=True, capture_output=True
    )
    return Path(json.loads(target.stdout)["target_directory"]) / "debug/examples/predict_onnx"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predict", type=Path, help="the built example predict_onnx")
    parser.add_argument("--rows", type=int, default=100_000, help="rows in all, over the models (default 100000)")
    parser.add_argument("--keep", type=Path, help="folder to write the exported models to")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    program = arguments.predict or build_program()
    rng = np.random.default_rng(SEED)
    models = [*library_models(rng), *random_models(rng)]
    # Two thirds of the rows for the models that people really have.
    library = sum(not name.startswith("random ") for name, *_ in models)
    share = {False: arguments.rows * 2 // 3 // library, True: arguments.rows // 3 // (len(models) - library)}
    passed, total = True, 0
    with tempfile.TemporaryDirectory() as folder:
        for name, model, missing, network in models:
            rows = test_rows(rng, model, share[name.startswith("random ")] + 1, missing)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{name.replace(' ', '_').replace(',', '')}.onnx").write_bytes(model.SerializeToString())
            try:
                passed &= compare(name, model, rows, network, program, Path(folder))
            except Exception as error:  # one model that cannot be run must not hide the others
                print(f"FAIL  {name:62} {error}", flush=True)
                passed = False
            total += len(rows)
    print(f"{len(models)} models, {total} rows, onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}: "
          f"{'all agree' if passed else 'DIFFERENCES'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
