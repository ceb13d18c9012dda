"""Rows to compare on, and what ONNX Runtime and cooltwin make of them."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# BRANCH_MEMBER among the modes of version 5.
SET_MEMBER = 6
SPECIAL = [np.inf, -np.inf, 0.5, -0.5, 1.5, -1.5, 2.5, 1e-42, -1e-42, 1.0, -1.0, 2.0, 88.8, -103.9, 1e-20]


def thresholds(model):
    """{feature: thresholds and members of sets} over all tree nodes of the graph."""
    found = {}
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            attributes = {
                name: numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
                for name, value in attributes.items()
            }
            features = attributes["nodes_featureids"]
            for name in ["nodes_values", "nodes_values_as_tensor", "nodes_splits"]:
                for feature, value, mode in zip(features, attributes.get(name, []), attributes["nodes_modes"]):
                    if mode != b"LEAF" and not np.isnan(value):
                        found.setdefault(feature, []).append(np.float32(value))
            members = [member for member in attributes.get("membership_values", []) if not np.isnan(member)]
            for feature, mode in zip(features, attributes["nodes_modes"]):
                if mode == SET_MEMBER:
                    found.setdefault(feature, []).extend(np.float32(member) for member in members[:200])
    return found


def test_rows(rng, case, n):
    rows = (rng.normal(size=(n, case.features)) * rng.choice([0.5, 1.0, 4.0], size=(n, 1))).astype(np.float32)
    rows[: n // 2, min(3, case.features - 1)] = rng.integers(-1, 8, n // 2)
    rows[rng.random(rows.shape) < 0.02] = 0.0
    rows[rng.random(rows.shape) < 0.02] = -0.0
    at = thresholds(case.model)
    for feature, values in at.items():
        if feature >= case.features:  # made by a transformer
            continue
        hit = rng.random(n) < 0.5
        exact = rng.choice(np.array(values, np.float32), size=n)
        step = rng.integers(-1, 2, n)
        near = np.where(step < 0, np.nextafter(exact, np.float32(-np.inf)), exact)
        near = np.where(step > 0, np.nextafter(exact, np.float32(np.inf)), near)
        rows[hit, feature] = near.astype(np.float32)[hit]
    if at:  # infinities mean nothing to a network
        rows[rng.random(rows.shape) < 0.01] = np.inf
        rows[rng.random(rows.shape) < 0.01] = -np.inf
    if case.special:
        chosen = rng.choice(np.array(SPECIAL, np.float32), size=rows.shape)
        rows = np.where(rng.random(rows.shape) < 0.3, chosen, rows)
    rows[:, case.categories] = np.round(rows[:, case.categories])
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
    # The scores, not the label of a classifier.
    scores = [output.name for output in session.get_outputs() if output.type in ("tensor(float)", "tensor(double)")]
    feeds, first = {}, 0
    for feed in session.get_inputs():  # each takes its part of the row
        end = first + feed.shape[1] if len(session.get_inputs()) > 1 else rows.shape[1]
        feeds[feed.name] = rows[:, first:end].astype(np.float64 if feed.type == "tensor(double)" else np.float32)
        first = end
    output = session.run(scores[:1], feeds)[0]
    with np.errstate(over="ignore"):
        return output.astype(np.float32).reshape(len(rows), -1)


def cooltwin(program, folder, model, rows):
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rows.astype("<f4").tofile(folder / "rows.f32")
    command = [program, folder / "model.onnx", str(rows.shape[1]), folder / "rows.f32", folder / "out.f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    info = json.loads(done.stdout)
    kernels = ",".join(sorted({e["kernel"] for e in info["ensembles"]}))
    path = info["path"] + (f" ({kernels})" if kernels else "")
    return np.fromfile(folder / "out.f32", "<f4").reshape(len(rows), -1), path


def compare(case, rows, program, folder):
    """Prints one line; gives whether the model passes."""
    expected = onnx_runtime(case.model, rows)
    found, path = cooltwin(program, folder, case.model, rows)
    both_nan = np.isnan(expected) & np.isnan(found)
    with np.errstate(invalid="ignore"):
        difference = np.where(both_nan | (expected == found), 0.0, np.abs(expected.astype(np.float64) - found))
    worst = float(np.nan_to_num(difference, nan=np.inf).max())
    if case.exact is not None:
        exact = case.exact(rows.astype(np.float64)).reshape(expected.shape)
        own, other = (float(np.abs(values - exact).max()) for values in (found, expected))
        passed, shown = own <= other, f"{own:.1e} from the exact sum (ONNX Runtime {other:.1e})"
    elif case.tolerance is not None:
        relative = float((difference / np.fmax(np.abs(expected), case.floor)).max())
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
