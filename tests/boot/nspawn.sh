# shellcheck shell=bash
# shellcheck disable=SC2154 # what it uses is set by run.sh
# Boots a root by systemd-nspawn; sourced by run.sh, which sets `work`, `mode`, `limit`, `say`, `fail`.

# Fails at once where no system can be booted: in most containers.
nspawn_is_possible() {
    unshare --mount --pid --fork --uts --ipc true 2>/dev/null ||
        fail 'this machine does not let root make namespaces (an unprivileged container?); nspawn cannot boot here'
    [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/systemd ] || [ -d /sys/fs/cgroup/unified ] ||
        fail 'no cgroup tree that systemd could use under /sys/fs/cgroup; nspawn cannot boot here'
}

# Where the hierarchies lie that systemd keeps its books in, one or both of them.
cgroup_roots() {
    [ ! -e /sys/fs/cgroup/cgroup.procs ] || echo /sys/fs/cgroup
    [ ! -e /sys/fs/cgroup/unified/cgroup.procs ] || echo /sys/fs/cgroup/unified
    [ ! -e /sys/fs/cgroup/systemd/cgroup.procs ] || echo /sys/fs/cgroup/systemd
}

# A cgroup of its own for the machine. nspawn with --keep-unit uses the one it is in; two machines in one would remove each
# other's services.
machine_cgroup=cooltwin-boot-test-$mode
enter_cgroup() {
    local root
    for root in $(cgroup_roots); do
        mkdir -p "$root/$machine_cgroup"
        echo "$BASHPID" > "$root/$machine_cgroup/cgroup.procs"
    done
}
remove_cgroup() {
    local root
    for root in $(cgroup_roots); do
        [ ! -d "$root/$machine_cgroup" ] || find "$root/$machine_cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

boot_nspawn() {
    local root=$1 status=0
    say "booting $mode"
    # Unregistered and in the unit of the caller: there need be no systemd outside. No network: it must not be needed.
    : > "target/boot/$mode.console"
    (
        enter_cgroup
        exec timeout --kill-after=10 "$limit" systemd-nspawn --quiet -D "$root" --boot --private-network --register=no \
            --keep-unit --machine="boot-test-$mode"
    ) < /dev/null > "target/boot/$mode.console" 2>&1 &
    machine_pid=$!
    tail -n +1 --pid=$machine_pid -f "target/boot/$mode.console" | verdicts &
    local shown=$!
    wait $machine_pid || status=$?
    machine_pid=
    wait $shown || true
    [ -e "$root/boot-test/log" ] || {
        tail -n 20 "target/boot/$mode.console" >&2
        fail "the system did not boot (systemd-nspawn ended with $status)"
    }
    cp "$root/boot-test/log" "target/boot/$mode.log"
    cp "$root/boot-test/failures" "$work/failures" 2>/dev/null || true
}
