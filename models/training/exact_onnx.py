"""LightGBM regression trees to ONNX without losing a bit.

LightGBM splits on doubles and sums doubles; ONNX stores and sums 32-bit floats. Three steps make both give the same
number, not just a near one:

1. Every threshold is rounded *down* to the nearest float. For an input x that is itself a float, `x <= t` and
   `x <= down(t)` are the same question: no float lies between the two.
2. LightGBM's predictor reads an input within 1e-35 of zero as zero. A threshold in that range moves to the end of it
   that keeps zero on its side, so that the range is never divided.
3. Every leaf value is rounded to a multiple of 2^-20. As long as the sum over all trees stays below 16, every
   partial sum is a multiple of 2^-20 below 2^24 * 2^-20 and so exactly a float: no addition rounds, in any order.

`snap` applies all three to the LightGBM model itself (so LightGBM can be compared), `to_onnx` writes what is left.
"""

import numpy as np
import lightgbm as lgb
import onnx
from onnx import TensorProto, helper

LEAF_GRID = 2.0**-20
# LightGBM's kZeroThreshold, a float.
ZERO = np.float32(1e-35)
SUM_LIMIT = 2.0**24 * LEAF_GRID
IR_VERSION = 7
OPSET = 12
OPSET_ML = 1

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
# What LightGBM needs of a tree to predict with it; gains, weights and counts of training are left out.
TREE_FIELDS = (
    "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child",
    "leaf_value", "is_linear", "shrinkage",
)
HEADER_FIELDS = (
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names",
    "feature_infos",
)


def floor_float32(values):
    """The largest 32-bit float that is not above each value."""
    values = np.asarray(values, np.float64)
    near = values.astype(np.float32)
    above = near.astype(np.float64) > values
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def snap_thresholds(values):
    """Steps 1 and 2."""
    down = floor_float32(values)
    down = np.where((down >= 0) & (down < ZERO), ZERO, down)
    below = np.nextafter(-ZERO, np.float32(-np.inf))
    return np.where((down < 0) & (down >= -ZERO), below, down)


def snap(booster):
    """The same model with float thresholds and leaf values on the grid, as LightGBM's model text."""
    out = ["tree"]
    tree = None
    for line in booster.model_to_string(importance_type="gain").splitlines():
        name, _, value = line.partition("=")
        if line.startswith("Tree="):
            tree = line
            out += ["", line]
        elif line == "end of trees":
            break
        elif tree is None and name in HEADER_FIELDS:
            out.append(line)
        elif tree is not None and name in TREE_FIELDS:
            if name == "threshold":
                value = " ".join(repr(float(t)) for t in snap_thresholds([float(t) for t in value.split()]))
            elif name == "leaf_value":
                value = " ".join(repr(round(float(v) / LEAF_GRID) * LEAF_GRID) for v in value.split())
            out.append(f"{name}={value}")
    return "\n".join(out) + "\n\nend of trees\n"


def trees_of(text):
    """The trees of a model text, one dict of arrays each."""
    trees = []
    for block in text.split("\nTree=")[1:]:
        block = block.split("\nend of trees")[0]
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
            raise ValueError("only numerical splits and constant leaves can be exported exactly")
        array = lambda name, kind: np.array(fields.get(name, "").split(), dtype=kind)
        trees.append({
            "feature": array("split_feature", np.int64),
            "threshold": array("threshold", np.float64),
            "decision": array("decision_type", np.int64),
            "left": array("left_child", np.int64),
            "right": array("right_child", np.int64),
            "leaf": array("leaf_value", np.float64),
        })
    return trees


def nan_goes_left(decision, threshold):
    """Whether LightGBM sends a missing value to the left child."""
    missing = (decision >> 2) & 3
    if missing == MISSING_NAN:
        return bool(decision & 2)
    if missing == MISSING_NONE:
        return 0.0 <= threshold  # without a missing type LightGBM reads NaN as zero
    raise ValueError("zero_as_missing cannot be expressed in ONNX")


def to_onnx(text, n_features, name):
    """A snapped model text as the bytes of an ONNX model: `features` [N, n_features] -> `prediction` [N, 1]."""
    node = {key: [] for key in ("tree", "id", "feature", "mode", "value", "yes", "no", "nan_yes")}
    leaf = {key: [] for key in ("tree", "id", "weight")}
    largest_sum = 0.0
    for number, tree in enumerate(trees_of(text)):
        largest_sum += np.abs(tree["leaf"]).max()
        for branch, tree_id, mode, feature, value, yes, no, nan_yes in nodes_of(tree):
            node["tree"].append(number)
            node["id"].append(tree_id)
            node["mode"].append(mode)
            node["feature"].append(feature)
            node["yes"].append(yes)
            node["no"].append(no)
            node["nan_yes"].append(nan_yes)
            node["value"].append(value if branch else 0.0)
            if not branch:
                leaf["tree"].append(number)
                leaf["id"].append(tree_id)
                leaf["weight"].append(value)
    if largest_sum >= SUM_LIMIT:
        raise ValueError(f"leaf values may add up to {largest_sum}, at or beyond {SUM_LIMIT}: sums would round")
    attributes = {
        "n_targets": 1,
        "nodes_treeids": node["tree"],
        "nodes_nodeids": node["id"],
        "nodes_featureids": node["feature"],
        "nodes_modes": node["mode"],
        "nodes_values": node["value"],
        "nodes_truenodeids": node["yes"],
        "nodes_falsenodeids": node["no"],
        "target_treeids": leaf["tree"],
        "target_nodeids": leaf["id"],
        "target_ids": [0] * len(leaf["id"]),
        "target_weights": leaf["weight"],
    }
    if any(node["nan_yes"]):
        attributes["nodes_missing_value_tracks_true"] = node["nan_yes"]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["prediction"], name="trees", domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [ensemble], name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", n_features])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N", 1])])
    model = helper.make_model(
        graph, producer_name="cooltwin training", ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)])
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def nodes_of(tree):
    """The nodes of one tree, breadth first, as (is a branch, id, mode, feature, value, yes, no, NaN goes to yes)."""
    # LightGBM numbers leaves as -1, -2, ...; a tree without a split is one leaf.
    queue = [0 if len(tree["feature"]) else -1]
    nodes, next_id = [], 1
    for place, child in enumerate(queue):
        if child < 0:
            nodes.append((False, place, "LEAF", 0, float(tree["leaf"][-child - 1]), 0, 0, 0))
            continue
        threshold = float(tree["threshold"][child])
        nan_yes = int(nan_goes_left(int(tree["decision"][child]), threshold))
        nodes.append((True, place, "BRANCH_LEQ", int(tree["feature"][child]), threshold, next_id, next_id + 1, nan_yes))
        queue += [int(tree["left"][child]), int(tree["right"][child])]
        next_id += 2
    return nodes


def booster_of(text):
    """LightGBM's own predictor for a snapped model text."""
    return lgb.Booster(model_str=text)
