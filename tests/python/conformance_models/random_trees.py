"""Tree ensembles made at random from everything the operators allow."""

import numpy as np
from onnx import TensorProto, helper

from .case import FEATURES, Case

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


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
                yield Case(name, model, missing=True)
    for mode in MODES:
        yield Case(f"random {mode} only", random_ensemble(rng, [mode], "SUM", 1, True, False, "all"), missing=True)
