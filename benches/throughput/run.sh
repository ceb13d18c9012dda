#!/usr/bin/env bash
# Frames a second through mosquitto, cooltwin beside a Python loop that does the same job:
#
#     benches/throughput/run.sh [--frames N] [--json]
#     benches/throughput/run.sh --flood            # the way of a frame with and without a flood of strange units
#
# Sets up what it needs (mosquitto and Python as tests/run.sh does, the optimised program, a Python environment).
# Fails when a promise is not kept, so leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/throughput-venv
requirements=benches/throughput/requirements.txt
tests/run.sh --setup >&2
cargo build --release --locked --bin cooltwin --example load
if ! cmp -s $requirements $venv/requirements.txt; then
    .venv/bin/python -m venv --clear $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement $requirements
    cp $requirements $venv/requirements.txt
fi
exec $venv/bin/python benches/throughput/throughput.py "$@"
