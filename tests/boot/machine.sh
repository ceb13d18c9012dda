# shellcheck shell=bash
# shellcheck disable=SC2034 # package, work and machine_pid are used by those that source this
# What every script that boots a machine begins and ends with; sourced. It needs `fail`.

# Sets `package` to the file $2, or where none is named to the newest one built for architecture $1.
find_package() {
    package=${2:-$(find target/packages -name "cooltwin_*_$1.deb" -printf '%T@ %p\n' 2>/dev/null | sort -n |
        sed -n '$s/^[^ ]* //p' || true)}
    [ -n "$package" ] || fail "no package: packaging/deb/build.sh $1, or name one"
    [ -r "$package" ] || fail "$package cannot be read"
    package=$(realpath "$package")
}

# Sets `work` to the folder of mode $1; two runs at a time would use the same one.
claim_work() {
    mkdir -p target/boot
    work=$PWD/target/boot/work-$1
    exec 9> "target/boot/lock-$1"
    flock -n 9 || fail "another run of $1 is under way"
}

# Empties `work`. Whatever ends the run from here on: no process, no mount, no registration and no root is left.
begin_work() {
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    rm -rf "$work"
    mkdir -p "$work"
}

machine_pid=
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ -n "$machine_pid" ]; then
        kill -TERM "$machine_pid" 2>/dev/null || true
        sleep 1
        kill -KILL "$machine_pid" 2>/dev/null || true
    fi
    undo_binfmt
    remove_cgroup
    # Innermost first; none in the ordinary case.
    awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | LC_ALL=C sort -r | xargs -r umount -l
    rm -rf "$work"
    exit $status
}
