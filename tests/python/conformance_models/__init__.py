"""The models that conformance.py compares, and how it compares them.

- `library`: models trained and exported by the libraries people use (`boosters`, `sklearn_trees`, `sklearn_smooth`, by
  the lines of docs/bundle.md in `exports`), and `operators`: those around a model, one by one
- `refused`: models that cannot be accepted, and what the refusal says
- `random_trees`: tree ensembles made at random
- `node_tests`: the ONNX project's own tests of the operators
- `compare`: rows to compare on, ONNX Runtime and cooltwin on them
"""

import os

# Before any of the libraries is loaded: for models this small, threads cost far more than they save.
os.environ["OMP_NUM_THREADS"] = "1"
