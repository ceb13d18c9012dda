# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086 # here, config, cursor and patience are constants of frame.sh, without blanks
# Steps: journal, watchdog, restarts, reloads, configurations that are wrong. Sourced by main.sh.

# The shipped limit for a frozen worker is 30 s; here it is shortened, so that the step is not all waiting.
WATCHDOG_S=3

# Readings that stop raise an alarm of the unit, readings that come again clear it: both with all their fields.
journal_fields() {
    keep_config
    set_key $config alarms unit_silence '"3s"'
    systemctl restart cooltwin.service
    predicts 20
    systemctl stop sensors.service
    # Of either unit: the log says an alarm once a minute.
    wait_for 20 has_entry cooltwin.service '.EVENT == "silence" and .UNIT_ID and .MESSAGE_ID and .TOPIC and
        .ALARM == "unit_silent" and .SEVERITY == "critical" and .PRIORITY == "3"' || fail 'no error of a silent unit'
    mosquitto_pub -t hvac/cooler-01/sensors -m 'no readings at all'
    wait_for 10 has_entry cooltwin.service '.EVENT == "readings_refused" and .MESSAGE_ID and .REASON and .PRIORITY == "4"' ||
        fail 'no warning of readings that are refused'
    mosquitto_pub -t cooltwin/main/cmd/nonsense -m '{}'
    wait_for 10 has_entry cooltwin.service '.EVENT == "command_refused" and .MESSAGE_ID and
        .TOPIC == "cooltwin/main/cmd/nonsense" and .REASON and .PRIORITY == "4"' || fail 'no warning of a command that is refused'
    start_sensors
    wait_for 20 has_entry cooltwin.service '.EVENT == "alarm_cleared" and .UNIT_ID and .MESSAGE_ID and
        .PRIORITY == "5"' || fail 'no notice of the end of the alarm'
    entries cooltwin.service .EVENT | jq -c 'with_entries(select(.key | IN("PRIORITY", "MESSAGE", "MESSAGE_ID", "EVENT",
        "INSTANCE", "UNIT_ID", "TOPIC", "REASON", "ALARM", "SEVERITY", "COUNT", "SESSION", "BUNDLE", "BUNDLE_VERSION")))'
    ! has_entry cooltwin.service '.INSTANCE != "main"' || fail 'entries without INSTANCE'
    # What systemd and monitoring read: every entry says how grave it is, and comes by the journal's own way.
    ! has_entry cooltwin.service '(.PRIORITY | not) or ._TRANSPORT != "journal"' ||
        fail 'entries without priority, or by standard error'
    restore_config
    systemctl restart cooltwin.service
    predicts 20
}

# Every event that has happened in this boot, and that has an id, is explained by the catalogue.
journal_explains() {
    local id ids least
    journalctl --sync
    ids=$(journalctl -q -b -o json SYSLOG_IDENTIFIER=cooltwin | jq -r '.MESSAGE_ID // empty' | sort -u)
    # A run of chosen steps has seen fewer of them.
    least=10
    grep -q '|\.\*' $here/only || least=4
    [ "$(echo "$ids" | wc -w)" -ge $least ] || fail "only these ids were seen: $(echo "$ids" | tr '\n' ' ')"
    for id in $ids; do
        journalctl -q -x -n 1 --no-pager "MESSAGE_ID=$id"
        journalctl -q -x -n 1 --no-pager "MESSAGE_ID=$id" | grep -q '^░░ Subject: ' || fail "$id is not explained"
    done
    journalctl --list-catalog 2> /dev/null > $here/catalog
    sed -n 's/^-- //p' /usr/lib/systemd/catalog/cooltwin.catalog | while read -r id; do
        grep -q "^$id" $here/catalog || fail "$id of the catalogue file is not in the journal's catalogue"
    done
    note "$(echo "$ids" | wc -w) events of $(grep -c '^-- ' /usr/lib/systemd/catalog/cooltwin.catalog) in the catalogue"
}

watchdog_restarts() {
    local pid begin restarts
    drop_in cooltwin.service "$(printf '[Service]\nWatchdogSec=%s' $WATCHDOG_S)"
    systemctl restart cooltwin.service
    predicts 20
    pid=$(pid_of cooltwin.service) restarts=$(property cooltwin.service NRestarts)
    begin=$EPOCHREALTIME
    kill -STOP "$pid"
    wait_for 60 is_anew cooltwin.service "$pid"
    note "READY again $(since "$begin") s after the freeze, with WatchdogSec=$WATCHDOG_S"
    [ "$(property cooltwin.service NRestarts)" -gt "$restarts" ] || fail 'not counted as a restart'
    journal cooltwin.service | grep -i watchdog || fail 'the journal does not speak of the watchdog'
    predicts 20
    no_drop_in cooltwin.service
    systemctl restart cooltwin.service
    [ "$(property cooltwin.service WatchdogUSec)" = 30s ] ||
        fail "shipped WatchdogSec is $(property cooltwin.service WatchdogUSec)"
    # A worker that works is left alone for longer than the watchdog of this step waits.
    pid=$(pid_of cooltwin.service)
    sleep $((WATCHDOG_S + 1))
    [ "$(pid_of cooltwin.service)" = "$pid" ] || fail 'restarted without a reason'
}

restart_after_kill() {
    local pid begin
    pid=$(pid_of cooltwin.service)
    begin=$EPOCHREALTIME
    kill -KILL "$pid"
    wait_for 60 is_anew cooltwin.service "$pid"
    predicts 20
    note "next prediction after $(since "$begin") s"
}

# Two heartbeats within the time of a tenth of the default interval.
beats() { [ "$(mosquitto_sub -C 2 -W 5 -t cooltwin/main/health | wc -l)" = 2 ]; }

reload_changes() {
    local pid
    keep_config
    pid=$(pid_of cooltwin.service)
    ! beats || fail 'the heartbeat is fast before the reload'
    set_key $config health interval '"1s"'
    systemctl reload cooltwin.service
    wait_for 20 beats || fail 'the heartbeat is not faster after the reload'
    [ "$(pid_of cooltwin.service)" = "$pid" ] || fail 'the process is another one'
    is_active cooltwin.service || fail 'not active'
    predicts
    restore_config
    systemctl reload cooltwin.service
    wait_for 10 is_active cooltwin.service
}

bad_reload() {
    local pid said
    keep_config
    pid=$(pid_of cooltwin.service)
    set_key $config mqtt keep_alive '"fast"'
    systemctl reload cooltwin.service || true
    # The error must be the one that was made.
    wait_for 20 has_entry cooltwin.service '.EVENT == "reload_refused" and .PRIORITY == "3" and
        (.MESSAGE | test("keep_alive"))' || fail 'no error in the journal that names keep_alive'
    wait_for 10 is_active cooltwin.service
    [ "$(pid_of cooltwin.service)" = "$pid" ] || fail 'the process is another one'
    said=$(property cooltwin.service StatusText)
    echo "STATUS $said"
    echo "$said" | grep -qi reload || fail "STATUS does not speak of the refused reload: $said"
    wait_for 10 retained cooltwin/main/alarms/reload_failed || fail 'no alarm reload_failed'
    predicts
    restore_config
    systemctl reload cooltwin.service
    wait_for 20 no_alarm || fail 'the alarm stays after a good reload'
    [ "$(pid_of cooltwin.service)" = "$pid" ] || fail 'the process is another one'
    ! status_says cooltwin.service 'reload' || fail 'STATUS still speaks of the reload'
}
no_alarm() { ! retained cooltwin/main/alarms/reload_failed; }

bad_configuration() {
    local before
    keep_config
    set_key $config mqtt keep_alive '"fast"'
    printf '\n[nonsense]\nx = 1\n' >> $config
    before=$(property cooltwin.service NRestarts)
    ! systemctl restart cooltwin.service || fail 'the start succeeded'
    is_failed cooltwin.service || fail "not failed but $(property cooltwin.service ActiveState)"
    [ "$(property cooltwin.service ExecMainStatus)" = 78 ] || fail "exit code $(property cooltwin.service ExecMainStatus)"
    # Longer than the pause before a restart would be.
    sleep 8
    is_failed cooltwin.service || fail 'it is tried again'
    journal cooltwin.service -o cat
    [ "$(journal cooltwin.service -o cat | grep -c 'status=78')" = 1 ] || fail 'it failed more than once'
    [ "$(property cooltwin.service NRestarts)" -le "$before" ] || fail 'restarts are counted'
    for word in keep_alive nonsense cooltwin.toml; do
        journal_says cooltwin.service "$word" || fail "the journal does not name $word"
    done
    has_entry cooltwin.service '.EVENT == "start_refused" and .PRIORITY == "3" and .MESSAGE_ID' ||
        fail 'the refusal is no error with an id in the journal'
    restore_config
    systemctl start cooltwin.service
    predicts 20
}
