"""What is compared."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx

# Features of every model but those that say otherwise.
FEATURES = 12
# Networks multiply matrices in an order of their own.
NETWORK_TOLERANCE = 1e-5
# Sums of a few terms in single precision, which ONNX Runtime adds up in an order of its own.
SUM_TOLERANCE = 5e-6
# Exponentials and logarithms differ between C libraries in the last place.
TRANSFORM_TOLERANCE = 1e-6


@dataclass
class Case:
    name: str
    model: onnx.ModelProto
    # Rows may hold NaN.
    missing: bool = False
    # Allowed difference, relative to the larger of `floor` and the expected value; None: equal to the bit.
    tolerance: float | None = None
    floor: float = 1.0
    # What the library itself predicts in double precision, where it is a better judge than ONNX Runtime: cooltwin must
    # come as close to it as ONNX Runtime does.
    exact: Callable[[np.ndarray], np.ndarray] | None = None
    features: int = FEATURES
    # Rows hold infinities, halves and denormals in plenty.
    special: bool = False
    # Features whose rows hold whole numbers only.
    categories: list[int] = field(default_factory=list)
