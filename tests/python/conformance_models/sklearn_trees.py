"""scikit-learn's trees, alone, in groups, and behind every transformer that its exporter knows."""

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from .case import FEATURES, NETWORK_TOLERANCE, SUM_TOLERANCE, Case
from .exports import export, with_float_output
from .training import training_data


def boosting():
    return GradientBoostingRegressor(n_estimators=30, random_state=1)


def shallow():
    return DecisionTreeRegressor(max_depth=6, random_state=1)


def tree_models(rng):
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)
    xm, ym = training_data(rng, targets=3)
    alone = {
        "decision tree": DecisionTreeRegressor(max_depth=8, random_state=1),
        "extra tree": ExtraTreeRegressor(random_state=1),
        "random forest": RandomForestRegressor(n_estimators=60, max_depth=8, random_state=1),
        "extra trees": ExtraTreesRegressor(n_estimators=60, max_depth=9, random_state=1),
        "gradient boosting": GradientBoostingRegressor(n_estimators=100, random_state=1),
        "gradient boosting from zero": GradientBoostingRegressor(n_estimators=20, init="zero", random_state=1),
        "histogram gradient boosting": HistGradientBoostingRegressor(max_iter=60, random_state=1),
        # The weighted median of its trees.
        "adaptive boosting": AdaBoostRegressor(shallow(), n_estimators=20, random_state=1),
    }
    for name, model in alone.items():
        yield Case(f"sklearn {name}", export("scikit-learn", model.fit(x, y), x))
    for name, model in {
        "histogram gradient boosting": HistGradientBoostingRegressor(max_iter=60, random_state=1),
        "decision tree": shallow(),
        "random forest": RandomForestRegressor(n_estimators=20, max_depth=8, random_state=1),
    }.items():
        yield Case(f"sklearn {name}, missing", export("scikit-learn", model.fit(xn, yn), xn), missing=True)
    for name, model in {
        "random forest": RandomForestRegressor(n_estimators=40, max_depth=8, random_state=1),
        "extra trees": ExtraTreesRegressor(n_estimators=40, max_depth=8, random_state=1),
        "one tree a target": MultiOutputRegressor(shallow()),
    }.items():
        yield Case(f"sklearn {name}, 3 targets", export("scikit-learn", model.fit(xm, ym), xm))
    # Means and weighted sums of models: ONNX Runtime adds up in an order of its own.
    pair = [("tree", shallow()), ("line", LinearRegression())]
    for name, model in {
        "bagging": BaggingRegressor(shallow(), n_estimators=10, random_state=1),
        "bagging of features": BaggingRegressor(shallow(), n_estimators=10, max_features=5, random_state=1),
        "voting": VotingRegressor(pair),
        "stacking": StackingRegressor(pair, cv=3),
        "stacking with features": StackingRegressor(pair, cv=3, passthrough=True),
    }.items():
        yield Case(f"sklearn {name}", export("scikit-learn", model.fit(x, y), x), tolerance=SUM_TOLERANCE)


def transformer_models(rng):
    x, y = training_data(rng)
    xn, yn = training_data(rng, missing=0.05)
    names = [f"f{i}" for i in range(FEATURES)]
    columns = ColumnTransformer(
        [("a", StandardScaler(), [0, 2]), ("b", "passthrough", [1, 3, 4]), ("c", MinMaxScaler(), slice(5, 9))]
    )
    one_hot = ColumnTransformer(
        [("a", OneHotEncoder(handle_unknown="ignore"), [3]), ("b", "passthrough", [0, 1, 2, 4])]
    )
    ordinal = ColumnTransformer(
        [("a", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), [3]), ("b", "passthrough", [0, 1, 2])]
    )
    bins = {"n_bins": 4, "quantile_method": "averaged_inverted_cdf"}
    before_trees = {
        "standard scaler": StandardScaler(),
        "min-max scaler": MinMaxScaler(),
        "min-max scaler, clipped": MinMaxScaler(clip=True),
        "robust scaler": RobustScaler(),
        "max-abs scaler": MaxAbsScaler(),
        "normalizer l1": Normalizer("l1"),
        "normalizer l2": Normalizer("l2"),
        "normalizer max": Normalizer("max"),
        "binarizer": Binarizer(threshold=0.1),
        "bins as numbers": KBinsDiscretizer(encode="ordinal", **bins),
        "bins one-hot": KBinsDiscretizer(encode="onehot-dense", **bins),
        "polynomials": PolynomialFeatures(2),
        "best features": SelectKBest(f_regression, k=5),
        "varying features": VarianceThreshold(0.1),
        "union": make_union(StandardScaler(), SelectKBest(f_regression, k=3)),
        "columns": columns,
        "one-hot categories": one_hot,
        "ordinal categories": ordinal,
    }
    for name, transformer in before_trees.items():
        model = make_pipeline(transformer, boosting()).fit(x, y)
        # A binarizer has no answer for NaN.
        yield Case(f"sklearn {name}, boosting", export("scikit-learn", model, x), missing=name != "binarizer")
    for name, imputer in {
        "means": SimpleImputer(),
        "a constant": SimpleImputer(strategy="constant", fill_value=-1.0),
    }.items():
        model = make_pipeline(imputer, boosting()).fit(xn, yn)
        yield Case(f"sklearn {name} for missing values, boosting", export("scikit-learn", model, xn), missing=True)
    # An input for each group of columns, in the order of the features.
    model = make_pipeline(ColumnTransformer([("a", StandardScaler(), names[:5]), ("b", "passthrough", names[5:])]), boosting())
    yield Case("sklearn one input a column, boosting", columns_as_inputs(model, x, y, names))
    # Behind powers and matrix products no bit is certain: a smooth model then, which no threshold can tip over.
    for name, transformer in {"principal components": PCA(4), "singular vectors": TruncatedSVD(4), "powers": PowerTransformer()}.items():
        model = make_pipeline(transformer, LinearRegression()).fit(x, y)
        yield Case(f"sklearn {name}, linear", export("scikit-learn", model, x), tolerance=NETWORK_TOLERANCE)
    for name, model in {
        "forest": RandomForestRegressor(n_estimators=20, max_depth=7, random_state=1),
        "standard scaler, boosting": make_pipeline(StandardScaler(), boosting()),
        "min-max scaler, boosting": make_pipeline(MinMaxScaler(), boosting()),
    }.items():
        doubles = x.astype(np.float64)
        yield Case(f"sklearn {name}, double", with_float_output(export("scikit-learn", model.fit(doubles, y), doubles)))


def columns_as_inputs(model, x, y, names):
    import pandas

    model.fit(pandas.DataFrame(x, columns=names), y)
    inputs = [(name, FloatTensorType([None, 1])) for name in names]
    return to_onnx(model, initial_types=inputs, target_opset={"": 17, "ai.onnx.ml": 3})
