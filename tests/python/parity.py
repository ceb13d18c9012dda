#!/usr/bin/env python3
"""Proves that ONNX Runtime, LightGBM and cooltwin give the same numbers for the models of a bundle.

    target/training/venv/bin/python tests/python/parity.py

Every tree kernel that this processor has is compared. 100,000 rows: half simulated, half with values at split thresholds, the floats next to them, missing values and
extremes. Every difference must be exactly 0.0; the exit code is 1 otherwise. Wants the environment that
`models/training/train.sh` sets up (or the packages of models/training/requirements.txt) and a Rust toolchain.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime as ort

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 20_260_105
SIMULATED_UNITS = 5
# Share of the cells of a made-up row that are replaced.
REPLACED = 0.25
# Portable vectors crawl without optimisation: every tenth row.
SLOW_KERNELS = {"quickscorer": 10}
KERNELS = ["reference", "walk", "quickscorer", "quickscorer-avx2", "quickscorer-avx512", "quickscorer-neon"]
# Rows of either kind that also go through the command line, as text.
COMMAND_LINE_ROWS = 5000


def main():
    options = arguments()
    manifest = tomllib.loads((options.bundle / "bundle.toml").read_text())
    n_features = len(manifest["features"])
    predict_onnx, cooltwin = programs(options)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        simulated = simulated_rows(cooltwin, options.bundle, manifest, options.rows // 2, folder)
        print(f"{'model':<12} {'rows':>7} {'ONNX Runtime':>14} {'LightGBM':>14}   largest difference to cooltwin")
        for target in manifest["targets"]:
            path = options.bundle / target["model"]
            rows = np.concatenate([simulated, made_up_rows(path, simulated, options.rows - len(simulated))])
            ours = by_cooltwin(predict_onnx, path, rows, folder)[:, target.get("output", 0)]
            runtime = by_onnx_runtime(path, rows)[:, target.get("output", 0)]
            for kernel in KERNELS:
                step = SLOW_KERNELS.get(kernel, 1)
                forced = by_cooltwin(predict_onnx, path, rows[::step], folder, kernel)
                if forced is not None:
                    difference = largest_difference(forced[:, target.get("output", 0)], runtime[::step])
                    print(f"  {kernel:<20} {difference} to ONNX Runtime, {len(forced)} rows")
                    failed |= difference != 0.0
            text = options.lightgbm / f"{target['name'].lower()}.txt"
            differences = [largest_difference(ours, runtime)]
            if text.exists():
                differences.append(largest_difference(ours, by_lightgbm(text, rows)))
            elif not options.without_lightgbm:
                sys.exit(f"{text} is missing; give --lightgbm DIR, or --without-lightgbm if it is not LightGBM's model")
            shown = " ".join(f"{difference:>14}" for difference in differences)
            print(f"{target['name']:<12} {len(rows):>7} {shown}")
            failed |= any(difference != 0.0 for difference in differences)
        sample = np.concatenate([simulated[:COMMAND_LINE_ROWS], rows[-COMMAND_LINE_ROWS:]])
        difference = command_line_difference(cooltwin, options.bundle, manifest, sample, folder)
        print(f"cooltwin predict --features, in the targets' units, {len(sample)} rows: {difference}")
        failed |= difference != 0.0
    if failed:
        sys.exit("the numbers differ")
    print("all the same")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "unit-cooler")
    parser.add_argument("--lightgbm", type=Path, default=ROOT / "models" / "training" / "lightgbm",
                        help="folder of LightGBM's own model files")
    parser.add_argument("--without-lightgbm", action="store_true", help="compare with ONNX Runtime alone")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--profile", default="dev", help="cargo profile to build with (default: %(default)s)")
    return parser.parse_args()


def programs(options):
    """Builds the example that runs one model, and cooltwin itself."""
    build = ["cargo", "build", "--quiet", "--locked", "--profile", options.profile]
    subprocess.run([*build, "--example", "predict_onnx", "--bin", "cooltwin"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = target / ("debug" if options.profile == "dev" else options.profile)
    return built / "examples" / "predict_onnx", built / "cooltwin"


def simulated_rows(cooltwin, bundle, manifest, count, folder):
    """Feature vectors of simulated units that no model has seen; the first ones while histories fill up."""
    readings, each = folder / "readings.csv", -(-count // SIMULATED_UNITS)
    simulate = [cooltwin, "simulate", "--seed", str(SEED), "--units", str(SIMULATED_UNITS), "--rows", str(each)]
    with open(readings, "wb") as out:
        subprocess.run(simulate, stdout=out, check=True)
    return feature_rows(cooltwin, bundle, manifest, readings)[:count]


def feature_rows(cooltwin, bundle, manifest, readings):
    done = subprocess.run([cooltwin, "features", "--bundle", bundle, readings], stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().splitlines()
    header = lines[0].split(",")
    places = [header.index(feature["name"]) for feature in manifest["features"]]
    cells = (line.split(",") for line in lines[1:])
    return np.array([[float(row[p]) if row[p] else np.nan for p in places] for row in cells], np.float32)


def made_up_rows(path, simulated, count):
    """Simulated rows in which a quarter of the cells is replaced by what a split could get wrong."""
    random = np.random.default_rng(SEED)
    rows = simulated[random.integers(0, len(simulated), count)].copy()
    thresholds = thresholds_of(path, rows.shape[1])
    sizes = [0.0, 1e-45, 1e-38, 1e-35, 1e30, np.finfo(np.float32).max]
    extremes = np.array([np.nan, *sizes, *(-size for size in sizes)], np.float32)
    for feature in range(rows.shape[1]):
        cells = np.flatnonzero(random.random(count) < REPLACED)
        at = thresholds[feature] if len(thresholds[feature]) else extremes
        at = at[random.integers(0, len(at), len(cells))]
        kind = random.integers(0, 5, len(cells))
        with np.errstate(over="ignore"):
            below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
        below, above = np.where(np.isinf(below), at, below), np.where(np.isinf(above), at, above)
        odd = extremes[random.integers(0, len(extremes), len(cells))]
        rows[cells, feature] = np.choose(kind, [at, below, above, np.full(len(cells), np.nan, np.float32), odd])
    return rows


def thresholds_of(path, n_features):
    """The distinct thresholds of each feature."""
    found = [set() for _ in range(n_features)]
    for node in onnx.load(path).graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        parts = (attributes.get(f"nodes_{part}", []) for part in ("modes", "featureids", "values"))
        for mode, feature, value in zip(*parts):
            if mode != b"LEAF":
                found[feature].add(value)
    return [np.array(sorted(values), np.float32) for values in found]


def by_cooltwin(program, path, rows, folder, kernel=None):
    """The outputs of the fastest kernel or the one named; None if this processor cannot run that."""
    matrix, out = folder / "rows.f32", folder / "out.f32"
    rows.astype("<f4").tofile(matrix)
    environment = os.environ | ({"COOLTWIN_KERNEL": kernel} if kernel else {})
    command = [program, path, str(rows.shape[1]), matrix, out]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    if kernel and "the processor has no" in done.stderr:
        print(f"  {kernel:<20} not on this processor")
        return None
    if done.returncode != 0:
        sys.exit(done.stderr)
    return np.fromfile(out, "<f4").reshape(len(rows), -1).astype(np.float64)


def by_onnx_runtime(path, rows):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: rows})[0].astype(np.float64)


def by_lightgbm(text, rows):
    return lgb.Booster(model_file=str(text)).predict(rows, num_threads=1)


def command_line_difference(cooltwin, bundle, manifest, rows, folder):
    """`cooltwin predict --features` against ONNX Runtime with the scalers of the manifest."""
    matrix = folder / "matrix.csv"
    names = [feature["name"] for feature in manifest["features"]]
    text = [",".join(names)]
    text += [",".join("" if np.isnan(value) else str(value) for value in row) for row in rows]
    matrix.write_text("\n".join(text) + "\n")
    command = [cooltwin, "predict", "--bundle", bundle, "--features", matrix]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    worst = 0.0
    for target in manifest["targets"]:
        ours = np.array([prediction[target["name"]] for prediction in predictions])
        scaler = target.get("output_scaler", {"mean": 0.0, "scale": 1.0})
        raw = by_onnx_runtime(bundle / target["model"], rows)[:, target.get("output", 0)]
        worst = max(worst, largest_difference(ours, raw * scaler["scale"] + scaler["mean"]))
    return worst


def largest_difference(ours, theirs):
    if len(ours) != len(theirs) or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return np.inf
    return float(np.abs(ours - theirs).max())


if __name__ == "__main__":
    main()
