#!/usr/bin/env bash
# Asks a running daemon over HTTP all that /openapi.json allows and much that it does not, with schemathesis; reads /metrics with
# the parser of Prometheus' own client; runs every line of docs/http.md:
#
#     tests/python/rest.sh                  with target/debug/cooltwin, which it builds
#     PROGRAM=target/release/cooltwin tests/python/rest.sh
#
# Needs mosquitto, curl, Rust and Python 3.11 to 3.13 with venv; packages come from PyPI by requirement. PYTHON=PROGRAM picks the
# interpreter. Takes about a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin:/sbin"

fail() {
    printf 'tests/python/rest.sh: %s\n' "$*" >&2
    exit 1
}

VENV=target/rest/venv
REQUIREMENTS=tests/python/rest-requirements.txt

for command in mosquitto curl cargo; do
    command -v $command >/dev/null || fail "there is no $command; on Debian: apt-get install mosquitto curl; Rust from https://rustup.rs"
done
if ! cmp -s $REQUIREMENTS $VENV/requirements.txt; then
    "${PYTHON:-python3}" -m venv --clear $VENV || fail "python3 -m venv failed; on Debian: apt-get install python3-venv"
    $VENV/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $REQUIREMENTS
    cp $REQUIREMENTS $VENV/requirements.txt
fi
if [ -z "${PROGRAM:-}" ]; then
    # As `cargo test` builds it: without the tests, dependencies have other features, and some are built twice.
    cargo build --locked --quiet --test integration
    PROGRAM=target/debug/cooltwin
fi
$VENV/bin/python tests/python/rest.py "$PROGRAM"
