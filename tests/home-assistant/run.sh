#!/usr/bin/env bash
# Takes what Home Assistant is told (discovery.jsonl, written by the Rust tests) through Home Assistant's own code: its
# parser of discovery, its schemas, its table of units, its templates.
#
#     tests/home-assistant/run.sh
#
# Needs Python 3.13, which that version of Home Assistant wants (apt: python3.13-venv, Debian 13; else `uv python install
# 3.13` or pyenv). PYTHON=PROGRAM names one. Installs the packages of requirements.txt, 570 MB installed, into .venv-home-assistant.
set -euo pipefail
cd "$(dirname "$0")/../.."

HERE=tests/home-assistant
VENV=.venv-home-assistant

fail() {
    printf '%s: %s\n' "$HERE/run.sh" "$*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.13 python3}; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
}

if ! cmp -s $HERE/requirements.txt $VENV/requirements.txt; then
    python=$(find_python)
    [ -n "$python" ] || fail 'there is no Python 3.13; install it (python3.13-venv, uv or pyenv) or name it in PYTHON'
    "$python" -m venv --clear $VENV
    # Without looking for dependencies: Home Assistant names far more than its MQTT integration needs.
    $VENV/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --requirement $HERE/requirements.txt
    cp $HERE/requirements.txt $VENV/requirements.txt
fi
exec $VENV/bin/python $HERE/validate.py $HERE/discovery.jsonl
