"""Tree ensembles made at random from everything the operators allow."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .case import FEATURES, TRANSFORM_TOLERANCE, Case

ORDERED = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
MODES = [*ORDERED, "BRANCH_EQ", "BRANCH_NEQ"]
MEMBER = "BRANCH_MEMBER"
AGGREGATES = ["AVERAGE", "SUM", "MIN", "MAX"]
# As ONNX Runtime numbers them in version 5; the operator's text has 1 and 2 the other way round.
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
# Shares of a softmax are compared relative to themselves, down to where single precision ends.
FLOOR = 1e-37
# The feature that sets are tested on. ONNX Runtime cuts it to whole numbers where a set is large.
CATEGORY = 3
SPECIAL = [0.0, -0.0, 1e-42, -1e-45, np.inf, -np.inf, 3.4028235e38, -3.4028235e38, 1.0]


class Forest:
    """Trees as nested dictionaries; `leaf` makes the (target, weight) pairs of a leaf of a tree."""

    def __init__(self, rng, modes, leaf, *, trees=37, dtype=np.float32, nan=False, depth=6):
        self.rng, self.modes, self.leaf, self.dtype, self.nan = rng, modes, leaf, dtype, nan
        self.trees = [self.grow(tree, 0, int(rng.integers(0, depth + 1))) for tree in range(trees)]

    def threshold(self):
        if self.nan and self.rng.random() < 0.1:
            return np.nan
        if self.rng.random() < 0.2:
            return float(self.rng.choice(SPECIAL))
        return float(self.dtype(self.rng.normal()))

    def members(self):
        """A set: of small categories, of large ones (which runtimes keep in another form), or of any positive numbers."""
        kind = self.rng.integers(3)
        if kind == 0:
            return self.rng.choice(31, int(self.rng.integers(1, 9)), replace=False).astype(float).tolist()
        if kind == 1:
            return self.rng.choice(200, int(self.rng.integers(30, 60)), replace=False).astype(float).tolist()
        return sorted({*(self.rng.integers(0, 8, 5) / 2).tolist()})

    def grow(self, tree, level, depth):
        if level == depth or (level > 0 and self.rng.random() < 0.2):
            return {"leaf": self.leaf(tree)}
        mode = str(self.rng.choice(self.modes))
        node = {
            "mode": mode, "feature": int(self.rng.integers(FEATURES)), "missing": int(self.rng.random() < 0.5),
            "value": self.members() if mode == MEMBER else self.threshold(),
        }
        if mode == MEMBER:
            node["feature"] = CATEGORY
        return node | {"true": self.grow(tree, level + 1, depth), "false": self.grow(tree, level + 1, depth)}

    def all_leaves(self):
        def walk(node):
            if "leaf" in node:
                yield node
            else:
                yield from walk(node["true"])
                yield from walk(node["false"])

        return [leaf for tree in self.trees for leaf in walk(tree)]


def tensor(values, dtype):
    return numpy_helper.from_array(np.array(values, dtype))


def flat(tree):
    """The nodes of a tree, the root first, children as indices."""
    nodes = []

    def visit(node):
        index = len(nodes)
        nodes.append(dict(node))
        if "leaf" not in node:
            nodes[index] |= {"true": visit(node["true"]), "false": visit(node["false"])}
        return index

    visit(tree)
    return nodes


def parallel_arrays(forest, prefix, *, missing, shuffled, dead):
    """The nodes_* and target_* or class_* lists of versions 1 and 3."""
    rng = forest.rng
    names = ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"]
    columns = {f"nodes_{name}": [] for name in names}
    tracks = []
    leaves = {f"{prefix}_{name}": [] for name in ["treeids", "nodeids", "ids", "weights"]}
    lists = [flat(tree) for tree in forest.trees]
    total = sum(map(len, lists))
    tree_ids = rng.permutation(5 * len(lists))[: len(lists)].tolist() if shuffled else range(len(lists))
    for tree, nodes in zip(tree_ids, lists):
        # Sparse, but below the number of all nodes: ONNX Runtime accepts no other.
        ids = rng.permutation(total).tolist() if shuffled and len(nodes) < total else list(range(len(nodes) + 1))
        order = list(range(1, len(nodes)))
        if shuffled:
            rng.shuffle(order)
        rows = [(ids[i], nodes[i]) for i in [0, *order]]
        # ONNX Runtime hands the weights of a leaf that cannot be reached to the first node, if that is a leaf.
        if dead and len(lists[0]) > 1:
            rows.append((ids[len(nodes)], {"leaf": [(0, 1e6)]}))
        for node_id, node in rows:
            inner = "leaf" not in node
            row = [
                tree, node_id, node["feature"] if inner else 0, node["mode"] if inner else "LEAF",
                node["value"] if inner else 0.0, ids[node["true"]] if inner else 0, ids[node["false"]] if inner else 0,
            ]
            for column, value in zip(columns.values(), row):
                column.append(value)
            tracks.append(node["missing"] if inner else 0)
            if not inner:
                for target, weight in node["leaf"]:
                    for column, value in zip(leaves.values(), [tree, node_id, target, weight]):
                        column.append(value)
    if shuffled:
        # Weights in any order, but those of one leaf in their own.
        count = len(leaves[f"{prefix}_ids"])
        first = {}
        keys = [first.setdefault(key, rng.random()) for key in zip(*list(leaves.values())[:2])]
        order = sorted(range(count), key=lambda i: keys[i])
        leaves = {name: [column[i] for i in order] for name, column in leaves.items()}
    return columns | leaves | ({"nodes_missing_value_tracks_true": tracks} if missing else {})


def graph(operator, attributes, outputs, *, dtype=np.float32, version=3):
    """A model of one operator; `outputs` are (name, type, columns)."""
    node = helper.make_node(operator, ["X"], [name for name, *_ in outputs], domain="ai.onnx.ml", **attributes)
    kind = TensorProto.DOUBLE if dtype is np.float64 else TensorProto.FLOAT
    made = helper.make_graph(
        [node], "random",
        [helper.make_tensor_value_info("X", kind, [None, FEATURES])],
        [helper.make_tensor_value_info(name, kind, [None, *columns]) for name, kind, *columns in outputs],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def as_tensors(attributes, names, dtype):
    """The same attributes with the named lists as tensors."""
    moved = {f"{name}_as_tensor": tensor(attributes[name], dtype) for name in names if name in attributes}
    return {name: value for name, value in attributes.items() if name not in names} | moved


def regressor(forest, targets, aggregate="SUM", *, base=False, missing=False, shuffled=False, dead=False,
              transform="NONE", tensors=False, version=3):
    attributes = parallel_arrays(forest, "target", missing=missing, shuffled=shuffled, dead=dead)
    attributes |= {"n_targets": targets, "aggregate_function": aggregate, "post_transform": transform}
    if base:
        attributes["base_values"] = [float(forest.dtype(v)) for v in forest.rng.normal(size=targets)]
    if tensors:
        attributes = as_tensors(attributes, ["nodes_values", "target_weights", "base_values"], forest.dtype)
    return graph("TreeEnsembleRegressor", attributes, [("Y", TensorProto.FLOAT, targets)], dtype=forest.dtype, version=version)


def classifier(forest, classes, *, base=0, transform="NONE", tensors=False, version=3):
    attributes = parallel_arrays(forest, "class", missing=True, shuffled=True, dead=False)
    attributes |= {"post_transform": transform, "classlabels_int64s": list(range(classes))}
    if base:
        attributes["base_values"] = [float(forest.dtype(v)) for v in forest.rng.normal(size=base)]
    if tensors:
        attributes = as_tensors(attributes, ["nodes_values", "class_weights", "base_values"], forest.dtype)
    outputs = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT, classes)]
    return graph("TreeEnsembleClassifier", attributes, outputs, dtype=forest.dtype, version=version)


def five(forest, targets, aggregate="SUM", *, missing=False, transform="NONE"):
    """Version 5: inner nodes and leaves apart; here in an order of their own each."""
    rng, dtype = forest.rng, forest.dtype
    inner, leaves, roots, sets = [], [], [], {}
    for tree in forest.trees:
        # A single leaf is a node with that leaf on both sides.
        tree = tree if "leaf" not in tree else {"mode": "BRANCH_LEQ", "feature": 0, "missing": 0, "value": 0.0, "true": tree, "false": tree}

        def visit(node):
            if "leaf" in node:
                if "at" not in node:
                    node["at"] = len(leaves)
                    leaves.append(node["leaf"][0])
                return node["at"], 1
            index = len(inner)
            inner.append([node])
            inner[index] += [visit(node["true"]), visit(node["false"])]
            return index, 0

        roots.append(visit(tree)[0])
    place = rng.permutation(len(inner)).tolist()  # the position of each inner node
    leaf_place = rng.permutation(len(leaves)).tolist()
    rows = [None] * len(inner)
    for index, (node, *children) in enumerate(inner):
        rows[place[index]] = (node, *((leaf_place[i] if leaf else place[i], leaf) for i, leaf in children))
    ordered = [None] * len(leaves)
    for index, leaf in enumerate(leaves):
        ordered[leaf_place[index]] = leaf
    members = [value for node, *_ in rows if node["mode"] == MEMBER for value in [*node["value"], np.nan]]
    attributes = {
        "n_targets": targets, "aggregate_function": AGGREGATES.index(aggregate),
        "post_transform": TRANSFORMS.index(transform), "tree_roots": [place[i] for i in roots],
        "nodes_modes": tensor([[*MODES, MEMBER].index(node["mode"]) for node, *_ in rows], np.uint8),
        "nodes_featureids": [node["feature"] for node, *_ in rows],
        "nodes_splits": tensor([0.0 if node["mode"] == MEMBER else node["value"] for node, *_ in rows], dtype),
        "nodes_truenodeids": [true for _, (true, _), _ in rows], "nodes_trueleafs": [leaf for _, (_, leaf), _ in rows],
        "nodes_falsenodeids": [false for *_, (false, _) in rows], "nodes_falseleafs": [leaf for *_, (_, leaf) in rows],
        "leaf_targetids": [target for target, _ in ordered], "leaf_weights": tensor([weight for _, weight in ordered], dtype),
    }
    if members:
        attributes["membership_values"] = tensor(members, dtype)
    if missing:
        attributes["nodes_missing_value_tracks_true"] = [node["missing"] for node, *_ in rows]
    kind = TensorProto.DOUBLE if dtype is np.float64 else TensorProto.FLOAT
    return graph("TreeEnsemble", attributes, [("Y", kind, targets)], dtype=dtype, version=5)


# --- the ensembles -----------------------------------------------------------------------------

def weight(rng, dtype=np.float32):
    return float(dtype(rng.normal() * 10.0 ** rng.integers(-3, 4)))


def leaves(rng, targets, per_leaf, dtype=np.float32, small=False):
    """Makes the pairs of a leaf: a weight for all targets, for one target a tree, or for some."""

    def leaf(tree):
        chosen = range(targets)
        if per_leaf == "one":
            chosen = [tree % targets]
        elif per_leaf == "some" and tree > 0:
            chosen = [target for target in range(targets) if rng.random() < 0.6]
        return [(target, float(dtype(rng.normal() / 8)) if small else weight(rng, dtype)) for target in chosen]

    return leaf


def within(transform):
    """How nearly the outputs of a transform must agree."""
    if transform == "PROBIT":  # its formula subtracts nearly equal numbers around 0
        return {"tolerance": 10 * TRANSFORM_TOLERANCE, "floor": 1.0}
    if transform == "LOGISTIC":  # what is left of 1 has the precision of 1
        return {"tolerance": TRANSFORM_TOLERANCE, "floor": 1.0}
    return {"tolerance": TRANSFORM_TOLERANCE, "floor": FLOOR}


def regressors(rng):
    shapes = [(1, "all"), (3, "all"), (3, "one"), (4, "some")]
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        for targets, per_leaf in shapes:
            for base in [False, True]:
                ordered, shuffled = bool(rng.random() < 0.7), bool(rng.random() < 0.5)
                forest = Forest(rng, ORDERED if ordered else MODES, leaves(rng, targets, per_leaf), nan=not ordered)
                kind = f"{'ordered' if ordered else 'all modes'}{', shuffled' if shuffled else ''}{', base' if base else ''}"
                name = f"random {aggregate}, {targets} targets ({per_leaf} a leaf), {kind}"
                missing = bool(rng.random() < 0.6)
                model = regressor(forest, targets, aggregate, base=base, missing=missing, shuffled=shuffled, dead=shuffled)
                yield Case(name, model, missing=True)
    for mode in MODES:
        forest = Forest(rng, [mode], leaves(rng, 1, "all"))
        yield Case(f"random {mode} only", regressor(forest, 1, missing=True), missing=True)
    for trees, depth in [(1, 0), (1, 12), (700, 3)]:
        forest = Forest(rng, ORDERED, leaves(rng, 1, "all"), trees=trees, depth=depth)
        yield Case(f"random {trees} trees of depth {depth}", regressor(forest, 1, missing=True), missing=True)
    forest = Forest(rng, ORDERED, leaves(rng, 1, "all"))
    for leaf in forest.all_leaves()[::3]:
        leaf["leaf"] = []
    yield Case("random, leaves without weights", regressor(forest, 1, base=True), missing=True)
    for tensors in [False, True]:
        forest = Forest(rng, MODES, leaves(rng, 2, "all"))
        model = regressor(forest, 2, base=True, tensors=tensors, version=3 if tensors else 1)
        yield Case(f"random, {'FLOAT tensors' if tensors else 'ai.onnx.ml 1'}", model, missing=True)


def doubles(rng):
    wide = np.float64
    for aggregate, targets in [("SUM", 1), ("AVERAGE", 3), ("MIN", 2), ("MAX", 1)]:
        for tensors in [False, True]:
            # Lists hold floats; only tensors can hold doubles.
            forest = Forest(rng, MODES, leaves(rng, targets, "all", wide), dtype=wide)
            model = regressor(forest, targets, aggregate, base=True, missing=True, shuffled=True, tensors=tensors)
            name = f"random double {aggregate}, {targets} targets, {'tensors' if tensors else 'lists'}"
            yield Case(name, model, missing=True)
    for classes in [2, 4]:
        forest = Forest(rng, MODES, leaves(rng, classes, "all", wide), dtype=wide)
        yield Case(f"random double classifier, {classes} classes", classifier(forest, classes, tensors=True), missing=True)
    for modes, name in [(MODES, "all modes"), ([MEMBER, "BRANCH_LEQ"], "members")]:
        forest = Forest(rng, modes, leaves(rng, 3, "one", wide), dtype=wide)
        yield Case(f"random double version 5, {name}", five(forest, 3, missing=True), missing=True, categories=[CATEGORY])


def fives(rng):
    for aggregate in AGGREGATES:
        for targets in [1, 3]:
            for modes, name in [(ORDERED, "ordered"), ([*MODES, MEMBER], "all modes and members")]:
                forest = Forest(rng, modes, leaves(rng, targets, "one"), nan=name != "ordered")
                model = five(forest, targets, aggregate, missing=bool(rng.random() < 0.6))
                yield Case(f"random version 5 {aggregate}, {targets} targets, {name}", model, missing=True, categories=[CATEGORY])
    forest = Forest(rng, [MEMBER], leaves(rng, 1, "all"))
    yield Case("random version 5, members only", five(forest, 1, missing=True), missing=True, categories=[CATEGORY])


def classifiers(rng):
    def case(name, forest, classes, **more):
        transform = more.get("transform", "NONE")
        agreement = {} if transform == "NONE" else within(transform)
        return Case(f"random classifier, {name}", classifier(forest, classes, **more), missing=True, **agreement)

    def one_sided(sign):
        return lambda tree: [(0, float(np.float32(abs(rng.normal()) if sign else rng.normal())) / 32)]

    for transform in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]:
        for positive in [False, True]:
            for base in [0, 1]:
                forest = Forest(rng, ORDERED, one_sided(positive))
                name = f"2 classes, one score{', positive' if positive else ''}{', base' if base else ''}, {transform}"
                yield case(name, forest, 2, base=base, transform=transform)
    for transform in TRANSFORMS:
        for classes, base in [(1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 4)]:
            per_leaf = "some" if classes == 4 else "all"
            forest = Forest(rng, MODES, leaves(rng, classes, per_leaf, small=True))
            name = f"{classes} classes{', base' if base else ''}, {transform}"
            yield case(name, forest, classes, base=base, transform=transform)
    forest = Forest(rng, ORDERED, leaves(rng, 2, "all"))
    for leaf in forest.all_leaves():
        leaf["leaf"] = leaf["leaf"][1:]
    yield case("2 classes, only the second has weights", forest, 2)


def transforms(rng):
    for transform in TRANSFORMS[1:]:
        for targets in [1, 2, 5]:
            forest = Forest(rng, ORDERED, leaves(rng, targets, "all", small=True))
            model = regressor(forest, targets, "AVERAGE", base=True, transform=transform)
            # One target: only PROBIT is a transform.
            agreement = within(transform) if targets > 1 or transform == "PROBIT" else {}
            yield Case(f"random {transform}, {targets} targets", model, missing=True, **agreement)
        forest = Forest(rng, ORDERED, leaves(rng, 3, "one", small=True))
        model = five(forest, 3, transform=transform)
        yield Case(f"random version 5 {transform}", model, missing=True, **within(transform))
        wide = np.float64
        forest = Forest(rng, ORDERED, leaves(rng, 3, "all", wide, small=True), dtype=wide)
        model = regressor(forest, 3, transform=transform, tensors=True)
        yield Case(f"random double {transform}", model, missing=True, **within(transform))


def random_models(rng):
    for make in [regressors, doubles, fives, classifiers, transforms]:
        yield from make(rng)
