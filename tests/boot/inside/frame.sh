# shellcheck shell=bash
# The frame of the steps inside the booted system: timing, waiting, verdicts, ways to look at service, journal and broker.
# Sourced by main.sh, which sets `here`.
# shellcheck disable=SC2154,SC2086 # `here` has no blanks

log=$here/log
# How much slower than hardware this machine is; every wait is stretched by it, no bar is.
patience=$(cat $here/patience)

# The console may stand in the midst of a line of systemd's.
say() {
    printf '%s\n' "$*" >> "$log"
    printf '\n%s\n' "$*" > /dev/console
}
# Ends a step with the reason.
fail() { echo "$*"; exit 1; }
# Adds a figure to the line of the step.
note() { echo "$*" >> $here/notes; }

# Seconds since $1 (as in EPOCHREALTIME), to a hundredth.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'; }
# Whether $1 <= $2, numbers.
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'; }

# Runs a step, a function that fails or returns, and prints its line. Whatever it said stands in the log, and behind it, after
# "|", what service and instances wrote into the journal in that time.
step() {
    local name=$1 function=$2 begin=$EPOCHREALTIME status
    [[ $name =~ $(cat $here/only) ]] || return 0
    : > $here/notes
    journalctl --sync
    cursor=$(journalctl -q -n 1 --show-cursor | sed -n 's/^-- cursor: //p')
    printf '\n=== %s\n' "$name" >> "$log"
    set +e
    (
        set -eE
        trap 'echo "line $LINENO: $BASH_COMMAND"' ERR
        "$function"
    ) > $here/out 2>&1 < /dev/null
    status=$?
    set -e
    {
        sed 's/^/    /' $here/out
        journalctl --sync
        journalctl -q --no-pager --after-cursor="$cursor" -u cooltwin.service -u 'cooltwin@*' | sed 's/^/    | /'
    } >> "$log"
    if [ $status = 0 ]; then
        say "ok $name ($(since "$begin") s)$(sed 's/^/; /' $here/notes | tr -d '\n')"
    else
        failures=$((failures + 1))
        say "FAILED $name: $(grep -v '^line [0-9]*: return 1$' $here/out | tail -n 1)"
        { systemctl status --no-pager -l -n 0 cooltwin.service || true; } 2>&1 | sed 's/^/    | /' >> "$log"
        recover
    fi
    # A broken step that left its copy behind would have the next one restore too much.
    rm -f $here/config.kept
}

# After a step that failed in its midst: back to where every step begins, so that the next one tells about itself.
recover() {
    [ ! -e $here/config.kept ] || restore_config
    rm -rf /etc/systemd/system/cooltwin.service.d /etc/cooltwin/mqtt-password /etc/cooltwin/secrets
    systemctl daemon-reload
    systemctl stop broker-with-password.service sensors-with-password.service 2> /dev/null || true
    systemctl start mosquitto.service || true
    [ ! -x $here/tools/usr/bin/cooltwin ] || start_sensors || true
    [ ! -x /usr/bin/cooltwin ] || timeout $((60 * patience)) systemctl restart cooltwin.service || true
}

# Waits until a command succeeds: seconds, command.
wait_for() {
    local begin=$EPOCHREALTIME limit
    limit=$(($1 * patience))
    shift
    until "$@" > /dev/null 2>&1; do
        at_most "$(since "$begin")" "$limit" || { echo "not within $limit s: $*"; return 1; }
        sleep 0.1
    done
}

# One property of a unit.
property() { systemctl show --property="$2" --value "$1"; }
pid_of() { property "$1" MainPID; }
uid_of() { awk '$1 == "Uid:" { print $2 }' "/proc/$(pid_of "$1")/status"; }
# Active, with another main process than $2.
is_anew() { [ "$(property "$1" ActiveState)" = active ] && [ "$(pid_of "$1")" != "$2" ] && [ "$(pid_of "$1")" != 0 ]; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }
is_failed() { [ "$(property "$1" ActiveState)" = failed ]; }
status_says() { property "$1" StatusText | grep -qi "$2"; }

# What the journal has of a unit since the step began; further arguments go to journalctl.
journal() {
    local unit=$1
    shift
    journalctl --sync
    journalctl -q --no-pager --after-cursor="$cursor" -u "$unit" "$@"
}
# The daemon's own entries since the step began, as JSON, that a filter of jq picks.
entries() { journal "$1" -o json | jq -c "select(.SYSLOG_IDENTIFIER == \"cooltwin\") | select($2)"; }
has_entry() { [ -n "$(entries "$1" "$2")" ]; }
journal_says() { grep -q -- "$2" <<< "$(journal "$1" -o cat)"; }

# The next message of a topic: seconds, topic, options of mosquitto_sub.
next() {
    local limit topic
    limit=$(($1 * patience)) topic=$2
    shift 2
    mosquitto_sub -C 1 -W "$limit" -t "$topic" "$@" || { echo "nothing on $topic within $limit s"; return 1; }
}
# The retained message of a topic.
retained() { mosquitto_sub -C 1 -W $((3 * patience)) --retained-only -t "$1" "${@:2}"; }
retained_is() { [ "$(retained "$1")" = "$2" ]; }
# A prediction from now on; fails without one.
predicts() {
    next "${1:-10}" hvac/cooler-01/predictions > $here/prediction
    jq -e '.UCAOT and .UCWOT and .UCAF and .quality and .model.sha256' $here/prediction > /dev/null ||
        fail "no prediction: $(cat $here/prediction)"
}

# Sets a key in a section of a configuration file, where `cooltwin config` has put it, commented out or not.
set_key() {
    awk -v section="[$2]" -v key="$3" -v value="$4" '
        /^\[/ { in_section = ($0 == section) }
        in_section && $0 ~ "^(# )?" key " = " { print key " = " value; done = 1; next }
        { print }
        END { exit !done }' "$1" > "$1.edited" || fail "$1 has no [$2] $3"
    cat "$1.edited" > "$1"
    rm "$1.edited"
}
config=/etc/cooltwin/cooltwin.toml
# The configuration as it was before a step that spoils it.
keep_config() { cp -a $config $here/config.kept; }
restore_config() { cp -a $here/config.kept $config; }
# A drop-in: unit, content.
drop_in() {
    mkdir -p "/etc/systemd/system/$1.d"
    printf '%s\n' "$2" > "/etc/systemd/system/$1.d/boot-test.conf"
    systemctl daemon-reload
}
no_drop_in() {
    rm -rf "/etc/systemd/system/$1.d"
    systemctl daemon-reload
}
