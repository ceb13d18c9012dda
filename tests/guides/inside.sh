# shellcheck shell=bash
# What comes before the blocks of the guides in the booted system: run.sh puts them behind this.
set -uo pipefail
export LC_ALL=C.UTF-8 HOME=/root SYSTEMD_PAGER='' SYSTEMD_COLORS=0 DEBIAN_FRONTEND=noninteractive
failures=0 count=0 beside_pid='' beside_name=''
cd /root || exit 1
exec 3> /dev/console

verdict() {
    echo "$1 $2" | tee /dev/fd/3 >> /boot-test/log
}

# One block: its kind and its place in the guides; what it says goes to the log.
block() {
    local kind=$1 name=$2 wanted=0 status=0
    count=$((count + 1))
    cat > /guides/block
    { echo; echo "--- $kind $name"; cat /guides/block; echo "---"; } >> /boot-test/log
    case $kind in
        write:*)
            cp /guides/block "${kind#write:}"
            return
            ;;
        beside)
            cp /guides/block /guides/block-beside
            bash -euo pipefail /guides/block-beside >> /boot-test/log 2>&1 < /dev/null &
            beside_pid=$! beside_name=$name
            sleep 1
            return
            ;;
        fails-*) wanted=${kind#fails-} ;;
    esac
    # A change of folder holds for what follows, as in the reader's terminal.
    echo 'pwd > /guides/folder' >> /guides/block
    timeout 120 bash -euo pipefail /guides/block >> /boot-test/log 2>&1 < /dev/null || status=$?
    cd "$(cat /guides/folder)" || true
    if [ $status = "$wanted" ]; then verdict ok "$name"; else
        failures=$((failures + 1))
        verdict FAILED "$name: exit code $status instead of $wanted"
    fi
    if [ -n "$beside_pid" ]; then
        status=0
        wait "$beside_pid" || status=$?
        if [ $status = 0 ]; then verdict ok "$beside_name"; else
            failures=$((failures + 1))
            verdict FAILED "$beside_name: exit code $status"
        fi
        beside_pid=''
    fi
}

finish() {
    [ $count -gt 20 ] || failures=1000
    if [ $failures = 0 ]; then verdict 'every step' 'holds'; else verdict 'steps that failed:' $failures; fi
    echo $failures > /boot-test/failures
    sync
    systemctl poweroff
}
echo "the guides, $(date -u +%F)" > /boot-test/log
until mosquitto_pub -t probe -m x 2> /dev/null; do sleep 0.2; done
