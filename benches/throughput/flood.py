"""How long a frame takes to its prediction, with and without a flood of strange units beside it; part of throughput.py.

    benches/throughput/run.sh --flood

Known units send frames by the clock. Two rounds of three are flooded by strange units, each with a topic of its own: in one
the daemon subscribes to them and is at its limit of units, in the other somebody else does, which is what the flood takes of
broker and machine whoever reads it. Rounds alternate, so that what else the machine does meets all alike. Times are of known units:
from publishing a frame to receiving its prediction, and the daemon's own part, from its arrival to the prediction.
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
# What the project promises of the known units: 99 of 100 frames take at most so many times as long, within the daemon as if there
# were no flood, and over the broker as if somebody else read it.
PROMISED = 2.0
KINDS = {"calm": ["--strangers", "0"], "elsewhere": ["--strangers", str(STRANGERS), "--elsewhere"], "flooded": ["--strangers", str(STRANGERS)]}


def run_round(load, broker, qos, strangers):
    arguments = [load, f"127.0.0.1:{broker.port}", "--qos", str(qos), "--frames", str(FRAMES), "--units", str(UNITS)]
    run = subprocess.run([*arguments, "--rate", str(RATE), *strangers], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(run.stdout)


def measure(qos, options, start_broker, start_cooltwin, usage):
    with tempfile.TemporaryDirectory() as folder:
        broker, daemon = start_broker(folder), None
        try:
            daemon = start_cooltwin(broker, qos, options, {"engine.max_units": str(UNITS)})
            run_round(options.load, broker, qos, KINDS["calm"])
            _, before = usage(daemon.pid)
            rounds = {kind: [] for kind in KINDS}
            for _ in range(ROUNDS):
                for kind, results in rounds.items():
                    results.append(run_round(options.load, broker, qos, KINDS[kind]))
            _, after = usage(daemon.pid)
        finally:
            for process in (daemon, broker.process):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(10)

    def ratio(key, usual):
        pairs = zip(rounds["flooded"], rounds[usual], strict=True)
        return statistics.median(flooded[key] / other[key] for flooded, other in pairs)

    return {
        "rounds": rounds,
        "ratios": {"own": ratio("own_p99_us", "calm"), "broker": ratio("p99_us", "elsewhere"), "calm": ratio("p99_us", "calm")},
        "grown_mb": after - before,
    }


def report(options, start_broker, start_cooltwin, usage):
    """Prints three lines for each quality of service; whether the promises are kept."""
    holds = True
    print(f"{'QoS':>3}  {'flood':<10}{'messages':>9}{'p50 ms':>8}{'p99 ms':>8}{'own p50':>9}{'own p99':>9}")
    for qos in (1, 0):
        result = measure(qos, options, start_broker, start_cooltwin, usage)
        for kind, rounds in result["rounds"].items():
            whole, half, own, own_half = (
                statistics.median(one[key] for one in rounds) / 1e3 for key in ("p99_us", "p50_us", "own_p99_us", "own_p50_us")
            )
            messages = sum(one["strangers"] for one in rounds)
            print(f"{qos:>3}  {kind:<10}{messages:>9}{half:>8.2f}{whole:>8.2f}{own_half:>9.3f}{own:>9.3f}")
        ratios = result["ratios"]
        holds &= ratios["own"] <= PROMISED and ratios["broker"] <= PROMISED
        print(
            f"     p99, median of {ROUNDS} pairs: the daemon's own {ratios['own']:.2f} times the calm one, the whole way"
            f" {ratios['broker']:.2f} times as if another read the flood, {ratios['calm']:.2f} times the calm one;"
            f" grown by {result['grown_mb']:.1f} MB",
            flush=True,
        )
    print(f"promised: the first two at most {PROMISED:g}: {'holds' if holds else 'MISSED'}")
    return holds
