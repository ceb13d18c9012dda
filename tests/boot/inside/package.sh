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

# Beside the second instance, which is enabled: one that runs without being enabled, and one that is enabled and masked.
# After a removal and a new installation the package must bring back what is enabled, by itself.
remove_and_install() {
    instance_config third
    systemctl start cooltwin@third.service
    systemctl enable -q cooltwin@fourth.service
    systemctl mask -q cooltwin@fourth.service
    # What has failed is listed as failed until somebody takes it back; that must be the removal.
    systemctl start cooltwin@fifth.service || is_failed cooltwin@fifth.service || fail 'the fifth has not failed'
    apt-get remove -y -qq cooltwin
    ! pgrep -x cooltwin -a | grep ' run' || fail 'a daemon is left'
    [ ! -e /usr/bin/cooltwin ] || fail 'the program is left'
    { [ -e $config ] && [ -d /var/lib/private/cooltwin ]; } || fail 'remove took configuration or state along'
    retained_is cooltwin/main/status offline || fail "status is $(retained cooltwin/main/status)"
    retained_is cooltwin/second/status offline || fail "status of the second is $(retained cooltwin/second/status)"
    retained_is cooltwin/third/status offline || fail "status of the third is $(retained cooltwin/third/status)"
    systemctl --failed --no-legend --plain
    ! systemctl --failed --no-legend --plain | grep cooltwin || fail 'the removal leaves units listed as failed'
    systemctl stop mosquitto.service
    apt_install $here/cooltwin.deb
    is_active cooltwin.service || fail 'not active without a broker'
    is_active cooltwin@second.service || fail 'the second instance, which is enabled, is down'
    ! is_active cooltwin@third.service || fail 'an instance that is not enabled was started'
    ! is_active cooltwin@fourth.service || fail 'an instance that is masked was started'
    systemctl start mosquitto.service
    predicts 60
    next 20 second/cooler-01/prediction > /dev/null
}

# What an operator leaves in the course of time, by systemctl itself; what is not ours must outlive the purge.
operate() {
    # It edits on a terminal alone.
    EDITOR='sed -i 1i#' script -qec 'systemctl edit --full cooltwin@second.service' /dev/null
    [ -f /etc/systemd/system/cooltwin@second.service ] || fail 'systemctl edit --full has written nothing'
    systemctl set-property cooltwin.service CPUWeight=40
    systemctl add-requires -q multi-user.target cooltwin@third.service
    systemctl mask -q cooltwin@sixth.service
    # Wrong configurations, so that both are listed as failed.
    echo wrong | tee -a $config >> /etc/cooltwin/second.toml
    systemctl restart cooltwin.service || is_failed cooltwin.service || fail 'the service has not failed'
    systemctl restart cooltwin@second.service || is_failed cooltwin@second.service || fail 'the second has not failed'
}

# Units that are gone are forgotten by systemd a little later.
no_units() { [ -z "$(systemctl list-units --all --plain --no-legend 'cooltwin*')" ]; }

purge() {
    operate
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
    ! systemctl --failed --no-legend --plain | grep cooltwin || fail 'units are listed as failed'
}
