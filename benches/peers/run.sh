#!/usr/bin/env bash
# cooltwin beside other runtimes for tree ensembles: single rows and batches, one thread, all in one run:
#
#     benches/peers/run.sh              everything; Markdown to standard output
#     benches/peers/run.sh --json       the same as one JSON document
#     benches/peers/run.sh --setup      only the set-up
#     benches/peers/run.sh --without-counts --rounds 25 --suite large
#                                       no instruction counts, a quarter of the rounds, one group of models
#
# Sets up what it needs, on a Debian-like machine with Rust: missing tools by package name, as root or with sudo; the
# peers in a Python environment; the harness. All of it lies in target/peers. A peer that cannot be installed is
# named in the result with the reason. Fails when a promise is not kept, so leave the machine alone meanwhile.
#
# COOLTWIN=PATH takes an installed program to make the rows instead of building one. PYTHON=PROGRAM picks the
# interpreter, 3.11 to 3.13. COOLTWIN_KERNEL=NAME forces a kernel.
set -euo pipefail
cd "$(dirname "$0")/../.."

TARGET=${CARGO_TARGET_DIR:-$PWD/target}
FOLDER=$TARGET/peers
VENV=$FOLDER/venv
HERE=benches/peers
export DEBIAN_FRONTEND=noninteractive
# One thread everywhere, also where a library would start more at load.
export OMP_NUM_THREADS=1

say() { printf '==> %s\n' "$*" >&2; }
fail() {
    printf '%s/run.sh: %s\n' $HERE "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        fail "needs root for: $*. Run it as root, or install sudo."
    fi
}

apt_is_updated=
install_packages() {
    command -v apt-get >/dev/null ||
        fail "this machine has no apt-get; install what corresponds to the Debian packages: $*"
    say "installing $*"
    if [ -z "$apt_is_updated" ]; then
        as_root apt-get update -qq >&2
        apt_is_updated=yes
    fi
    as_root apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Installs the package that brings a command, if the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    install_packages "$@"
    command -v "$command" >/dev/null || fail "the package $1 is installed, but there is no $command"
}

is_supported_python() {
    command -v "$1" >/dev/null &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11}; do
        if is_supported_python "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
}

# Versions come from the one list; what is asked for is named here.
pip_install() {
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --constraint $HERE/requirements.txt "$@"
}

# A peer that may be absent: what pip said then goes into the report. The file is named after the peer, `+` for `/`.
install_peer() {
    local name=$1 said
    shift
    if ! said=$(pip_install "$@" 2>&1); then
        say "${name/+//} cannot be installed"
        printf 'pip install %s: %s\n' "$*" "$(grep -m1 '^ERROR' <<<"$said" || tail -n1 <<<"$said")" \
            >"$FOLDER/missing/$name.txt"
    fi
}

# Makes the Python environment, anew whenever the list of versions has changed or a peer was missing.
make_venv() {
    local python
    mkdir -p "$FOLDER/missing"
    if cmp -s $HERE/requirements.txt "$VENV/requirements.txt" && [ -z "$(ls -A "$FOLDER/missing")" ]; then
        return
    fi
    rm -f "$FOLDER/missing"/*
    python=$(find_python)
    if [ -z "$python" ]; then
        install_packages python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || fail "there is no Python 3.11 to 3.13; name one in PYTHON"
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say 'installing the peers'
    "$python" -m venv --clear "$VENV"
    # Without these two there is nothing to measure against.
    pip_install onnxruntime onnx lightgbm numpy
    install_peer treelite+tl2cgen treelite tl2cgen
    install_peer lleaves lleaves llvmlite
    cp $HERE/requirements.txt "$VENV/requirements.txt"
}

set_up() {
    command -v cargo >/dev/null || fail 'there is no cargo; install Rust from https://rustup.rs'
    need gcc gcc libc6-dev libgomp1
    need valgrind valgrind
    make_venv
    "$VENV/bin/python" $HERE/prepare.py --folder "$FOLDER" ${COOLTWIN:+--cooltwin "$COOLTWIN"} >&2
    say 'building the harness'
    cargo build --release --locked --quiet --manifest-path $HERE/Cargo.toml --target-dir "$FOLDER/build"
}

set_up
[ "${1:-}" = --setup ] && exit
exec "$FOLDER/build/release/cooltwin-peers" --folder "$FOLDER" "$@"
