#!/usr/bin/env python3
"""Compare cooltwin with ONNX Runtime on models of several libraries, and run ONNX's own tests.

    python tests/python/conformance.py [--predict PROGRAM] [--rows N] [--keep DIR]

Trains small models with LightGBM, XGBoost, CatBoost and scikit-learn, exports them to ONNX by the lines
of docs/bundle.md, adds the operators that stand around a model, one by one, and tree ensembles made at
random (all operators, modes, aggregates, transforms and both precisions). Each of them runs in ONNX
Runtime (one thread) and in cooltwin on the same rows: random ones, rows with values exactly at a
threshold and at the next float above and below, and rows with NaN and infinities. The tests of these
operators that the onnx package carries run as well. Models that cannot be accepted must be refused in
words that name the reason.

Trees and what is plain arithmetic must agree to the bit. Sums agree within 5e-6, relative; networks
within 1e-5; transforms, which take exponentials and logarithms, within 1e-6 (PROBIT 1e-5), SOFTMAX
relative. Support vectors must be as close to the exact sum as ONNX Runtime. Exit code 1 otherwise.

PROGRAM is the example `predict_onnx`; without --predict it is built with cargo (dev profile).
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from conformance_models.compare import build_program, compare, test_rows
from conformance_models.library import library_models
from conformance_models.node_tests import run_node_tests
from conformance_models.random_trees import random_models
from conformance_models.refused import run_refused

SEED = 20240229


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predict", type=Path, help="the built example predict_onnx")
    parser.add_argument("--rows", type=int, default=100_000, help="rows in all, over the models (default 100000)")
    parser.add_argument("--keep", type=Path, help="folder to write the exported models to")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    program = arguments.predict or build_program()
    rng = np.random.default_rng(SEED)
    library, made = list(library_models(rng)), list(random_models(rng))
    cases = [*library, *made]
    passed, total = True, 0
    with tempfile.TemporaryDirectory() as folder:
        for index, case in enumerate(cases):
            # Two thirds of the rows for the models that people really have.
            share = arguments.rows * 2 // 3 // len(library) if index < len(library) else arguments.rows // 3 // len(made)
            rows = test_rows(rng, case, share + 1)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{case.name.replace(' ', '_').replace(',', '')}.onnx").write_bytes(case.model.SerializeToString())
            try:
                passed &= compare(case, rows, program, Path(folder))
            except Exception as error:  # one model that cannot be run must not hide the others
                print(f"FAIL  {case.name:62} {error}", flush=True)
                passed = False
            total += len(rows)
        passed &= run_node_tests(program, Path(folder))
        passed &= run_refused(rng, program, Path(folder))
    print(f"{len(cases)} models, {total} rows, onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}: "
          f"{'all agree' if passed else 'DIFFERENCES'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
