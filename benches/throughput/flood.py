"""How long a frame takes to its prediction, with and without a flood of strange units beside it; part of throughput.py.

    benches/throughput/run.sh --flood

Known units send frames by the clock; every other round strange ones flood the broker, each with a topic of its own, a
million in all, and the daemon is at its limit of units. Rounds alternate, so that what else the machine does meets both alike;
the times are from publishing a frame to receiving its prediction, and so have the broker's share in them.
"""

import json
import statistics
import subprocess
import tempfile

UNITS = 10
# Frames a second of the known units, and frames of one round: ten seconds.
RATE, FRAMES = 500, 5_000
# Frames a second of strange units. So many rounds, with both qualities of service, make a million of them.
STRANGERS, ROUNDS = 10_000, 5
# What the project promises: 99 of 100 frames take at most so many times as long as usual.
PROMISED = 2.0


def run_round(load, broker, qos, strangers):
    arguments = [load, f"127.0.0.1:{broker.port}", "--qos", str(qos), "--frames", str(FRAMES), "--units", str(UNITS)]
    arguments += ["--rate", str(RATE), "--strangers", str(strangers)]
    run = subprocess.run(arguments, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(run.stdout)


def measure(qos, options, start_broker, start_cooltwin, usage):
    with tempfile.TemporaryDirectory() as folder:
        broker, daemon = start_broker(folder), None
        try:
            daemon = start_cooltwin(broker, qos, options, {"engine.max_units": str(UNITS)})
            run_round(options.load, broker, qos, 0)
            _, before = usage(daemon.pid)
            rounds = {0: [], STRANGERS: []}
            for _ in range(ROUNDS):
                for strangers, results in rounds.items():
                    results.append(run_round(options.load, broker, qos, strangers))
            _, after = usage(daemon.pid)
        finally:
            for process in (daemon, broker.process):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(10)
    calm, flooded = ({key: statistics.median(result[key] for result in results) for key in ("p50_us", "p99_us")} for results in rounds.values())
    pairs = zip(rounds[STRANGERS], rounds[0], strict=True)
    return {
        "qos": qos,
        "calm": calm,
        "flooded": flooded,
        "p99_ratio": statistics.median(flood["p99_us"] / usual["p99_us"] for flood, usual in pairs),
        "strangers": sum(result["strangers"] for result in rounds[STRANGERS]),
        "grown_mb": after - before,
    }


def report(options, start_broker, start_cooltwin, usage):
    """Prints a line for each quality of service; whether the promise is kept."""
    holds = True
    print(f"{'QoS':>3}{'strange topics':>16}{'p50 ms':>8}{'flooded':>9}{'p99 ms':>8}{'flooded':>9}{'ratio':>7}{'grown MB':>10}")
    for qos in (1, 0):
        result = measure(qos, options, start_broker, start_cooltwin, usage)
        calm, flooded = result["calm"], result["flooded"]
        holds &= result["p99_ratio"] <= PROMISED
        print(
            f"{qos:>3}{result['strangers']:>16}{calm['p50_us'] / 1e3:>8.2f}{flooded['p50_us'] / 1e3:>9.2f}"
            f"{calm['p99_us'] / 1e3:>8.2f}{flooded['p99_us'] / 1e3:>9.2f}{result['p99_ratio']:>7.2f}{result['grown_mb']:>10.1f}",
            flush=True,
        )
    print(f"promised: p99 at most {PROMISED:g} times the usual: {'holds' if holds else 'MISSED'}")
    return holds
