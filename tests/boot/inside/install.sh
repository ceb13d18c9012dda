# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086 # here, config, cursor and patience are constants of frame.sh, without blanks
# Steps: the system itself, installation, what is there afterwards. Sourced by main.sh.

# From the installation to the first prediction, with a broker and sensors there; of real machines, so not emulated ones.
FIRST_PREDICTION_S=10
# Exposure by systemd-analyze security.
EXPOSURE=1.2

system_boots() {
    local state
    wait_for 30 settled
    state=$(systemctl is-system-running || true)
    note "state $state"
    [ "$state" = running ] || systemctl --failed --no-legend --plain | awk '{ print $1 }' | tee /dev/stderr |
        sed 's/^/failed before us: /' >> $here/notes
}
# All jobs done but the one that this is part of.
settled() { [ "$(systemctl list-jobs --no-legend | grep -cv boot-test || true)" -le 1 ]; }

broker_runs() {
    wait_for 20 mosquitto_pub -t probe -m x
    # Sensors, from the package's own simulator, unpacked aside: they are there before the package is.
    dpkg -x $here/cooltwin.deb $here/tools
    start_sensors
    next 20 hvac/cooler-01/sensors > /dev/null
    files_now > $here/files-before
    note "$(wc -l < $here/files-before) files before"
}

# Every path that a package or a service could leave behind. Not: what the kernel shows, this test, records of what
# happened (journal, logs, dpkg's and apt's books, random seed), and what the broker keeps for its clients.
files_now() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/tmp \
        -o -path $here -o -path /var/log -o -path /var/cache/apt -o -path /var/lib/apt -o -path /var/lib/mosquitto \
        -o -path /var/cache/debconf -o -path /root/.cache \) -prune -o -print |
        grep -Ev '^/var/lib/dpkg/(status|available|lock|info$|triggers/|.*-old$)|^/var/lib/systemd/(random-seed|timers)' |
        LC_ALL=C sort
}

install_to_first_prediction() {
    local begin took
    mosquitto_sub -C 1 -W $((60 * patience)) -t 'hvac/+/predictions' > $here/first &
    wait_for 5 pgrep -x mosquitto_sub
    begin=$EPOCHREALTIME
    apt-get install -y -qq $here/cooltwin.deb
    note "apt $(since "$begin") s"
    wait $! || fail 'no prediction within a minute'
    took=$(since "$begin")
    jq . $here/first
    note "first prediction after $took s, quality $(jq -r .quality $here/first)"
    [ "$patience" != 1 ] || at_most "$took" $FIRST_PREDICTION_S || fail "first prediction after $took s > $FIRST_PREDICTION_S s"
}

unit_is_ready() {
    local uid
    is_active cooltwin.service || fail "not active: $(property cooltwin.service ActiveState)"
    [ "$(property cooltwin.service Type)" = notify ] || fail 'Type is not notify'
    [ "$(systemctl is-enabled cooltwin.service)" = enabled ] || fail 'not enabled'
    [ "$(property cooltwin.service NRestarts)" = 0 ] || fail 'has been restarted'
    [ -n "$(property cooltwin.service StatusText)" ] || fail 'no STATUS'
    uid=$(uid_of cooltwin.service)
    { [ "$uid" -ge 61184 ] && [ "$uid" -le 65519 ]; } || fail "runs as uid $uid, no dynamic user"
    retained_is cooltwin/main/status online || fail 'status is not online'
    note "STATUS $(property cooltwin.service StatusText)"
}

files_installed() {
    local path missing=
    for path in /usr/bin/cooltwin /etc/cooltwin/cooltwin.toml /usr/share/cooltwin/models/unit-cooler/bundle.toml \
        /usr/share/man/man1/cooltwin.1.gz /usr/share/bash-completion/completions/cooltwin \
        /usr/share/doc/cooltwin/examples/sources/zigbee2mqtt.toml /usr/lib/systemd/catalog/cooltwin.catalog /usr/share/doc/cooltwin/copyright; do
        [ -s $path ] || { echo "missing: $path"; missing=yes; }
    done
    dpkg-query -W -f '${Conffiles}' cooltwin | grep -q '/etc/cooltwin/cooltwin.toml' || fail 'configuration is no conffile'
    [ -z "$missing" ] || fail "$(grep -h '^missing' $here/out | tr '\n' ' ')"
    # shellcheck disable=SC1091
    (set +eu; . /usr/share/bash-completion/bash_completion; . /usr/share/bash-completion/completions/cooltwin;
        complete -p cooltwin) || fail 'completion does not load'
    dpkg --verify cooltwin | tee $here/verify
    [ ! -s $here/verify ] || fail 'dpkg --verify finds changes'
    note "installed $(dpkg-query -W -f '${Installed-Size}' cooltwin) KiB"
}

commands_by_hand() {
    cooltwin check --config $config
    cooltwin simulate --rows 20 --format jsonl > $here/rows.jsonl
    # Not under the daemon's user and not in its folder: any user may ask.
    setpriv --reuid=nobody --regid=nogroup --clear-groups cooltwin predict \
        --bundle /usr/share/cooltwin/models/unit-cooler $here/rows.jsonl > $here/rows.out
    [ "$(grep -c UCAOT $here/rows.out)" -gt 0 ] || fail 'predict printed no prediction'
    cooltwin health
}

exposure() {
    local value
    systemd-analyze security --no-pager cooltwin.service
    value=$(systemd-analyze security --no-pager cooltwin.service | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
    note "exposure $value"
    at_most "$value" $EXPOSURE || fail "exposure $value > $EXPOSURE"
}

sandbox_in_force() {
    local pid uid status path
    pid=$(pid_of cooltwin.service) uid=$(uid_of cooltwin.service)
    status=/proc/$pid/status
    grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp|VmRSS|VmHWM|Threads)' "$status"
    grep -q '^NoNewPrivs:.*1$' "$status" || fail 'NoNewPrivs is not set'
    grep -q '^Seccomp:.*2$' "$status" || fail 'no system call filter'
    grep -q '^CapBnd:.*0000000000000000$' "$status" || fail 'capabilities are left'
    # What the daemon's user can write in the daemon's own view of the file system: its state and temporary files, no more.
    nsenter -t "$pid" -m setpriv --reuid="$uid" --regid="$uid" --clear-groups \
        find / -xdev \( -path /proc -o -path /sys \) -prune -o -type d -writable -print 2> /dev/null |
        sort > $here/writable || true
    cat $here/writable
    ! grep -vxE '/tmp|/var/tmp|/var/lib/private/cooltwin|/dev/shm|/dev/mqueue' $here/writable ||
        fail 'it can write more than its state'
    # As root: what ProtectSystem=strict keeps even from a process that has become root.
    for path in /usr/x /var/lib/x /boot-test/x; do
        ! nsenter -t "$pid" -m touch $path 2> /dev/null || fail "$path can be written"
    done
    [ -z "$(nsenter -t "$pid" -m ls -A /home /root | grep -v : || true)" ] || fail 'home directories are visible'
    note "RSS $(awk '$1 == "VmRSS:" { print int($2 / 1024 + 0.5) }' "$status") MiB"
}
