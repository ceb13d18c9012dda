"""The ONNX project's own tests of the operators of ai.onnx.ml, as the onnx package carries them."""

import warnings

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .compare import cooltwin

# What the package must carry at least; fewer would mean that the tests were looked for in the wrong place.
FEWEST = 4
# The package has tests of LabelEncoder too, of texts all of them.
OPERATORS = {"ArrayFeatureExtractor", "Binarizer", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}


def node_tests():
    """(name, model, inputs, expected outputs) of each test of one of the operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package makes the tests of all operators, some of which overflow
        from onnx.backend.test.case.node import collect_testcases

        tests = [
            (test.name, *with_one_input(test.model, inputs), outputs[0])
            for test in collect_testcases(None)
            if any(node.op_type in OPERATORS for node in test.model.graph.node)
            for inputs, outputs in test.data_sets
        ]
    if len(tests) < FEWEST:
        raise RuntimeError(f"the onnx package has {len(tests)} tests of these operators, at least {FEWEST} are known")
    return tests


def with_one_input(model, inputs):
    """The model and its features as a matrix; what the test gives as further inputs becomes constants."""
    changed = type(model)()
    changed.CopyFrom(model)
    graph = changed.graph
    features, *rest = list(graph.input)
    graph.initializer.extend(numpy_helper.from_array(values, info.name) for info, values in zip(rest, inputs[1:], strict=True))
    matrix = inputs[0].reshape(len(inputs[0]), -1)
    shape = features.type.tensor_type.shape.dim
    if len(shape) != 2:
        del shape[2:]
        shape[1].dim_value = matrix.shape[1]
    return changed, matrix


def fed_with_floats(model, inputs):
    """The model and its rows with each double split in three floats that add up to it exactly.

    cooltwin's rows are floats. So that the operator itself gets the doubles of the test, the graph adds them up first.
    """
    if inputs.dtype == np.float32:
        return model, inputs
    parts, rest = [], inputs
    for _ in range(3):
        parts.append(rest.astype(np.float32))
        rest = rest - parts[-1].astype(np.float64)
    assert not rest.any()
    features = inputs.shape[1]
    changed = type(model)()
    changed.CopyFrom(model)
    graph = changed.graph
    wanted = graph.input[0].name
    graph.input[0].CopyFrom(helper.make_tensor_value_info("parts", TensorProto.FLOAT, [None, 3 * features]))
    graph.initializer.append(numpy_helper.from_array(np.vstack([np.eye(features)] * 3), "sum"))
    graph.node.insert(0, helper.make_node("MatMul", ["wide", "sum"], [wanted]))
    graph.node.insert(0, helper.make_node("Cast", ["parts"], ["wide"], to=TensorProto.DOUBLE))
    if all(opset.domain for opset in changed.opset_import):
        changed.opset_import.append(helper.make_opsetid("", 17))
    return changed, np.hstack(parts)


def run_node_tests(program, folder):
    """Prints one line a test; gives whether all pass."""
    passed = True
    for name, model, inputs, expected in node_tests():
        model, rows = fed_with_floats(model, inputs)
        try:
            found, path = cooltwin(program, folder, model, rows)
            same = np.array_equal(found, expected.reshape(found.shape).astype(np.float32), equal_nan=True)
            print(f"{'ok  ' if same else 'FAIL'}  {name:62} {path:16} {len(rows):6} rows", flush=True)
        except RuntimeError as error:
            same = False
            print(f"FAIL  {name:62} {error}", flush=True)
        passed &= same
    return passed
