"""What is compared."""

from dataclasses import dataclass, field

import onnx

# Features of every model but those that say otherwise.
FEATURES = 12
# Networks multiply matrices in an order of their own.
NETWORK_TOLERANCE = 1e-5
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
    features: int = FEATURES
    # Features whose rows hold whole numbers only.
    categories: list[int] = field(default_factory=list)
