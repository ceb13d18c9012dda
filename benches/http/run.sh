#!/usr/bin/env bash
# How fast predictions over HTTP are, and what they cost those over MQTT:
#
#     benches/http/run.sh              # builds the optimised program; PROGRAM=FILE takes another one
#
# Four measurements with wrk on loopback, keep-alive, 500 rotating rows of the simulator with the reference bundle:
# as many single predictions as there can be; about 5,000 a second, and the daemon's own time for them; batches of 1,000; and
# MQTT predictions while about 20,000 a second run over HTTP. Fails when a promise is not kept, so leave the machine alone
# meanwhile. Needs mosquitto, wrk, curl, python3 and Rust; on Debian: apt-get install mosquitto wrk curl python3.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin:/sbin"

SECONDS_EACH=${SECONDS_EACH:-10}
MQTT_FRAMES=20000
MQTT_RATE=1000

fail() {
    printf 'benches/http/run.sh: %s\n' "$*" >&2
    exit 1
}

for command in mosquitto wrk curl python3 cargo; do
    command -v $command >/dev/null ||
        fail "there is no $command; on Debian: apt-get install mosquitto wrk curl python3; Rust from https://rustup.rs"
done
cargo build --release --locked --quiet --bin cooltwin --example load
PROGRAM=${PROGRAM:-target/release/cooltwin}

dir=$(mktemp -d)
pids=()
clean_up() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
broker=$(free_port)
http=$(free_port)
url=http://127.0.0.1:$http

# No Nagle, no bound on what waits for a reader: the daemon is to be measured, not the broker.
printf 'listener %s 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n' "$broker" >"$dir/mosquitto.conf"
mosquitto -c "$dir/mosquitto.conf" >"$dir/mosquitto.log" 2>&1 &
pids+=($!)
"$PROGRAM" run --set "mqtt.url=mqtt://127.0.0.1:$broker" --set "http.listen=127.0.0.1:$http" --set log.format=text \
    >"$dir/daemon.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    curl -fs "$url/ready" >/dev/null && break
    sleep 0.1
done
curl -fs "$url/ready" >/dev/null || fail "the daemon is not ready: $(tail -n 5 "$dir/daemon.log")"

# Rows of the simulator without what is predicted, as bodies of requests and as one batch.
"$PROGRAM" simulate --seed 5 --rows 500 --format jsonl | python3 -c '
import json, sys
targets = {"UCAOT", "UCWOT", "UCAF"}
rows = [{name: value for name, value in json.loads(line)["data"].items() if name not in targets} for line in sys.stdin]
folder = sys.argv[1]
with open(f"{folder}/rows.jsonl", "w") as out:
    out.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
with open(f"{folder}/batch.json", "w") as out:
    json.dump({"samples": rows * 2}, out, separators=(",", ":"))
' "$dir"

# wrk asks for them in turn; PAUSE milliseconds between two requests of a connection make a rate.
cat >"$dir/single.lua" <<'LUA'
local requests, place = {}, 0
function init()
    local headers = { ["Content-Type"] = "application/json" }
    for line in io.lines(os.getenv("ROWS")) do
        requests[#requests + 1] = wrk.format("POST", "/predict", headers, line)
    end
end
function request()
    place = place % #requests + 1
    return requests[place]
end
local pause = tonumber(os.getenv("PAUSE") or "0")
if pause > 0 then
    function delay() return pause end
end
LUA
load_http() { # connections, pause in ms, seconds
    ROWS=$dir/rows.jsonl PAUSE=$2 wrk -t1 -c"$1" -d"$3" --latency -s "$dir/single.lua" "$url"
}
rate_of() { awk '/^Requests\/sec/ { print $2 } /Non-2xx/ { print "errors: " $0 > "/dev/stderr" }'; }

# Share of the daemon's own times for POST /predict that were at most a millisecond, between two looks at /metrics.
served() { # le
    curl -fs "$url/metrics" | awk -v le="$1" 'index($0, "request_duration_seconds_bucket{route=\"/predict\",le=\"" le "\"}") { print $2 }'
}

failures=0
judge() { # what, measured, unit, at least|at most, promise
    local verdict=kept
    awk -v a="$2" -v b="$5" -v how="$4" 'BEGIN { exit !(how == "at least" ? a >= b : a <= b) }' || verdict=BROKEN
    [ $verdict = kept ] || failures=$((failures + 1))
    printf '%-58s %10s %-9s %s %s: %s\n' "$1" "$2" "$3" "$4" "$5" $verdict
}

printf 'on %s cores of %s\n' "$(nproc)" "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
load_http 16 0 2 >/dev/null
judge 'single predictions, 16 connections' "$(load_http 16 0 "$SECONDS_EACH" | rate_of)" '/s' 'at least' 30000

fast=$(served 0.001) all=$(served +Inf)
slow_rate=$(load_http 16 3 "$SECONDS_EACH" | rate_of)
fast=$(($(served 0.001) - fast)) all=$(($(served +Inf) - all))
share=$(awk -v a=$fast -v b=$all 'BEGIN { printf "%.3f", 100 * a / b }')
judge "served within 1 ms, at $slow_rate /s" "$share" '%' 'at least' 99

batch() {
    curl -fs -H 'Content-Type: application/json' --data-binary "@$dir/batch.json" -o /dev/null -w '%{time_total}\n' "$url/predict/batch"
}
median=$(for _ in $(seq 21); do batch; done | sort -n | sed -n 11p | awk '{ printf "%.2f", $1 * 1000 }')
judge 'batch of 1,000, median of 21, as the client sees it' "$median" 'ms' 'at most' 10

# Alone, and beside HTTP; p99 of the way from the frame to its prediction.
mqtt() {
    target/release/examples/load "127.0.0.1:$broker" --qos 1 --frames $MQTT_FRAMES --rate $MQTT_RATE
}
mqtt >"$dir/alone.json"
load_http 64 2 $((MQTT_FRAMES / MQTT_RATE + 4)) >"$dir/beside.txt" &
beside=$!
sleep 2
mqtt >"$dir/mqtt.json"
wait $beside
printf 'MQTT alone:  %s\nMQTT beside: %s\n' "$(cat "$dir/alone.json")" "$(cat "$dir/mqtt.json")"
p99=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["p99_us"] / 1000)' "$dir/mqtt.json")
judge "MQTT predictions, p99, beside $(rate_of <"$dir/beside.txt") /s over HTTP" "$p99" 'ms' 'at most' 5
[ $failures = 0 ] || fail "$failures promises are broken"
