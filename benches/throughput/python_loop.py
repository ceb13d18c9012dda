#!/usr/bin/env python3
"""The loop that cooltwin is compared with: paho-mqtt, numpy and ONNX Runtime.

    python python_loop.py HOST PORT QOS BUNDLE

The same job, as one would write it with some care for speed: the 52 features of the reference bundle from each frame,
windows on the same 30 s grid included, the three models in one-threaded ONNX Runtime sessions, one JSON document a
frame. It does less in that it has no ages, no quality and no residuals, and acknowledges a frame before its prediction
is safe. Prints `ready` when it is subscribed.
"""

import json
import math
import socket
import sys
import tomllib
from datetime import datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
import paho.mqtt.client as mqtt

GRID_S = 30
# 15 minutes.
GRID_POINTS = 30
# Frames under way to the broker, as generous as one would set it.
INFLIGHT = 100
# Signals that have a history: the four of which windows are taken.
WINDOWED = ["UCWIT", "UCAIT", "UCWF", "UCFMS"]


class Unit:
    """Held readings, samples on the grid, and since when fan, water and heater are as they are."""

    def __init__(self):
        self.held = {}
        self.history = np.full((len(WINDOWED), GRID_POINTS), np.nan)
        self.samples = 0
        self.grid = None
        self.modes = None
        self.since = [0.0, 0.0, 0.0]

    def apply(self, time, data):
        """Takes readings. An instant of the grid sees what was held before it, or measured at it."""
        self.sample(math.nextafter(time, 0))
        self.held.update(data)
        self.sample(time)

    def sample(self, until):
        """Takes the held values at each instant of the grid that has passed."""
        number = int(until // GRID_S)
        if not self.held:
            return
        if self.grid is None:
            self.grid = math.ceil(until / GRID_S) - 1
        for instant in range(max(self.grid + 1, number - GRID_POINTS), number + 1):
            self.history[:, :-1] = self.history[:, 1:]
            self.history[:, -1] = [self.held.get(name, math.nan) for name in WINDOWED]
            self.samples = min(self.samples + 1, GRID_POINTS)
            held = self.held
            modes = (held.get("UCFMS", 0) > 50, held.get("UCWF", 0) > 0.02, held.get("UCHC", 0) > 0.1)
            for place in range(3):
                if self.modes is None or modes[place] != self.modes[place]:
                    self.since[place] = instant * GRID_S
            self.modes = modes
        self.grid = number

    def window(self, signal, points):
        return self.history[signal, -min(points, max(self.samples, 1)) :]


def slope(values):
    n = len(values)
    if n < 2:
        return math.nan
    times = (np.arange(n) - (n - 1) / 2) * GRID_S
    return float(times @ values / (times @ times))


def features(unit, time, sensors, row):
    held = unit.held
    values = [held.get(name, math.nan) for name in sensors]
    (ambt, uctsp, _cpsp, ucait, cppr, ucwf, cpmc, mvdp, _cpcf, ucfs, mvcv) = values[:11]
    (uchv, cpmv, uchc, ucwit, ucfms, _cpdp, _ucwdp, _mvwf, _ucom) = values[11:]
    approach = ucwit - ucait
    mdot = max(ucwf, 0.0) * 999 / 3600
    c_water = mdot * 4.19
    driven = ucfs * 0.8 / 0.7
    c_air = (380.0**6 + driven**6) ** (1 / 6) * 1.2 * 1.006 / 3600
    c_min, c_max = min(c_air, c_water), max(c_air, c_water)
    ntu = 0.15 * (c_air / 0.29174) ** 0.6 * math.sqrt(max(ucwf, 0.0) / 0.15) / max(c_min, 1e-6)
    if c_water > 0.001:
        ratio = c_min / c_max
        eff = 1 - math.exp((math.exp(-ratio * ntu**0.78) - 1) * ntu**0.22 / ratio)
    else:
        eff = 1.0
    heater = 1.7320508 * uchv * uchc / 1000
    coil = -eff * c_min * approach
    hour = time % 86400 / 86400 * 2 * math.pi
    ages = [time - since for since in unit.since]
    water_5, air_15 = unit.window(0, 10), unit.window(1, 30)
    flow_15 = unit.window(2, 30)
    row[0, :20] = values
    row[0, 20:] = (
        approach,
        ucwit - ambt,
        ucait - ambt,
        uctsp - ucait,
        uctsp - ambt,
        mdot,
        c_water,
        -c_water * approach,
        ucfs / ucfms if ucfms > 50 else 0.7,
        ucfms / 1395,
        c_air,
        ntu,
        eff,
        heater,
        coil,
        (heater - coil) / c_air,
        -eff * (c_min / c_water if c_water > 0.001 else 1.0) * approach,
        1.7320508 * cpmv * cpmc * 0.8 / 1000,
        ucwf * cppr / 36,
        ucwf - mvcv * math.sqrt(max(mvdp, 0.0) / 1000),
        math.sin(hour),
        math.cos(hour),
        water_5.mean(),
        air_15.mean(),
        unit.window(2, 10).mean(),
        flow_15.mean(),
        unit.window(3, 10).mean(),
        slope(water_5) * 60,
        slope(air_15) * 60,
        flow_15.std(),
        unit.history[0, -3],
        min(max(min(ages) / 60, 0), 60),
    )


def main():
    host, port, qos, bundle = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    manifest = tomllib.loads((bundle / "bundle.toml").read_text())
    sensors = [sensor["name"] for sensor in manifest["sensors"]]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    models = []
    for target in manifest["targets"]:
        session = ort.InferenceSession(str(bundle / target["model"]), options, providers=["CPUExecutionProvider"])
        scaler = target["output_scaler"]
        models.append((target["name"], session, session.get_inputs()[0].name, scaler["mean"], scaler["scale"]))
    row = np.zeros((1, len(manifest["features"])), dtype=np.float32)
    units = {}
    identity = {"id": manifest["id"], "version": manifest["version"]}

    def on_message(client, _userdata, message):
        frame = json.loads(message.payload)
        name = message.topic.split("/")[1]
        unit = units.setdefault(name, Unit())
        time = datetime.fromisoformat(frame["timestamp"]).timestamp()
        unit.apply(time, frame["data"])
        features(unit, time, sensors, row)
        document = {"time": frame["timestamp"], "unit": name}
        for target, session, input_name, mean, scale in models:
            document[target] = float(session.run(None, {input_name: row})[0][0, 0]) * scale + mean
        document["model"] = identity
        client.publish(f"hvac/{name}/predictions", json.dumps(document), qos=qos)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="python-loop")
    client.max_inflight_messages_set(INFLIGHT)
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect(host, port)
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.subscribe("hvac/+/sensors", qos=qos)
    client.loop_forever()


if __name__ == "__main__":
    main()
