#!/usr/bin/env python3
"""Asks a daemon over HTTP: its OpenAPI document against what it does, its metrics, and the lines of docs/http.md.

    tests/python/rest.sh        sets up what this needs and runs it

Starts a broker and a daemon of its own on free ports, with one simulated unit. The exit code is 1 when anything differs.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = "cooler-01"
# Enough to reach every branch of the schemas; a run takes about half a minute.
EXAMPLES = 60
# Fixed, so that a failure can be repeated.
SEED = 20_260_105
PATIENCE_S = 60


def main():
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        with Site(program, Path(folder)) as site:
            site.wait_predicting()
            metrics(site)
            documentation(site)
            openapi(site, Path(folder))
            # The daemon has survived all that.
            assert site.get("/health")["status"] == "healthy"
    print("HTTP: everything holds")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A broker, a daemon, and readings of one unit."""

    def __init__(self, program, folder):
        self.program, self.folder, self.processes = program, folder, []
        self.broker, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, *command):
        log = open(self.folder / f"{len(self.processes)}.log", "wb")
        self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))

    def __enter__(self):
        settings = [f"mqtt.url=mqtt://127.0.0.1:{self.broker}", f"http.listen=127.0.0.1:{self.port}", "log.format=text"]
        overrides = [part for setting in settings for part in ("--set", setting)]
        self.start("mosquitto", "-p", str(self.broker))
        wait_for(lambda: socket.create_connection(("127.0.0.1", self.broker), 1).close() is None, "the broker")
        self.start(str(self.program), "run", *overrides)
        broker = f"mqtt://127.0.0.1:{self.broker}"
        self.start(str(self.program), "simulate", "--mqtt", broker, "--units", "1", "--step", "1s")
        return self

    def __exit__(self, *failure):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        if failure[0]:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)

    def text(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def get(self, path):
        return json.loads(self.text(path))

    def wait_predicting(self):
        wait_for(lambda: any(unit["unit"] == UNIT and unit["time"] for unit in self.get("/units")["units"]), UNIT)


def wait_for(look, what):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if look():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")


def metrics(site):
    """Every family can be read, says what it is, and is named as Prometheus wants it."""
    text = site.text("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) > 30, sorted(families)
    helped, typed = (re.findall(rf"^# {word} (\S+)", text, re.MULTILINE) for word in ("HELP", "TYPE"))
    assert helped == typed and len(set(typed)) == len(typed)
    for family in families.values():
        assert family.name.startswith("cooltwin_") and family.documentation.endswith("."), family
        assert family.type in ("gauge", "counter", "summary", "histogram"), family
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample
            assert sample.value == sample.value, sample
    units = [("_ms", "_us", "_millis", "_kb", "_mb")]
    assert not [name for name in families if name.endswith(units[0])], "base units only"
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? \S+', line) or "le=" in line, line
    predicted = {sample.labels["target"]: sample.value for sample in families["cooltwin_predicted_value"].samples}
    assert set(predicted) == {"UCAOT", "UCWOT", "UCAF"}, predicted
    histogram = families["cooltwin_http_request_duration_seconds"]
    buckets = [sample.value for sample in histogram.samples if sample.labels.get("route") == "/units" and "le" in sample.labels]
    assert buckets == sorted(buckets) and buckets[-1] > 0
    print(f"metrics: {len(families)} families")


def documentation(site):
    """The lines of the guide that ask this machine do what they say."""
    guide = (ROOT / "docs/http.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "127.0.0.1:8000" in line]
    assert len(lines) >= 11, lines
    for line in lines:
        command = line.replace("http://127.0.0.1:8000", site.url).replace("curl -s", "curl -s --max-time 10 -w '\\n%{http_code}'")
        output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
        body, status = output.rsplit("\n", 1)
        expected = "422" if '"UCWITT"' in line else "200"
        assert status == expected, f"{line}: {status} {body}"
        if not re.search("/(metrics|docs)$", line):
            json.loads(body)
    routes = set(site.get("/openapi.json")["paths"])
    untold = {route for route in routes if f"`GET {route}`" not in guide and f"`POST {route}`" not in guide}
    assert not untold, f"docs/http.md does not tell {untold}"
    print(f"docs/http.md: {len(lines)} lines")


def openapi(site, folder):
    """What the document allows is answered as it says, and what it does not allow is refused."""
    config = folder / "schemathesis.toml"
    # The one unit there is beside made-up ones; the stream of events has no end.
    config.write_text(f'[[operations]]\ninclude-path = "/units/{{id}}"\nparameters = {{ id = "{UNIT}" }}\n')
    run = [Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", f"{site.url}/openapi.json"]
    options = ["--exclude-path", "/events", "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--request-timeout", "20"]
    subprocess.run([*run, *options, "--no-color"], cwd=folder, check=True)


if __name__ == "__main__":
    main()
