# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086 # here, config, cursor and patience are constants of frame.sh, without blanks
# Steps: no broker, a broker with a password, a second instance, warm starts, stopping. Sourced by main.sh.

start_sensors() {
    systemctl is-active -q sensors.service ||
        systemd-run -q --unit=sensors -p Restart=always -p RestartSec=1 -p StartLimitIntervalSec=0 \
            $here/tools/usr/bin/cooltwin simulate --mqtt mqtt://localhost --units 2 --step 1s
}

no_broker() {
    local begin
    systemctl stop mosquitto.service
    systemctl restart cooltwin.service || fail 'does not get ready without a broker'
    is_active cooltwin.service || fail 'not active'
    wait_for 10 status_says cooltwin.service 'broker\|connect'
    note "STATUS $(property cooltwin.service StatusText)"
    status_says cooltwin.service 'refused\|no connection' || fail 'STATUS does not say why'
    wait_for 10 has_entry cooltwin.service '.MESSAGE_ID and (.PRIORITY == "3" or .PRIORITY == "4")' || fail 'no warning'
    systemctl start mosquitto.service
    begin=$EPOCHREALTIME
    predicts 60
    note "first prediction $(since "$begin") s after the broker came"
}

secret=correct-horse-battery
# A broker that wants a password, and a configuration that takes it from a credential.
broker_with_password() {
    mosquitto_passwd -b -c $here/passwords cooltwin $secret
    chmod 644 $here/passwords
    printf 'listener 1884 127.0.0.1\nallow_anonymous false\npassword_file %s/passwords\n' $here > $here/broker.conf
    systemd-run -q --unit=broker-with-password mosquitto -c $here/broker.conf
    wait_for 10 mosquitto_pub -p 1884 -u cooltwin -P $secret -t x -m x
    ! mosquitto_pub -p 1884 -t x -m x 2> /dev/null || fail 'this broker takes anybody'
    set_key $config mqtt url '"mqtt://localhost:1884"'
    set_key $config mqtt username '"cooltwin"'
    set_key $config mqtt password_file '"credential:mqtt-password"'
}

# The daemon works with that broker, and the password stands nowhere where others could read it.
works_with_password() {
    local pid
    wait_for 20 retained cooltwin/main/status -p 1884 -u cooltwin -P $secret || fail 'it does not reach the broker'
    systemd-run -q --unit=sensors-with-password -p Restart=always \
        $here/tools/usr/bin/cooltwin simulate --mqtt mqtt://cooltwin:$secret@localhost:1884 --step 1s
    next 20 hvac/cooler-01/predictions -p 1884 -u cooltwin -P $secret | jq -e .UCAOT
    systemctl stop sensors-with-password.service
    pid=$(pid_of cooltwin.service)
    ! tr '\0' '\n' < "/proc/$pid/environ" | grep $secret || fail 'the password stands in the environment'
    ! tr '\0' '\n' < "/proc/$pid/cmdline" | grep $secret || fail 'the password stands in the command line'
    ! journal cooltwin.service | grep $secret || fail 'the password stands in the journal'
}

# In a file that only root can read, by LoadCredential.
credential() {
    keep_config
    (umask 077; echo $secret > /etc/cooltwin/mqtt-password)
    [ "$(stat -c '%a %U' /etc/cooltwin/mqtt-password)" = '600 root' ] || fail 'the file is not root only'
    broker_with_password
    drop_in cooltwin.service "$(printf '[Service]\nLoadCredential=mqtt-password:/etc/cooltwin/mqtt-password')"
    systemctl restart cooltwin.service
    works_with_password

    echo wrong > /etc/cooltwin/mqtt-password
    systemctl restart cooltwin.service
    wait_for 20 status_says cooltwin.service 'does not admit' || fail 'STATUS does not speak of the password'
    note "with a wrong one STATUS $(property cooltwin.service StatusText)"
    rm /etc/cooltwin/mqtt-password
    without_password
}
without_password() {
    # Stopped under the unit that it was started by: what that has made is then taken away by it.
    systemctl stop cooltwin.service
    no_drop_in cooltwin.service
    restore_config
    systemctl stop broker-with-password.service
    systemctl start cooltwin.service
    predicts 20
}

# The same by the packaged example for systemd 245 and 246, which do not know LoadCredential.
credential_without_systemd_247() {
    keep_config
    (umask 077; mkdir -p /etc/cooltwin/secrets; echo $secret > /etc/cooltwin/secrets/mqtt-password)
    broker_with_password
    drop_in cooltwin.service "$(cat /usr/share/doc/cooltwin/examples/credentials-without-systemd-247.conf)"
    systemctl restart cooltwin.service
    works_with_password
    find /run/cooltwin-credentials/ -printf '%M %U %p\n'
    [ -s /run/cooltwin-credentials/mqtt-password ] || fail 'there is no copy of the password'
    [ -z "$(find /run/cooltwin-credentials/ -perm /077)" ] || fail 'others can read the copy of the password'
    instance_has_its_own_secrets
    rm -r /etc/cooltwin/secrets
    without_password
    [ ! -e /run/cooltwin-credentials ] || fail 'the copy of the password is left'
}

# The configuration of an instance beside the first: name.
instance_config() {
    local key file=/etc/cooltwin/$1.toml
    cooltwin config > $file
    for key in prediction state; do
        set_key $file topics $key "\"$1/{unit}/$key\""
    done
    set_key $file topics target "\"$1/{unit}/prediction/{target}\""
    set_key $file topics alarm "\"$1/{unit}/alarms/{alarm}\""
}

# With the same drop-in an instance gets the secrets of its own folder, and the service none of those.
instance_has_its_own_secrets() {
    (umask 077; mkdir /etc/cooltwin/secrets/sixth; echo another > /etc/cooltwin/secrets/sixth/its-own)
    drop_in cooltwin@.service "$(cat /usr/share/doc/cooltwin/examples/credentials-without-systemd-247.conf)"
    instance_config sixth
    systemctl restart cooltwin.service
    systemctl start cooltwin@sixth.service
    find /run/cooltwin*credentials/ -type f | LC_ALL=C sort | tee $here/secrets
    [ "$(grep -c . $here/secrets)" = 2 ] || fail 'service and instance do not have one secret each'
    [ "$(cat /run/cooltwin@sixth-credentials/its-own)" = another ] || fail 'the instance does not have its own secret'
    [ "$(cat /run/cooltwin-credentials/mqtt-password)" = $secret ] || fail 'the service does not have its own secret'
    systemctl stop cooltwin@sixth.service
    no_drop_in cooltwin@.service
    rm -r /etc/cooltwin/sixth.toml /var/lib/cooltwin-sixth /var/lib/private/cooltwin-sixth
}

# Runs on to the upgrade and the removal, which have to take it along.
second_instance() {
    instance_config second
    systemctl enable -q --now cooltwin@second.service
    is_active cooltwin@second.service || fail 'not active'
    retained_is cooltwin/second/status online || fail 'status of the second is not online'
    next 20 second/cooler-01/prediction | jq -e .UCAOT
    predicts 20
    [ "$(pid_of cooltwin.service)" != "$(pid_of cooltwin@second.service)" ] || fail 'one process for both'
    [ "$(uid_of cooltwin.service)" != "$(uid_of cooltwin@second.service)" ] || fail 'both run as the same user'
    systemctl restart cooltwin@second.service
    find /var/lib/private/cooltwin* -type f -printf '%p %s\n'
    [ -d /var/lib/cooltwin-second ] || fail 'the second has no state directory of its own'
    [ -n "$(find /var/lib/cooltwin-second/ -type f)" ] || fail 'the second has saved no state'
    systemctl status --no-pager cooltwin@second.service
    note "exposure $(systemd-analyze security --no-pager cooltwin@second.service |
        sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')"
}

# The reasons of one prediction for cooler-05, made by a frame that comes now.
reasons_now() {
    next 20 hvac/cooler-05/predictions > $here/prediction &
    sleep $((patience < 3 ? 1 : 3))
    mosquitto_pub -q 1 -t hvac/cooler-05/sensors -m "$(cat $here/frame)"
    wait $!
    jq -r '.reasons[]' $here/prediction
}

# Half an hour of readings, laid into the past, fills the windows of a unit; a restart must not empty them.
warm_start() {
    next 30 hvac/cooler-05/sensors > $here/frame.timed &
    wait_for 5 pgrep -x mosquitto_sub
    cooltwin simulate --mqtt mqtt://localhost --units 5 --rows 60 --step 30s --speed max --timestamps simulated --qos 1
    wait $!
    # The same readings without their time: measured when they come.
    jq -c 'del(.timestamp, .time)' $here/frame.timed > $here/frame
    reasons_now > $here/reasons
    ! grep incomplete_history $here/reasons || fail 'the windows are not full before the restart'
    systemctl stop cooltwin.service
    find /var/lib/private/cooltwin -type f -printf '%p %s %m %U\n'
    [ "$(readlink /var/lib/cooltwin)" = private/cooltwin ] || fail '/var/lib/cooltwin is no link into private'
    [ -n "$(find /var/lib/private/cooltwin -type f -size +0)" ] || fail 'no state was saved'
    note "saved $(find /var/lib/private/cooltwin -type f -printf '%s ') bytes"
    systemctl start cooltwin.service
    reasons_now > $here/reasons
    ! grep incomplete_history $here/reasons || fail 'the windows are empty after the restart'
    journal_says cooltwin.service 'warm start' || fail 'the journal does not speak of a warm start'
    # The same without the saved state, so that it is known what the two lines above are worth.
    systemctl stop cooltwin.service
    find /var/lib/private/cooltwin -type f -delete
    systemctl start cooltwin.service
    reasons_now > $here/reasons
    grep -q incomplete_history $here/reasons || fail 'without saved state the windows are full as well'
}

stop_offline() {
    local begin took limit=15
    predicts
    begin=$EPOCHREALTIME
    systemctl stop cooltwin.service
    took=$(since "$begin")
    note "stopped in $took s"
    [ "$(property cooltwin.service Result)" = success ] || fail "result $(property cooltwin.service Result)"
    [ "$(property cooltwin.service TimeoutStopUSec)" = ${limit}s ] || fail "TimeoutStopSec is not $limit s"
    at_most "$took" $limit || fail "stopped in $took s"
    retained_is cooltwin/main/status offline || fail "status is $(retained cooltwin/main/status)"
    journal cooltwin.service | tail -n 3
    systemctl start cooltwin.service
    wait_for 10 retained_is cooltwin/main/status online
    predicts 20
}
