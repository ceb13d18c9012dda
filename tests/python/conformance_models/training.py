"""Data that the libraries are trained on."""

import numpy as np

from .case import FEATURES


def training_data(rng, n=2000, missing=0.0, targets=1):
    x = rng.normal(size=(n, FEATURES)).astype(np.float32)
    x[:, 3] = rng.integers(0, 6, n)  # few distinct values: many rows at thresholds
    y = np.stack(
        [np.sin(x[:, t]) * x[:, 1] + x[:, 2] ** 2 - x[:, 3] * (x[:, 4] > 0) + t for t in range(targets)], axis=1
    )
    if missing:
        x[rng.random(x.shape) < missing] = np.nan
    return x, (y[:, 0] if targets == 1 else y)
