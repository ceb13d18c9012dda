#!/usr/bin/env python3
"""Frames a second through a real broker: cooltwin beside a Python loop that does the same job.

    cargo build --release
    python3 -m venv bench-venv && bench-venv/bin/pip install -r benches/requirements.txt
    bench-venv/bin/python benches/throughput.py

Needs mosquitto and mosquitto_sub (Debian: mosquitto, mosquitto-clients). Everything runs on this machine and
shares its cores: a mosquitto on a free loopback port, `cooltwin simulate` that publishes frames of 23 readings as
fast as the broker takes them, the consumer under test, and a mosquitto_sub that counts predictions. Time runs from
the start of the sender to the last prediction counted, so starting the sender and the last drain are in it. Every
frame must give a prediction. At QoS 0 nothing holds a sender back, and cooltwin drops, and counts, what it cannot
take; so when frames are lost the run is repeated with the sender at a lower, steady rate, down to what is promised.

The Python loop is what one would write in an afternoon: paho-mqtt, json, the features of the bundle turned into
compiled Python, the three ONNX models in ONNX Runtime with one thread each, one JSON document a frame. It still does
less than cooltwin: no staleness, no quality, no checks of what it reads, and it acknowledges before its prediction
is safe.
"""

import argparse
import collections
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Frames in flight at a consumer's end, as generous as paho's user would set it.
PAHO_INFLIGHT = 100
# Longest wait for a process to be ready, and for a run to end, in seconds.
READY_PATIENCE = 20
RUN_PATIENCE = 300
# No prediction for so long: the rest is lost.
STALL_PATIENCE = 5
# What the project promises, frames a second; and how many times the Python loop.
PROMISED = {0: 15_000, 1: 8_000}
PROMISED_RATIO = 3.0
# Rates of the sender at QoS 0, tried until no frame is lost; with ten units and steps of ten seconds `--speed` is the
# rate in frames a second.
RATES = ["max", "25000", "22000", "19000", "16500", "15500"]
UNITS = 10


class Features:
    """The features of a bundle for one unit, as compiled Python over the held readings and their history."""

    def __init__(self, manifest: dict):
        self.step = 30
        self.held = {sensor["name"]: math.nan for sensor in manifest["sensors"]}
        self.history = collections.deque(maxlen=31)
        self.changed = {}
        self.now = 0.0
        self.names = [feature["name"] for feature in manifest["features"]]
        self.programs = [
            (feature["name"], compile(self.translate(feature["expr"]), feature["name"], "eval"))
            for feature in manifest["features"]
            if "expr" in feature
        ]
        self.functions = {
            "max": max, "min": min, "pow": math.pow, "sqrt": math.sqrt, "exp": math.exp, "sin": math.sin,
            "cos": math.cos, "pi": math.pi,
            "clip": lambda x, low, high: min(max(x, low), high), "hour": lambda: self.now / 3600 % 24,
            "mean": self.mean, "std": self.std, "slope": self.slope, "lag": self.lag,
            "since_change": self.since_change,
        }  # fmt: skip

    @staticmethod
    def translate(expr: str) -> str:
        expr = re.sub(r"(mean|std|slope|lag)\((\w+), (\d+)m\)", r'\1("\2", \3 * 60)', expr)
        expr = re.sub(r"since_change\(([^()]*)\)", r'since_change("\1", \1)', expr)
        while (found := re.search(r"\bif\(", expr)) is not None:
            # The arguments, split at the commas that are not inside parentheses.
            parts, depth, end = [""], 1, found.end()
            while depth > 0:
                character = expr[end]
                depth += (character == "(") - (character == ")")
                if character == "," and depth == 1:
                    parts.append("")
                elif depth > 0:
                    parts[-1] += character
                end += 1
            test, yes, no = parts
            expr = f"{expr[: found.start()]}(({yes}) if ({test}) else ({no})){expr[end:]}"
        return expr.replace("^", "**")

    def window(self, name: str, seconds: int) -> list:
        first = self.now - seconds
        return [(time, held[name]) for time, held in self.history if time > first]

    def mean(self, name, seconds):
        values = [value for _, value in self.window(name, seconds)]
        return sum(values) / len(values)

    def std(self, name, seconds):
        values = [value for _, value in self.window(name, seconds)]
        mean = sum(values) / len(values)
        return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))

    def slope(self, name, seconds):
        points = self.window(name, seconds)
        mid_time = sum(time for time, _ in points) / len(points)
        mean = sum(value for _, value in points) / len(points)
        spread = sum((time - mid_time) ** 2 for time, _ in points)
        return sum((time - mid_time) * (value - mean) for time, value in points) / spread

    def lag(self, name, seconds):
        return next(held[name] for time, held in reversed(self.history) if time <= self.now - seconds)

    def since_change(self, key, value):
        last = self.changed.get(key)
        if last is None or last[0] != value:
            last = self.changed[key] = (value, self.now)
        return self.now - last[1]

    def row(self, data: dict, now: float) -> list:
        """The features after one more frame; NaN where something is missing."""
        for name in self.held:
            value = data.get(name)
            if value is not None:
                self.held[name] = value
        self.now = now
        if not self.history or now // self.step > self.history[-1][0] // self.step:
            self.history.append((now, dict(self.held)))
        values = dict(self.held)
        for name, program in self.programs:
            try:
                values[name] = eval(program, self.functions, values)
            except (ArithmeticError, ValueError, StopIteration):
                values[name] = math.nan
        return [values[name] for name in self.names]


def python_loop(port: int, qos: int, bundle: Path) -> None:
    """The consumer that cooltwin is compared with."""
    import numpy as np
    import onnxruntime as ort
    import paho.mqtt.client as mqtt

    manifest = tomllib.loads((bundle / "bundle.toml").read_text())
    units = collections.defaultdict(lambda: Features(manifest))
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = []
    for target in manifest["targets"]:
        session = ort.InferenceSession(
            str(bundle / target["model"]), options, providers=["CPUExecutionProvider"]
        )
        sessions.append((target["name"], session, session.get_inputs()[0].name))
    row = np.zeros((1, len(manifest["features"])), dtype=np.float32)

    def on_message(client, _userdata, message):
        frame = json.loads(message.payload)
        data = frame["data"]
        unit = message.topic.split("/")[1]
        row[0, :] = units[unit].row(data, time.time())
        document = {"time": frame.get("timestamp"), "unit": unit}
        for name, session, input_name in sessions:
            document[name] = float(session.run(None, {input_name: row})[0][0, 0])
        client.publish(f"hvac/{unit}/predictions", json.dumps(document), qos=qos)

    def on_subscribe(*_):
        print("ready", flush=True)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="python-loop")
    client.max_inflight_messages_set(PAHO_INFLIGHT)
    client.on_message = on_message
    client.on_subscribe = on_subscribe
    client.connect("127.0.0.1", port)
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.subscribe("hvac/+/sensors", qos=qos)
    client.loop_forever()


class Broker:
    """A mosquitto of our own."""

    def __init__(self, folder: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = Path(folder) / "mosquitto.conf"
        # Queues without limit: the sender is faster than any consumer, and losing frames would flatter them.
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n"
        )
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None or shutil.which("mosquitto_sub") is None:
            sys.exit("mosquitto or mosquitto_sub is missing: apt-get install mosquitto mosquitto-clients")
        self.process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            if time.monotonic() > deadline:
                sys.exit("mosquitto does not listen")
            time.sleep(0.05)

    def wait_for_retained(self, topic: str) -> None:
        subprocess.run(
            ["mosquitto_sub", "-p", str(self.port), "-t", topic, "-C", "1", "-W", str(READY_PATIENCE)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def drops(self) -> dict | str:
        """What the daemon says it has dropped and why."""
        asked = subprocess.Popen(
            ["mosquitto_sub", "-p", str(self.port), "-t", "cooltwin/main/cmd/health/response", "-C", "1", "-W", "5"],
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.5)
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-t", "cooltwin/main/cmd/health", "-n"], check=True)
        answer = asked.communicate()[0]
        return json.loads(answer)["drops"] if answer else "the daemon gives no health document"


def start_consumer(name: str, broker: Broker, qos: int, options: argparse.Namespace) -> subprocess.Popen:
    if name == "cooltwin":
        settings = {
            "mqtt.url": f"mqtt://127.0.0.1:{broker.port}",
            "mqtt.subscribe_qos": qos,
            "bundle.path": options.bundle,
            # One document a frame, as the Python loop publishes.
            "engine.target_topics": "false",
        }
        arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        process = subprocess.Popen([options.binary, "run", *arguments], stderr=subprocess.DEVNULL)
        broker.wait_for_retained("cooltwin/main/status")
        return process
    process = subprocess.Popen(
        [sys.executable, __file__, "--loop", str(broker.port), str(qos), "--bundle", str(options.bundle)],
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdout.readline().strip() != "ready":
        sys.exit("the Python loop did not start; are the packages of benches/requirements.txt installed?")
    return process


def usage(pid: int) -> tuple[float, float]:
    """CPU seconds and resident megabytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def watch(counter: subprocess.Popen, counted: Path, sender: subprocess.Popen) -> float:
    """Waits until every prediction is counted or no more come; gives the time of the last one."""
    size, last = 0, time.monotonic()
    while counter.poll() is None:
        grown = counted.stat().st_size
        if grown != size or sender.poll() is None:
            size, last = grown, time.monotonic()
        elif time.monotonic() - last > STALL_PATIENCE:
            counter.terminate()
            counter.wait(10)
            return last
        time.sleep(0.005)
    return time.monotonic()


def measure(name: str, qos: int, frames: int, options: argparse.Namespace) -> dict:
    """The run at the highest rate that loses nothing, or else at the lowest."""
    for rate in RATES:
        result = measure_at(rate, name, qos, frames, options)
        if result["predictions"] == frames or qos == 1:
            break
    return result


def measure_at(rate: str, name: str, qos: int, frames: int, options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(folder)
        consumer = counter = None
        try:
            consumer = start_consumer(name, broker, qos, options)
            counted = Path(folder) / "counted"
            with counted.open("w") as out:
                counter = subprocess.Popen(
                    ["mosquitto_sub", "-p", str(broker.port), "-q", str(qos), "-t", "hvac/+/predictions", "-F", "."]
                    + ["-C", str(frames), "-W", str(RUN_PATIENCE)],
                    stdout=out,
                )
                # The counter says nothing when it has subscribed.
                time.sleep(0.5)
                cpu_before, _ = usage(consumer.pid)
                begin = time.monotonic()
                sender = subprocess.Popen(
                    [options.binary, "simulate", "--mqtt", f"mqtt://127.0.0.1:{broker.port}", "--speed", rate]
                    + ["--units", str(UNITS), "--rows", str(frames // UNITS), "--qos", str(qos)]
                    # Short steps are the cheapest to simulate: the sender shares the cores.
                    + ["--step", "10s"],
                    stderr=subprocess.DEVNULL,
                )
                seconds = watch(counter, counted, sender) - begin
            cpu, memory = usage(consumer.pid)
            predictions = counted.stat().st_size // 2
            if predictions < frames and name == "cooltwin":
                print(f"sent at {rate}/s, lost {frames - predictions}: {broker.drops()}", file=sys.stderr)
            return {
                "consumer": name,
                "qos": qos,
                "sent_at": rate,
                "frames": frames,
                "predictions": predictions,
                "per_second": predictions / seconds,
                "cpu_us_per_frame": (cpu - cpu_before) / frames * 1e6,
                "resident_mb": memory,
            }
        finally:
            for process in (counter, consumer, broker.process):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/cooltwin"))
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/unit-cooler")
    parser.add_argument("--frames", type=int, default=60_000, help="frames for cooltwin; the Python loop gets a third")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--loop", nargs=2, type=int, metavar=("PORT", "QOS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        python_loop(*options.loop, options.bundle)
        return 0
    if not Path(options.binary).exists():
        sys.exit(f"{options.binary} is missing: cargo build --release")
    results, holds = [], True
    if not options.json:
        print(f"{'consumer':<12}{'QoS':>4}{'sent at':>9}{'frames':>9}{'predicted':>11}{'frames/s':>10}{'CPU us':>8}{'MB':>7}")
    for qos in (0, 1):
        rates = {}
        for name, frames in (("cooltwin", options.frames), ("python", options.frames // 3)):
            frames -= frames % UNITS
            result = measure(name, qos, frames, options)
            results.append(result)
            rates[name] = result["per_second"]
            holds &= result["predictions"] == frames or name != "cooltwin"
            if not options.json:
                print(
                    f"{name:<12}{qos:>4}{result['sent_at']:>9}{frames:>9}{result['predictions']:>11}{result['per_second']:>10.0f}"
                    f"{result['cpu_us_per_frame']:>8.0f}{result['resident_mb']:>7.1f}",
                    flush=True,
                )
        ratio = rates["cooltwin"] / rates["python"]
        kept = rates["cooltwin"] >= PROMISED[qos] and ratio >= PROMISED_RATIO
        holds &= kept
        if not options.json:
            verdict = "holds" if kept else "MISSED"
            print(f"{'':<16}{ratio:.1f} times the Python loop; promised {PROMISED[qos]}/s and {PROMISED_RATIO:g} times: {verdict}")
    if options.json:
        print(json.dumps({"results": results, "holds": holds}, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
