"""What is compared."""

from dataclasses import dataclass

import onnx

# Features of every model but those that say otherwise.
FEATURES = 12
# Networks multiply matrices in an order of their own.
NETWORK_TOLERANCE = 1e-5


@dataclass
class Case:
    name: str
    model: onnx.ModelProto
    # Rows may hold NaN.
    missing: bool = False
    # Allowed difference, relative to the larger of 1 and the expected value; None: equal to the bit.
    tolerance: float | None = None
    features: int = FEATURES
