"""Makes tests/bundles/tiny/t.onnx: two trees over the six features of the tiny bundle.

Needs the `onnx` package. Seal afterwards: cooltwin seal tests/bundles/tiny --golden tests/bundles/tiny-readings.jsonl
"""

import pathlib

from onnx import TensorProto, helper

# tree 0: R <= 20 ? 10 : (m <= 30 ? 20 : 30);  tree 1: H <= 2 (missing goes left) ? 0.25 : 0.5
nodes = dict(
    nodes_treeids=[0, 0, 0, 0, 0, 1, 1, 1],
    nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2],
    nodes_featureids=[0, 0, 5, 0, 0, 1, 0, 0],
    nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
    nodes_values=[20.0, 0.0, 30.0, 0.0, 0.0, 2.0, 0.0, 0.0],
    nodes_truenodeids=[1, 0, 3, 0, 0, 1, 0, 0],
    nodes_falsenodeids=[2, 0, 4, 0, 0, 2, 0, 0],
    nodes_missing_value_tracks_true=[1, 0, 1, 0, 0, 1, 0, 0],
    target_treeids=[0, 0, 0, 1, 1],
    target_nodeids=[1, 3, 4, 1, 2],
    target_ids=[0, 0, 0, 0, 0],
    target_weights=[10.0, 20.0, 30.0, 0.25, 0.5],
    n_targets=1,
    post_transform="NONE",
    aggregate_function="SUM",
)
graph = helper.make_graph(
    [helper.make_node("TreeEnsembleRegressor", ["features"], ["prediction"], domain="ai.onnx.ml", **nodes)],
    "tiny",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6])],
    [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N", 1])],
)
model = helper.make_model(
    graph,
    producer_name="cooltwin",
    opset_imports=[helper.make_opsetid("", 12), helper.make_opsetid("ai.onnx.ml", 1)],
    ir_version=8,
)
(pathlib.Path(__file__).parent / "tiny" / "t.onnx").write_bytes(model.SerializeToString())
