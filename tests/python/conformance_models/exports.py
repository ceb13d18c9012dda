"""How each library writes ONNX: the very lines of docs/bundle.md."""

import functools
import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/bundle.md"


@functools.cache
def documented_lines():
    """{library: lines of Python} from the code block of the document's export section."""
    section = DOCUMENT.read_text(encoding="utf-8").split("### Exporting models", 1)[1]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    parts = re.split(r"^# (\w[\w-]*)\n", block, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def export(library, model, x):
    """The ONNX form of `model`, trained on rows like `x`."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        code = documented_lines()[library].replace('"model.onnx"', repr(path))
        exec(code, {"model": model, "x": x, "n": x.shape[1], "np": np})  # noqa: S102
        return onnx.load(path)


def with_float_output(model):
    """scikit-learn's exporter declares DOUBLE outputs of operators that give FLOAT; ONNX Runtime refuses such files."""
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return model
