"""Rows to compare on, and what ONNX Runtime and cooltwin make of them."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import helper


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


def test_rows(rng, case, n):
    rows = (rng.normal(size=(n, case.features)) * rng.choice([0.5, 1.0, 4.0], size=(n, 1))).astype(np.float32)
    rows[: n // 2, min(3, case.features - 1)] = rng.integers(-1, 8, n // 2)
    rows[rng.random(rows.shape) < 0.02] = 0.0
    rows[rng.random(rows.shape) < 0.02] = -0.0
    at = thresholds(case.model)
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
    if case.missing:
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
    command = [program, folder / "model.onnx", str(rows.shape[1]), folder / "rows.f32", folder / "out.f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    info = json.loads(done.stdout)
    walks = ",".join(sorted({e["walk"] for e in info["ensembles"]}))
    path = info["path"] + (f" ({walks})" if walks else "")
    return np.fromfile(folder / "out.f32", "<f4").reshape(len(rows), -1), path


def compare(case, rows, program, folder):
    """Prints one line; gives whether the model passes."""
    expected = onnx_runtime(case.model, rows)
    found, path = cooltwin(program, folder, case.model, rows)
    both_nan = np.isnan(expected) & np.isnan(found)
    with np.errstate(invalid="ignore"):
        difference = np.where(both_nan | (expected == found), 0.0, np.abs(expected.astype(np.float64) - found))
    worst = float(np.nan_to_num(difference, nan=np.inf).max())
    if case.tolerance is not None:
        relative = float((difference / np.maximum(np.abs(expected), 1.0)).max())
        passed, shown = relative <= case.tolerance, f"{relative:.1e} relative"
    else:
        bits = (expected.view(np.int32) == found.view(np.int32)) | both_nan
        passed, shown = worst == 0.0 and bool(bits.all()), f"{worst}"
        if not passed:
            shown += f" in {int((~bits).sum())} of {bits.size} values"
    print(f"{'ok  ' if passed else 'FAIL'}  {case.name:62} {path:16} {len(rows):6} rows  max difference {shown}", flush=True)
    return passed


def build_program():
    root = Path(__file__).resolve().parents[3]
    subprocess.run(["cargo", "build", "--quiet", "--example", "predict_onnx"], cwd=root, check=True)
    target = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=root, check=True, capture_output=True
    )
    return Path(json.loads(target.stdout)["target_directory"]) / "debug/examples/predict_onnx"
