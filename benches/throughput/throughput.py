#!/usr/bin/env python3
"""Frames a second through a real broker: cooltwin beside a Python loop that does the same job.

    benches/throughput/run.sh [--frames N] [--json]
    benches/throughput/run.sh --flood                 # flood.py

Everything runs on this machine and shares its cores: a mosquitto with its default limits on a free loopback port, the
example `load`, which sends frames of 23 readings and counts predictions, and the consumer under test. Every frame must
give a prediction; a run that loses one fails. See load.rs for how it is measured, python_loop.py for the other side.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import flood

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Longest wait for a process to be ready, in seconds.
READY_PATIENCE = 20
# What the project promises, frames a second; and how many times the Python loop.
PROMISED = {0: 15_000, 1: 8_000}
PROMISED_RATIO = 3.0
# The Python loop gets fewer frames, so that it does not take all the time.
LOOP_SHARE = 4


class Broker:
    """A mosquitto of our own."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nuser root\n")
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            sys.exit("mosquitto is missing: apt-get install mosquitto")
        self.process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            if time.monotonic() > deadline:
                sys.exit("mosquitto does not listen")
            time.sleep(0.05)


def start_cooltwin(broker, qos, options, more):
    settings = {
        "mqtt.url": f"mqtt://127.0.0.1:{broker.port}",
        "mqtt.subscribe_qos": qos,
        "bundle.path": options.bundle,
        "engine.min_interval": "0s",
        "engine.target_topics": "false",
        "log.format": "text",
        **more,
    }
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    process = subprocess.Popen([options.binary, "run", *arguments], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "connected to" in line:
            # The subscription follows the connection at once; the load's warm-up waits for it.
            time.sleep(0.2)
            process.stderr.close()
            return process
    sys.exit("cooltwin did not start")


def start_loop(broker, qos, options):
    arguments = [sys.executable, str(HERE / "python_loop.py"), "127.0.0.1", str(broker.port), str(qos)]
    process = subprocess.Popen([*arguments, str(options.bundle)], stdout=subprocess.PIPE, text=True)
    if process.stdout.readline().strip() != "ready":
        sys.exit("the Python loop did not start")
    return process


def usage(pid):
    """CPU seconds and resident megabytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(name, qos, frames, options):
    with tempfile.TemporaryDirectory() as folder:
        broker, consumer = Broker(folder), None
        try:
            if name == "python loop":
                consumer = start_loop(broker, qos, options)
            else:
                numbers = "true" if name.endswith("numbers") else "false"
                consumer = start_cooltwin(broker, qos, options, {"engine.target_topics": numbers})
            load = [options.load, f"127.0.0.1:{broker.port}", "--qos", str(qos), "--frames", str(frames)]
            before, _ = usage(consumer.pid)
            run = subprocess.run([*load, "--units", str(options.units)], stdout=subprocess.PIPE, text=True)
            if run.returncode != 0 or consumer.poll() is not None:
                sys.exit(f"{name}, QoS {qos}: the run failed or lost predictions: {run.stdout}")
            after, memory = usage(consumer.pid)
            result = json.loads(run.stdout)
            return {"consumer": name, **result, "cpu_us": (after - before) / frames * 1e6, "resident_mb": memory}
        finally:
            for process in (consumer, broker.process):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(10)


def hardware():
    info = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {models[0] if models else platform.machine()}; load before the run {load:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/cooltwin"))
    parser.add_argument("--load", default=str(ROOT / "target/release/examples/load"))
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/unit-cooler")
    parser.add_argument("--frames", type=int, default=100_000, help="frames for cooltwin, a quarter for the Python loop")
    parser.add_argument("--units", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--flood", action="store_true", help="times with and without a flood of strange units instead")
    options = parser.parse_args()
    if options.flood:
        print(hardware())
        return 0 if flood.report(options, Broker, start_cooltwin, usage) else 1
    machine, results, holds = hardware(), [], True
    if not options.json:
        print(machine)
        print(f"{'consumer':<24}{'QoS':>4}{'frames':>9}{'frames/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'CPU us':>8}{'MB':>7}")
    for qos in (1, 0):
        rates = {}
        for name in ("cooltwin", "cooltwin, bare numbers", "python loop"):
            frames = options.frames // (LOOP_SHARE if name == "python loop" else 1)
            result = measure(name, qos, frames, options)
            results.append(result)
            rates[name] = result["per_second"]
            if not options.json:
                print(
                    f"{name:<24}{qos:>4}{frames:>9}{result['per_second']:>10.0f}{result['p50_us'] / 1e3:>8.1f}"
                    f"{result['p99_us'] / 1e3:>8.1f}{result['cpu_us']:>8.0f}{result['resident_mb']:>7.1f}",
                    flush=True,
                )
        ratio = rates["cooltwin"] / rates["python loop"]
        kept = rates["cooltwin"] >= PROMISED[qos] and ratio >= PROMISED_RATIO
        holds &= kept
        if not options.json:
            verdict = "holds" if kept else "MISSED"
            print(f"    {ratio:.1f} times the Python loop; promised: {PROMISED[qos]}/s and {PROMISED_RATIO:g} times: {verdict}")
    if options.json:
        print(json.dumps({"hardware": machine, "results": results, "holds": holds}, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
