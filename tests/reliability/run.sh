#!/usr/bin/env bash
# The fault suite at full size, and a soak, with a report:
#
#     tests/reliability/run.sh faults             every fault at full size, one at a time: a quarter of an hour
#     tests/reliability/run.sh soak MINUTES       1,000 frames/s with another fault every minute
#     tests/reliability/run.sh all MINUTES        both
#
# Drives a release build of the daemon with the tests of tests/integration/faults. As root, so that a cable can be
# pulled: without, a proxy that stalls stands in for it. What a minute of a fault means is said in docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin:/sbin"

usage() {
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 64
}

case "${1:-}" in
faults) ;;
soak | all) [ "${2:-0}" -gt 0 ] 2>/dev/null || usage ;;
*) usage ;;
esac

cargo build --locked --release
cargo test --locked --test integration --no-run

FAULTS_PROGRAM=$PWD/target/release/cooltwin
FAULTS_REPORT=$(mktemp)
export FAULTS_PROGRAM FAULTS_REPORT
trap 'rm -f "$FAULTS_REPORT"' EXIT
status=0

run() {
    cargo test --locked --test integration -- "$@" || status=$?
}

case "$1" in faults | all)
    export FAULTS_FULL=1
    run faults:: --test-threads 1
    run faults::restarts::a_broker_that_saves_every_change --ignored
    ;;
esac
case "$1" in soak | all) FAULTS_SOAK_MINUTES=$2 run faults::soak --ignored --nocapture ;; esac

model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
printf '\n%s, %s of %s, mosquitto %s\n\n' "$(date -u +%F)" "$(nproc)" "${model:-$(uname -m)}" \
    "$(mosquitto -h | sed -n '1s/.*version //p')"
awk -F'|' '
    BEGIN {
        row = "| %-50s | %9s | %6s | %11s | %14s | %12s | %8s |\n"
        printf row, "fault", "frames", "lost", "duplicated", "of them unlike", "recovery ms", "RSS MB"
        printf "|---|---|---|---|---|---|---|\n"
    }
    { printf row, $1, $2, $3, $4, $5, $6, $7 }
' "$FAULTS_REPORT"
exit "$status"
