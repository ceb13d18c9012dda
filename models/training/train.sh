#!/bin/sh
# Makes the model bundle models/unit-cooler, from nothing to sealed, in one command:
#
#     models/training/train.sh
#
# It sets up a Python environment with pinned versions, builds cooltwin, simulates, trains, exports, seals and reports.
# The same machine gives the same bytes on every repeat. All arguments go to train.py; `train.sh --help` lists them.
#
# COOLTWIN=PATH uses an installed program instead of building one; PYTHON=PROGRAM picks the interpreter (3.11 to 3.13).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/training/venv

# The environment is made anew whenever the list of versions changes.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi

case " $* " in *" --help "* | *" -h "*) exec "$venv/bin/python" "$here/train.py" --help ;; esac

if [ -z "${COOLTWIN:-}" ]; then
    (cd "$root" && cargo build --release --locked --bin cooltwin)
    COOLTWIN=$target/release/cooltwin
fi
exec "$venv/bin/python" "$here/train.py" --cooltwin "$COOLTWIN" --work "$target/training/work" "$@"
