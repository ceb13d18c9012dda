"""Lays out what the harness reads: rows, two groups of models in every competitor's format, and peers.json.

    prepare.py --folder target/peers

Called by run.sh, which sets up the environment. Peers that run.sh could not install are in FOLDER/missing, a file each
with the reason; what cannot be made here joins them. Does nothing if nothing has changed since the last time.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "models" / "training"))
from data import Cooltwin, Run  # noqa: E402
from exact_onnx import snap, to_onnx  # noqa: E402

BUNDLE = ROOT / "models" / "unit-cooler"
REFERENCE_TREES = "180 trees x 31 leaves"
# Larger models: more trees than the reference bundle's, of other data than the rows that are measured.
TREES = 300
SHAPES = {
    "ucaot": {"num_leaves": 31, "max_depth": 8},
    "ucwot": {"num_leaves": 31, "max_depth": 8},
    "ucaf": {"num_leaves": 20, "max_depth": 6},
}
PARAMETERS = {
    "objective": "l2", "learning_rate": 0.05, "min_data_in_leaf": 20, "lambda_l2": 1.0, "max_bin": 250, "seed": 1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
}
# (seed, units, rows a unit).
TRAINING = [(11, 2, 12_000), (12, 2, 12_000), (13, 2, 12_000)]
MEASURED = (2027, 16, 1536)
# Different rows that are measured: drawn from those of MEASURED, so that neighbours are not one unit's next instants.
ROWS = 8192
TREELITE, LLEAVES = "treelite/tl2cgen", "lleaves"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cooltwin", type=Path, help="the program that makes the rows; default: build it")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    folder = options.folder.resolve()
    missing = {path.stem.replace("+", "/"): path.read_text().strip() for path in (folder / "missing").glob("*.txt")}
    stamp = stamp_of()
    setup = folder / "peers.json"
    # What could not be compiled is tried again.
    if setup.exists() and [json.loads(setup.read_text())[key] for key in ("stamp", "missing")] == [stamp, missing]:
        return
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    manifest = tomllib.loads((BUNDLE / "bundle.toml").read_text())
    cooltwin = Cooltwin((options.cooltwin or build()).resolve(), work)

    say("rows")
    rows = measured_rows(cooltwin, manifest)
    rows.astype("<f4").tofile(folder / "rows.f32")
    reference = folder / "reference"
    reference.mkdir(exist_ok=True)
    for name in SHAPES:
        (reference / f"{name}.onnx").write_bytes((BUNDLE / f"{name}.onnx").read_bytes())
        # Written anew by LightGBM: lleaves wants the header fields that the snapped text has no need of.
        text = ROOT / "models" / "training" / "lightgbm" / f"{name}.txt"
        lgb.Booster(model_file=str(text)).save_model(reference / f"{name}.txt")
    large = folder / "large"
    large.mkdir(exist_ok=True)
    train_large(cooltwin, manifest, large)

    suites = [
        suite("reference", f"models/unit-cooler, {REFERENCE_TREES} each", reference),
        suite("large", f"{TREES} trees each, {', '.join(map(shape_in_words, SHAPES))}", large),
    ]
    compile_all(suites, missing)
    packages = ("onnxruntime", "lightgbm", "treelite", "tl2cgen", "lleaves", "llvmlite", "numpy")
    content = {
        "stamp": stamp,
        "versions": {name: version(name) for name in packages} | {
            "python": platform.python_version(),
            "gcc": first_line("gcc", "-dumpfullversion"),
            "valgrind": first_line("valgrind", "--version").removeprefix("valgrind-"),
            "rustc": first_line("rustc", "--version").split()[1],
        },
        "missing": missing,
        "features": rows.shape[1],
        "rows": str(folder / "rows.f32"),
        "rows_from": f"`cooltwin simulate` and `features`, {MEASURED[1]} units no model was trained on, in random order",
        "onnxruntime": one(Path(onnxruntime.__file__).parent / "capi", "libonnxruntime.so*"),
        "lightgbm": one(Path(lgb.__file__).parent, "**/lib_lightgbm.so"),
        "python": [sys.executable, str(Path(__file__).with_name("python_ort.py"))],
        "suites": suites,
    }
    setup.write_text(json.dumps(content, indent=1) + "\n")


def shape_in_words(name):
    return f"{name} {SHAPES[name]['num_leaves']} leaves and depth {SHAPES[name]['max_depth']} at most"


def stamp_of():
    """A hash of everything that the result depends on, the features' code apart."""
    training = ROOT / "models" / "training"
    files = [Path(__file__), Path(__file__).with_name("requirements.txt"), training / "data.py", training / "exact_onnx.py"]
    files += sorted([*training.glob("lightgbm/*.txt"), *BUNDLE.glob("*.onnx"), BUNDLE / "bundle.toml"])
    digest = hashlib.sha256(json.dumps([sys.version, sys.executable]).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build():
    say("building cooltwin")
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--bin", "cooltwin"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "cooltwin"


def measured_rows(cooltwin, manifest):
    step = manifest["step"]
    run = Run(cooltwin, BUNDLE, manifest, cooltwin.simulate(*MEASURED, step))
    random = np.random.default_rng(MEASURED[0])
    return run.x[random.permutation(len(run.x))[:ROWS]]


def train_large(cooltwin, manifest, folder):
    """LightGBM models of the larger shape, snapped and exported as the reference bundle's are."""
    say("training the larger models")
    runs = [Run(cooltwin, BUNDLE, manifest, cooltwin.simulate(*size, manifest["step"])) for size in TRAINING]
    x = np.concatenate([run.x for run in runs])
    for target in manifest["targets"]:
        name = target["name"].lower()
        y = np.concatenate([run.y[target["name"]] for run in runs])
        known = np.isfinite(y)
        parameters = PARAMETERS | SHAPES[name]
        data = lgb.Dataset(x[known], (y[known] - y[known].mean()) / y[known].std(), params=parameters)
        text = snap(lgb.train(parameters, data, num_boost_round=TREES))
        (folder / f"{name}.onnx").write_bytes(to_onnx(text, x.shape[1], name))
        lgb.Booster(model_str=text).save_model(folder / f"{name}.txt")


def suite(name, description, folder):
    """A suite's files, as peers.json has them."""
    models = [
        {"name": model, "onnx": str(folder / f"{model}.onnx"), "lightgbm": str(folder / f"{model}.txt")}
        for model in SHAPES
    ]
    return {"name": name, "description": description, "models": models}


def compile_all(suites, missing):
    """Adds the compiled models of whoever is installed."""
    peers = [(TREELITE, "treelite", by_treelite), (LLEAVES, "lleaves", by_lleaves)]
    if platform.machine() == "x86_64":
        peers.append((LLEAVES, "lleaves_counted", by_lleaves_without_avx512))
    models = [model for suite in suites for model in suite["models"]]
    say("compiling the models")
    with ProcessPoolExecutor() as pool:
        running = []
        for peer, key, compile_model in peers:
            for model in models if peer not in missing else []:
                text = Path(model["lightgbm"])
                library = text.with_suffix(f".{key}.so")
                running.append((peer, key, model, library, pool.submit(compile_model, text, library)))
        for peer, key, model, library, future in running:
            try:
                future.result()
                model[key] = str(library)
            except Exception as error:  # whatever it is, the report names it
                missing[peer] = f"{type(error).__name__}: {error}"


def by_treelite(text, library):
    import tl2cgen
    import treelite

    source = library.with_suffix("")
    model = treelite.frontend.load_lightgbm_model(str(text))
    tl2cgen.generate_c_code(model, dirpath=str(source), params={})
    # The harness fills in doubles.
    if "double fvalue" not in (source / "header.h").read_text():
        raise RuntimeError("the generated code does not take doubles")
    subprocess.run(["gcc", "-O2", "-fPIC", "-shared", "-o", library, source / "main.c", "-lm"], check=True)


def by_lleaves(text, library, **target):
    import lleaves

    code = library.with_suffix(".o")
    code.unlink(missing_ok=True)
    model = lleaves.Model(model_file=str(text))
    # What its manual advises for single rows of models of this size.
    model.compile(cache=str(code), use_fp64=False, fcodemodel="small", fblocksize=model.num_trees(), **target)
    subprocess.run(["gcc", "-shared", "-o", library, code], check=True)


def by_lleaves_without_avx512(text, library):
    by_lleaves(text, library, target_cpu="x86-64-v3", target_cpu_features="")


def one(folder, pattern):
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if len(found) != 1:
        sys.exit(f"expected one {pattern} in {folder}, found {len(found)}")
    return str(found[0])


def version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def first_line(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[0]


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
