"""scikit-learn's linear models, support vector machines and networks."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    LinearRegression,
    PoissonRegressor,
    Ridge,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVR, NuSVR

from .case import NETWORK_TOLERANCE, SUM_TOLERANCE, Case
from .exports import export
from .training import training_data


def smooth_models(rng):
    x, y = training_data(rng)
    xm, ym = training_data(rng, targets=3)
    doubles = x.astype(np.float64)
    for name, model in {
        "linear": LinearRegression(),
        "ridge": Ridge(),
        "elastic net": ElasticNet(alpha=0.01),
        "huber": HuberRegressor(),
        "stochastic gradient": SGDRegressor(random_state=1),
        "linear support vectors": LinearSVR(random_state=1),
        "partial least squares": PLSRegression(),
    }.items():
        yield Case(f"sklearn {name}", export("scikit-learn", model.fit(x, y), x), tolerance=SUM_TOLERANCE)
    for name, model in {"poisson": PoissonRegressor(), "tweedie": TweedieRegressor(power=1.5, link="log")}.items():
        model = model.fit(x, np.abs(y) + 0.1)
        yield Case(f"sklearn {name}", export("scikit-learn", model, x), tolerance=SUM_TOLERANCE)
    model = LinearRegression().fit(xm, ym)
    yield Case("sklearn linear, 3 targets", export("scikit-learn", model, xm), tolerance=SUM_TOLERANCE)
    model = make_pipeline(StandardScaler(), Ridge()).fit(doubles, y)
    yield Case("sklearn ridge, double", export("scikit-learn", model, doubles), tolerance=SUM_TOLERANCE)
    # Sums of many large terms of both signs: the exact sum is the judge, and ONNX Runtime's single precision the measure.
    for kernel in ["rbf", "linear", "poly", "sigmoid"]:
        model = SVR(kernel=kernel, C=0.5).fit(x[:400], y[:400])
        yield Case(f"sklearn support vectors, {kernel}", export("scikit-learn", model, x), exact=model.predict)
    model = NuSVR(C=0.5).fit(x[:400], y[:400])
    yield Case("sklearn nu support vectors", export("scikit-learn", model, x), exact=model.predict)

    network = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(32, 16), max_iter=60, random_state=1)).fit(x, y)
    yield Case("sklearn scaler and network", export("scikit-learn", network, x), tolerance=NETWORK_TOLERANCE)
    network = MLPRegressor(hidden_layer_sizes=(24,), activation="tanh", max_iter=60, random_state=1).fit(xm, ym)
    # The exporter ends it with a reshape to one column, which is undone.
    yield Case("sklearn network, 3 targets", export("scikit-learn", network, xm), tolerance=NETWORK_TOLERANCE)
    network = MLPRegressor(hidden_layer_sizes=(16,), activation="logistic", max_iter=60, random_state=1).fit(x, y)
    yield Case("sklearn network, logistic", export("scikit-learn", network, x), tolerance=NETWORK_TOLERANCE)
