#!/usr/bin/env bash
# Sets up everything that the tests need, then runs all of them:
#
#     tests/run.sh            everything
#     tests/run.sh --setup    only the set-up
#
# Needs a Debian-like machine with Rust. What else is missing (a broker, a C compiler, Python) is installed by
# package name, as root or with sudo. The tests start brokers of their own on free ports; a broker that runs on this
# machine is neither used nor disturbed. PYTHON=PROGRAM picks the interpreter, 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "$0")/.."

# Rows that the comparisons with other runtimes go over: the number the project promises.
ROWS=100000
VENV=.venv
export DEBIAN_FRONTEND=noninteractive
# Brokers live where only root looks.
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf '\n==> %s\n' "$*"; }
fail() {
    printf 'tests/run.sh: %s\n' "$*" >&2
    exit 1
}

# Whatever ends the script early ends it under this name.
current_step=
trap '[ $? = 0 ] || printf "tests/run.sh: FAILED: %s\n" "${current_step:-arguments}" >&2' EXIT

# Runs one step and times it, so that a slow one shows.
step() {
    local begin=$SECONDS
    current_step=$1
    shift
    say "$current_step"
    "$@"
    printf '    %s: %d s\n' "$current_step" $((SECONDS - begin))
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
        as_root apt-get update -qq
        apt_is_updated=yes
    fi
    as_root apt-get install -y -qq --no-install-recommends "$@"
}

# Installs the package that brings a command, if the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    install_packages "$@"
    command -v "$command" >/dev/null || fail "the package $1 is installed, but there is no $command"
}

check_rust() {
    command -v cargo >/dev/null || fail "there is no cargo; install Rust from https://rustup.rs"
}

install_broker() {
    command -v mosquitto >/dev/null && return
    need mosquitto mosquitto
    # The package starts a broker on port 1883, which nobody asked for.
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now mosquitto.service
    fi
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

# Makes the Python environment, anew whenever the list of versions has changed.
make_venv() {
    local python requirements=tests/python/requirements.txt
    if cmp -s $requirements $VENV/requirements.txt; then
        return
    fi
    python=$(find_python)
    if [ -z "$python" ]; then
        install_packages python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || fail "there is no Python 3.11 to 3.13; name one in PYTHON"
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    "$python" -m venv --clear $VENV
    $VENV/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $requirements
    cp $requirements $VENV/requirements.txt
}

set_up() {
    check_rust
    need cc gcc libc6-dev
    need openssl openssl
    need minisign minisign
    need ip iproute2
    need mosquitto_sub mosquitto-clients
    need curl curl
    install_broker
    make_venv
}

case "${1:-}" in
'') ;;
--setup)
    step 'set-up' set_up
    exit
    ;;
*) fail "unknown argument $1; there is only --setup" ;;
esac

step 'set-up' set_up
step 'Rust tests: unit, documentation, scenarios, a real broker' cargo test --locked
step "parity with ONNX Runtime and LightGBM, $ROWS rows" \
    $VENV/bin/python tests/python/parity.py --rows $ROWS
step "models of other libraries, $ROWS rows" $VENV/bin/python tests/python/conformance.py --rows $ROWS
step 'point lists in the parsers of others' $VENV/bin/python tests/python/points.py
step 'HTTP: what it describes is what it does; metrics; the lines of the guide' tests/python/rest.sh
step 'live page in Chromium' tests/page/run.sh
say 'all tests passed'
