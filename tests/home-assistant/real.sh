#!/usr/bin/env bash
# Sets up a whole Home Assistant of its own and looks at what it makes of the daemon's discovery:
#
#     tests/home-assistant/real.sh [PROGRAM]
#
# PROGRAM is cooltwin, target/debug/cooltwin if left out. Starts a broker, Home Assistant, the daemon and simulated coolers
# on free ports, adds the broker in Home Assistant as a user would, and compares devices, entities and states with what was
# published; then through the loss of a unit, of the daemon and of Home Assistant, and the setting's end. real.mjs has the
# checks. HASS_SHOTS=docs writes the pictures of docs/home-assistant.md there.
#
# Needs Debian or its kin; chromium, nodejs 20 or later, npm and mosquitto are installed by package name, as root or with
# sudo. Python 3.13 as run.sh. Installs requirements-real.txt, some of it from sources, into .venv-home-assistant-real: 10
# minutes at first.
set -euo pipefail
cd "$(dirname "$0")/../.."

HERE=tests/home-assistant
VENV=.venv-home-assistant-real
export DEBIAN_FRONTEND=noninteractive
# Brokers live where only root looks.
export PATH="$PATH:/usr/sbin:/sbin"

fail() {
    printf '%s: %s\n' "$HERE/real.sh" "$*" >&2
    exit 1
}

need() {
    local command=$1 package=$2 sudo=
    command -v "$command" >/dev/null && return
    [ "$(id -u)" = 0 ] || sudo=sudo
    command -v apt-get >/dev/null || fail "there is no $command and no apt-get; install what corresponds to Debian's $package"
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "$package"
    command -v "$command" >/dev/null || fail "the package $package is installed, but there is no $command"
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

# Ends what this script has started; the rest ends with its driver.
work=$(mktemp -d)
finish() {
    local job
    for job in $(jobs -p); do
        kill "$job" 2>/dev/null || true
    done
    wait
    rm -rf "$work"
}
trap finish EXIT

free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

need chromium chromium
need node nodejs
need npm npm
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
[ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" = true ] || fail "nodejs is older than 20; install a newer one"
program=${1:-target/debug/cooltwin}
[ -x "$program" ] || fail "there is no $program; build it with: cargo build"

# The driver of Chromium that the live page's test uses.
if ! cmp -s tests/page/package-lock.json tests/page/node_modules/installed.json; then
    npm ci --prefix tests/page --silent --no-audit --no-fund
    cp tests/page/package-lock.json tests/page/node_modules/installed.json
fi
if ! cmp -s $HERE/requirements-real.txt $VENV/requirements.txt; then
    python=$(find_python)
    [ -n "$python" ] || fail 'there is no Python 3.13; install it (python3.13-venv, uv or pyenv) or name it in PYTHON'
    "$python" -m venv --clear $VENV
    # The list is complete; Home Assistant's own version limits are in it.
    $VENV/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $HERE/requirements-real.txt
    cp $HERE/requirements-real.txt $VENV/requirements.txt
fi

broker_port=$(free_port)
hass_port=$(free_port)
http_port=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$broker_port" >"$work/mosquitto.conf"
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &

mkdir -p "$work/hass/.storage"
cat >"$work/hass/configuration.yaml" <<EOF
homeassistant:
  name: Cold store
  unit_system: metric
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: $hass_port
config:
frontend:
history:
logbook:
EOF
# Of the first steps only that which makes the owner is to be done: the others ask for services elsewhere.
cat >"$work/hass/.storage/onboarding" <<'EOF'
{"version": 4, "minor_version": 1, "key": "onboarding", "data": {"done": ["core_config", "analytics", "integration"]}}
EOF

if ! HASS_WORK=$work HASS_PROGRAM=$program HASS_PYTHON=$VENV/bin/python HASS_PORT=$hass_port HASS_BROKER_PORT=$broker_port \
    HASS_HTTP_PORT=$http_port HASS_CHROMIUM=$(command -v chromium) node $HERE/real.mjs; then
    tail -n 20 "$work/daemon.log" "$work/hass.out" >&2 || true
    fail 'Home Assistant does not make of it what it should'
fi
