"""The operators around a model one by one, several to a graph: what each makes of ordinary and of special numbers."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .case import Case

FEATURES = 4
# ONNX Runtime's own approximations of exponentials are this far off.
FUNCTION_TOLERANCE = 3e-6
ML = ["ArrayFeatureExtractor", "Binarizer", "FeatureVectorizer", "Imputer", "LabelEncoder", "LinearRegressor", "Normalizer"]
ML += ["OneHotEncoder", "SVMRegressor", "Scaler"]


class Graph:
    """Nodes from `X` to outputs, which are joined to one."""

    def __init__(self):
        self.nodes, self.constants, self.outputs = [], [], []

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, operator, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        domain = "ai.onnx.ml" if operator in ML else ""
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def give(self, value, cast=False):
        self.outputs.append(self.node("Cast", value, to=TensorProto.FLOAT) if cast else value)

    def model(self, opset=18, ml=4):
        join = helper.make_node("Concat", self.outputs, ["Y"], axis=1)
        graph = helper.make_graph(
            [*self.nodes, join], "operators",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, FEATURES])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def exact():
    """Arithmetic, comparisons and choices: one right answer, to the bit."""
    g = Graph()
    x, factors = "X", g.constant([0.3, -2.0, 0.0, 7.0])
    left, right = g.node("Split", x, g.constant([2, 2], np.int64), outputs=2, axis=1)
    for operator in ["Abs", "Ceil", "Floor", "Identity", "Neg", "Reciprocal", "Relu", "Round", "Sign", "Softsign", "Sqrt"]:
        g.give(g.node(operator, x))
    g.give(g.node("LeakyRelu", x, alpha=0.3))
    g.give(g.node("ThresholdedRelu", x, alpha=0.7))
    g.give(g.node("HardSigmoid", x))
    g.give(g.node("PRelu", x, factors))
    for operator in ["Add", "Sub", "Mul", "Div"]:
        g.give(g.node(operator, x, factors))
        g.give(g.node(operator, left, right))
    g.give(g.node("Div", g.node("Mul", g.node("Mul", x, factors), g.constant(3.7)), g.constant(0.1)))
    g.give(g.node("Sum", left, right, left))
    for low, high in [(-1.0, 2.0), (-1.0, None), (None, 2.0)]:
        bounds = ["" if bound is None else g.constant(bound) for bound in (low, high)]
        g.give(g.node("Clip", x, *bounds))
    for operator in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]:
        g.give(g.node(operator, left, right), cast=True)
    is_nan, positive = g.node("IsNaN", x), g.node("Greater", x, g.constant(0.5))
    g.give(is_nan, cast=True)
    for operator in ["And", "Or", "Xor"]:
        g.give(g.node(operator, is_nan, positive), cast=True)
    g.give(g.node("Not", positive), cast=True)
    g.give(g.node("ReduceProd", x, g.constant([1], np.int64)))
    for operator in ["ArgMax", "ArgMin"]:
        for last in [0, 1]:
            g.give(g.node(operator, x, axis=-1, select_last_index=last), cast=True)
    for to in [TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE]:
        g.give(g.node("Cast", x, to=to), cast=True)
    wide = g.node("Cast", x, to=TensorProto.DOUBLE)
    tenths = g.constant([0.1, 0.2, 0.3, 0.7], np.float64)
    g.give(g.node("Div", g.node("Sub", g.node("Mul", wide, tenths), tenths), tenths), cast=True)
    index = lambda values: g.constant(values, np.int64)  # noqa: E731
    g.give(g.node("Gather", x, index([-1, 0, 0]), axis=1))
    g.give(g.node("Slice", x, index([3]), index([-99]), index([1]), index([-2])))
    g.give(g.node("Squeeze", g.node("Unsqueeze", x, index([2])), index([2])))
    g.give(g.node("ConstantOfShape", g.node("Shape", x), value=helper.make_tensor("value", TensorProto.FLOAT, [1], [1.5])))
    return g.model()


def ml_operators():
    """Those of ai.onnx.ml that are plain arithmetic."""
    g = Graph()
    known = g.node("Imputer", "X", imputed_value_floats=[1.0, -2.0, 3.0, 0.25], replaced_value_float=float("nan"))
    g.give(known)
    g.give(g.node("Imputer", "X", imputed_value_floats=[9.0], replaced_value_float=0.0))
    g.give(g.node("Binarizer", known, threshold=0.5))
    g.give(g.node("Scaler", "X", offset=[0.1, 0.2, 0.3, -1.0], scale=[3.0, 1 / 3, 0.7, 1e-3]))
    g.give(g.node("Scaler", g.node("Cast", "X", to=TensorProto.DOUBLE), offset=[0.1], scale=[1 / 3]))
    for norm in ["MAX", "L1", "L2"]:
        g.give(g.node("Normalizer", known, norm=norm))
    picked = g.node("ArrayFeatureExtractor", "X", g.constant([2, 0], np.int64))
    g.give(g.node("FeatureVectorizer", picked, "X", inputdimensions=[2, FEATURES]))
    hot = g.node("OneHotEncoder", picked, cats_int64s=[2, 0, -1])
    g.give(g.node("Reshape", hot, g.constant([-1, 6], np.int64)))
    g.give(g.node("LabelEncoder", "X", keys_floats=[1.0, float("nan"), 0.0], values_floats=[10.0, 20.0, 30.0]))
    labels = g.node("LabelEncoder", g.node("Cast", "X", to=TensorProto.INT64), keys_int64s=[1, 0, -1], values_int64s=[7, 8, 9])
    g.give(labels, cast=True)
    return g.model()


def functions():
    """Transcendental functions and sums: to the last digits."""
    g = Graph()
    g.nodes.append(helper.make_node("Clip", ["X", g.constant(-20.0), g.constant(20.0)], ["x"]))
    x = "x"
    for operator in ["Celu", "Cos", "Elu", "Erf", "Exp", "Log", "Selu", "Sigmoid", "Sin", "Softplus", "Tanh"]:
        g.give(g.node(operator, x))
    g.give(g.node("HardSwish", x))
    g.give(g.node("Softmax", x, axis=1))
    g.give(g.node("Pow", g.node("Abs", x), g.constant([0.5, 2.0, 1.3, -1.0])))
    for approximate in ["none", "tanh"]:
        g.give(g.node("Gelu", x, approximate=approximate))
    for operator in ["ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"]:
        g.give(g.node(operator, x, g.constant([1], np.int64)))
    g.give(g.node("Mean", x, g.node("Exp", x)))
    # A choice is exact, but ONNX Runtime makes 0 of the -0 it chooses.
    g.give(g.node("Where", g.node("Less", x, g.constant(0.3)), x, g.constant([1.0, 2.0, 3.0, -4.0])))
    return g.model(opset=20)


def operator_models(_):
    """Special numbers are among the rows: NaN, infinities, zeros of both signs, halves, denormals."""
    yield Case("operators: exact", exact(), missing=True, special=True, features=FEATURES)
    yield Case("operators: ai.onnx.ml", ml_operators(), missing=True, special=True, features=FEATURES)
    yield Case("operators: functions and sums", functions(), missing=True, special=True, tolerance=FUNCTION_TOLERANCE, features=FEATURES)
