# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086 # here, config, cursor and patience are constants of frame.sh, without blanks
# Steps: upgrade, downgrade, removal, purge. Sourced by main.sh.

# As unattended upgrades do it: what the administrator has edited stays, without a question.
apt_install() {
    apt-get install -y -qq --allow-downgrades -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
version_is() { [ "$(dpkg-query -W -f '${Status} ${Version}' cooltwin)" = "install ok installed $(dpkg-deb -f "$1" Version)" ]; }

# Installs another version over a running one: package. Both services must come back by themselves, with the edited file.
replace() {
    local pid second begin
    pid=$(pid_of cooltwin.service) second=$(pid_of cooltwin@second.service)
    cp $config $here/edited
    begin=$EPOCHREALTIME
    apt_install "$1"
    note "apt $(since "$begin") s"
    version_is "$1" || fail "installed is $(dpkg-query -W -f '${Status} ${Version}' cooltwin)"
    cmp $config $here/edited || fail 'the edited configuration was changed'
    is_anew cooltwin.service "$pid" || fail 'not active with another process'
    [ "$(property cooltwin.service NRestarts)" = 0 ] || fail 'was restarted once more'
    is_anew cooltwin@second.service "$second" || fail 'the second instance was not restarted, or is not active'
    [ "$(systemctl is-enabled cooltwin.service)" = enabled ] || fail 'not enabled any more'
    wait_for 20 beats || fail 'the edited setting is not in force'
    predicts 20
    next 20 second/cooler-01/prediction > /dev/null
}

upgrade() {
    echo '# edited by the administrator' >> $config
    set_key $config health interval '"1s"'
    systemctl restart cooltwin.service
    is_active cooltwin@second.service || systemctl start cooltwin@second.service
    replace $here/newer.deb
    tail -n 1 $config.dpkg-dist | grep 'only the newer' || fail 'the newer configuration does not lie beside the edited one'
}

downgrade() {
    replace $here/cooltwin.deb
    # A configuration that is wrong must not leave dpkg with a half configured package, nor be passed over in silence.
    keep_config
    set_key $config mqtt keep_alive '"fast"'
    apt_install $here/newer.deb 2>&1 | tee $here/apt-said
    version_is $here/newer.deb || fail 'a wrong configuration leaves the package half configured'
    grep 'cooltwin check' $here/apt-said || fail 'apt does not say what to look at'
    restore_config
    apt_install $here/cooltwin.deb
    is_active cooltwin.service || fail 'not active after the correction'
    predicts 20
}

remove_and_install() {
    apt-get remove -y -qq cooltwin
    ! pgrep -x cooltwin -a | grep ' run' || fail 'a daemon is left'
    [ ! -e /usr/bin/cooltwin ] || fail 'the program is left'
    { [ -e $config ] && [ -d /var/lib/private/cooltwin ]; } || fail 'remove took configuration or state along'
    retained_is cooltwin/main/status offline || fail "status is $(retained cooltwin/main/status)"
    retained_is cooltwin/second/status offline || fail "status of the second is $(retained cooltwin/second/status)"
    systemctl stop mosquitto.service
    apt_install $here/cooltwin.deb
    is_active cooltwin.service || fail 'not active without a broker'
    systemctl start mosquitto.service
    predicts 60
}

# Units that are gone are forgotten by systemd a little later.
no_units() { [ -z "$(systemctl list-units --all --plain --no-legend 'cooltwin*')" ]; }

purge() {
    [ ! -e /etc/cooltwin/second.toml ] || systemctl start cooltwin@second.service
    apt-get purge -y -qq cooltwin
    systemctl daemon-reload
    ! pgrep -x cooltwin -a | grep ' run' || fail 'a daemon is left'
    files_now > $here/files-after
    LC_ALL=C comm -13 $here/files-before $here/files-after > $here/left
    LC_ALL=C comm -23 $here/files-before $here/files-after > $here/lost
    # The parent that systemd makes for the state of all dynamic users; it is systemd's.
    grep -vx /var/lib/private $here/left > $here/ours || true
    cat $here/ours $here/lost
    [ ! -s $here/ours ] || fail "left: $(tr '\n' ' ' < $here/ours)"
    [ ! -s $here/lost ] || fail "taken along: $(tr '\n' ' ' < $here/lost)"
    ! grep -qa cooltwin /var/lib/dpkg/status || fail 'dpkg still knows it'
    ! getent passwd | grep cooltwin || fail 'a user is left'
    ! journalctl --list-catalog 2> /dev/null | grep -i cooltwin || fail 'the catalogue still has its events'
    wait_for 10 no_units || fail "systemd still knows $(systemctl list-units --all --plain --no-legend 'cooltwin*')"
    [ -z "$(systemctl list-unit-files --plain --no-legend 'cooltwin*')" ] || fail 'unit files are left'
}
