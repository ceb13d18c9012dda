#!/usr/bin/env bash
# Tries the live page in headless Chromium, against the real daemon and a real mosquitto:
#
#     tests/page/run.sh [PROGRAM]
#
# PROGRAM is cooltwin, target/debug/cooltwin if left out. Runs the tests of the page's own functions, starts a broker and
# the daemon on free ports, lets simulated coolers publish, and then walks through the page: list, unit, filter, keyboard,
# names that are hostile, a daemon that hangs and comes back. Prints what it measured; fails at the first thing that does not
# hold. PAGE_SHOTS=docs writes the pictures of docs/page.md there, and PAGE_WARM_S=930 waits so long before, until windows are
# filled and curves have something to show; PAGE_UNITS is the number of coolers.
#
# Needs Debian or its kin; what is missing (chromium, nodejs 18 or later, npm, mosquitto) is installed by package name, as
# root or with sudo. The versions of the npm packages stand in package-lock.json.
set -euo pipefail
cd "$(dirname "$0")/../.."

export DEBIAN_FRONTEND=noninteractive
# More than anybody watches at once; the pictures are made with fewer.
UNITS=${PAGE_UNITS:-120}
# Brokers live where only root looks.
export PATH="$PATH:/usr/sbin:/sbin"

fail() {
    echo "tests/page/run.sh: $*" >&2
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

# Ends what this script has started; the browser ends with its driver.
work=$(mktemp -d)
finish() {
    local job
    for job in $(jobs -p); do
        # A daemon that was stopped does not hear TERM.
        kill -CONT "$job" 2>/dev/null || true
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
[ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 18')" = true ] || fail "nodejs is older than 18; install a newer one"
program=${1:-target/debug/cooltwin}
[ -x "$program" ] || fail "there is no $program; build it with: cargo build"

if ! cmp -s tests/page/package-lock.json tests/page/node_modules/installed.json; then
    npm ci --prefix tests/page --silent --no-audit --no-fund
    cp tests/page/package-lock.json tests/page/node_modules/installed.json
fi

# From a copy that calls them modules: nodejs before 20.19 takes .js for scripts.
mkdir -p "$work/tree/tests/page" "$work/tree/src/http/page"
cp tests/page/*.test.mjs "$work/tree/tests/page"
cp src/http/page/*.js "$work/tree/src/http/page"
echo '{"type": "module"}' >"$work/tree/package.json"
node --test --test-reporter=spec "$work"/tree/tests/page/*.test.mjs

broker_port=$(free_port)
http_port=$(free_port)
broker="mqtt://127.0.0.1:$broker_port"
printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$broker_port" >"$work/mosquitto.conf"
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
"$program" config >"$work/cooltwin.toml"

# An alarm is waited for; pictures are to be without.
silence=15s
[ -z "${PAGE_SHOTS:-}" ] || silence=5m
export COOLTWIN__MQTT__URL=$broker COOLTWIN__BUNDLE__PATH=models/unit-cooler COOLTWIN__HEALTH__INTERVAL=10s
export COOLTWIN__HTTP__LISTEN=127.0.0.1:$http_port COOLTWIN__ALARMS__UNIT_SILENCE=$silence
if ! PAGE_PROGRAM=$program PAGE_CONFIG=$work/cooltwin.toml PAGE_LOG=$work/daemon.log PAGE_UNITS=$UNITS \
    PAGE_HTTP_PORT=$http_port PAGE_BROKER_PORT=$broker_port PAGE_CHROMIUM=$(command -v chromium) node tests/page/walk.mjs; then
    tail -n 20 "$work/daemon.log" >&2
    fail 'the page does not do what it should'
fi
