"""Times ONNX Runtime from Python when the harness says so: `SUITE BATCH START CALLS` in, a JSON line out."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

WARM_UP = 64


def main():
    folder = Path(sys.argv[1])
    setup = json.loads((folder / "peers.json").read_text())
    rows = np.fromfile(setup["rows"], "<f4").reshape(-1, setup["features"])
    rows = np.concatenate([rows, rows])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    load = lambda path: ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    suites = {suite["name"]: [load(model["onnx"]) for model in suite["models"]] for suite in setup["suites"]}
    print("{}", flush=True)
    for line in sys.stdin:
        suite, *numbers = line.split()
        batch, start, calls = map(int, numbers)
        times = turn(suites[suite], rows, batch, start % (len(rows) // 2), calls)
        print(json.dumps({"times": times}), flush=True)


def turn(sessions, rows, batch, start, calls):
    """Nanoseconds a call of each model, and of all models in turn."""
    # As the harness times the others: batches by processor time, which the scheduler's other programs are not in.
    clock = time.perf_counter_ns if batch == 1 else time.process_time_ns
    times = [[] for _ in range(len(sessions) + 1)]
    name = sessions[0].get_inputs()[0].name
    count = len(rows) // 2
    # Made before the clock starts, as a caller has them; single rows are [1, features].
    warm_up = min(WARM_UP, calls)
    starts = [(start + (call - warm_up) * batch) % count for call in range(calls + warm_up)]
    inputs = [rows[at : at + batch] for at in starts]
    for place, row in enumerate(inputs):
        marks = [clock()]
        for session in sessions:
            session.run(None, {name: row})[0]
            marks.append(clock())
        if place >= warm_up:
            for model in range(len(sessions)):
                times[model].append(marks[model + 1] - marks[model])
            times[-1].append(marks[-1] - marks[0])
    return times


if __name__ == "__main__":
    main()
