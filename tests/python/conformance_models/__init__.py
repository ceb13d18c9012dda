"""The models that conformance.py compares, and how it compares them.

- `library`: models trained and exported by the libraries people use
- `random_trees`: tree ensembles made at random
- `node_tests`: the ONNX project's own tests of the operators
- `compare`: rows to compare on, ONNX Runtime and cooltwin on them
"""
