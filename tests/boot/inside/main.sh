#!/usr/bin/env bash
# Runs in the booted system, as the service boot-test: every step of the proof, in order, then the power goes off.
# Prints one line a step to the console; the log, with what each step said, is /boot-test/log.
set -euo pipefail
export LC_ALL=C.UTF-8 SYSTEMD_PAGER='' SYSTEMD_COLORS=0 DEBIAN_FRONTEND=noninteractive
begin=$EPOCHREALTIME
here=/boot-test
finish() {
    printf '%s\n' "$failures" > $here/failures
    sync
    systemctl poweroff
}
trap finish EXIT
# Counts as a failure whatever ends the run early.
failures=1000
for part in frame install service broker package; do
    # shellcheck source=/dev/null
    . "$here/inside/$part.sh"
done

# shellcheck source=/dev/null
say "system: $(. /etc/os-release; echo "$PRETTY_NAME"), $(uname -m), Linux $(uname -r), glibc $(getconf GNU_LIBC_VERSION |
    cut -d' ' -f2), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), mosquitto $(dpkg-query -W \
    -f '${Version}' mosquitto)"
say "package: $(dpkg-deb -f $here/cooltwin.deb Version), $(stat -c %s $here/cooltwin.deb) bytes"
failures=0

step 'system boots' system_boots
step 'broker runs' broker_runs
step 'install to first prediction' install_to_first_prediction
step 'unit is ready' unit_is_ready
step 'files installed' files_installed
step 'check, health and predict by hand' commands_by_hand
step 'exposure, live' exposure
step 'sandbox is in force' sandbox_in_force
step 'journal fields' journal_fields
step 'watchdog restarts a frozen process' watchdog_restarts
step 'restart after kill -9' restart_after_kill
step 'reload changes a setting' reload_changes
step 'bad reload keeps serving' bad_reload
step 'bad configuration fails once' bad_configuration
step 'no broker: ready, and says so' no_broker
step 'password by LoadCredential' credential
step 'password by the example for systemd 245' credential_without_systemd_247
step 'journal -x explains' journal_explains
step 'second instance' second_instance
step 'warm start' warm_start
step 'stop says offline' stop_offline
step 'upgrade' upgrade
step 'downgrade' downgrade
step 'remove, install again without a broker' remove_and_install
step 'purge leaves nothing' purge

say "$([ $failures = 0 ] && echo 'every step holds' || echo "steps that failed: $failures") (inside $(since "$begin") s)"
