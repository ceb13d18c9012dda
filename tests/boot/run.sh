#!/usr/bin/env bash
# Boots Debian, installs the package in it and tries what is promised of it as a service:
#
#     tests/boot/run.sh amd64|arm64|old [PACKAGE.deb]
#
#     amd64   Debian 12 in systemd-nspawn, on the machine's own kernel
#     arm64   Debian 12 in qemu-system-aarch64, emulated, with Debian's kernel: 10 to 20 minutes
#     old     Debian 11 (glibc 2.31, systemd 247) in systemd-nspawn: what Ubuntu 20.04 and JetPack 5 are like
#
# Without PACKAGE the newest target/packages/cooltwin_*_ARCH.deb. Prints a line `ok STEP (seconds)` or
# `FAILED STEP: why` a step; exit code 0 only when every step holds. Leaves in target/boot:
#
#     MODE.txt      these lines, with date, machine and versions
#     MODE.log      all that the steps said, and the journal of service and instances in that time
#     MODE.short    the same, of a step at most 16 lines of each; this and MODE.txt are what docs/boot-proof keeps
#
# Needs root on a Debian-like machine: it makes mounts and boots a system. nspawn needs the rights to make namespaces and
# a writable cgroup tree, which an ordinary container does not give; then this fails and says so. What is missing is
# installed by package name. The roots are kept in target/boot; BOOT_FRESH=yes makes them anew.
# BOOT_STEPS=PATTERN runs, beside the first three, only the steps whose names begin so: BOOT_STEPS='warm|purge'.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "tests/boot/run.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
usage() {
    echo 'usage: tests/boot/run.sh amd64|arm64|old [PACKAGE.deb]' >&2
    exit 64
}

mode=${1:-}
# shellcheck disable=SC2034 # nspawn.sh and vm.sh use the limit
case $mode in
    amd64) arch=amd64 suite=bookworm patience=1 limit=600 ;;
    arm64) arch=arm64 suite=bookworm patience=8 limit=3600 ;;
    old) arch=amd64 suite=bullseye patience=1 limit=600 ;;
    *) usage ;;
esac
[ "$(id -u)" = 0 ] || fail 'needs root: it makes mounts and boots a system'
[ "$arch" = arm64 ] || [ "$(uname -m)" = x86_64 ] || fail "$mode boots amd64 programs: needs an x86-64 machine"

package='' work=''
# shellcheck source=/dev/null
. tests/boot/machine.sh
find_package "$arch" "${2:-}"
export PATH="$PATH:/usr/sbin:/sbin"
claim_work "$mode"

# shellcheck source=/dev/null
. tests/boot/root.sh
# shellcheck source=/dev/null
. tests/boot/vm.sh
# shellcheck source=/dev/null
. tests/boot/nspawn.sh
begin_work

# The root with the package, a newer one that differs in its version alone, the steps, and the service that runs them.
prepare_root() {
    local root=$1 tar=$2 version
    mkdir -p "$root"
    tar -C "$root" --numeric-owner -xf "$tar"
    mkdir -p "$root/boot-test"
    cp "$package" "$root/boot-test/cooltwin.deb"
    version=$(dpkg-deb -f "$package" Version)
    dpkg-deb -R "$package" "$work/newer"
    # A changed default, so that dpkg has to decide between it and what the administrator has edited.
    sed -i "s/^Version: .*/Version: $version+boot/" "$work/newer/DEBIAN/control"
    echo '# A line that only the newer package has.' >> "$work/newer/etc/cooltwin/cooltwin.toml"
    (cd "$work/newer" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
        xargs -0 md5sum > DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/newer" "$root/boot-test/newer.deb" > /dev/null
    rm -rf "$work/newer"
    cp -r tests/boot/inside "$root/boot-test/"
    echo "$patience" > "$root/boot-test/patience"
    # The first three make what all others stand on.
    echo "^(system boots|broker runs|install to first|${BOOT_STEPS:-.*})" > "$root/boot-test/only"
    # For the log: dpkg draws its progress on a terminal, and apt gives it one.
    echo 'Dpkg::Use-Pty "0";' > "$root/etc/apt/apt.conf.d/90boot-test"
    printf 'boot-test\n' > "$root/etc/hostname"
    printf '127.0.0.1 localhost boot-test\n::1 localhost\n' > "$root/etc/hosts"
    # The identity is made at the first boot.
    : > "$root/etc/machine-id"
    cat > "$root/etc/systemd/system/boot-test.service" <<UNIT
[Unit]
Description=Steps of the boot test
After=multi-user.target mosquitto.service

[Service]
Type=simple
ExecStart=/bin/bash /boot-test/inside/main.sh

[Install]
WantedBy=multi-user.target
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../boot-test.service "$root/etc/systemd/system/multi-user.target.wants/boot-test.service"
}

# What the console shows, without the messages of the boot.
verdicts() { sed -u 's,\r,,g' | grep --line-buffered -aE '^(ok|FAILED|system:|package:|every step|steps that failed)' || true; }

# The log with the middle left out of what is long: what a step said, and its journal, keep their beginning and end. Of the
# lines the time of day is left out, as the step says how long it took.
short_log() {
    awk '
        function flush(   i) {
            for (i = 1; i <= count; i++) {
                if (count <= 16 || i <= 8 || i > count - 8) print held[i]
                else if (i == 9) printf "%s... %d lines left out\n", kind, count - 16
            }
            count = 0
        }
        { now = substr($0, 1, 6) == "    | " ? "    | " : substr($0, 1, 4) == "    " ? "    " : "" }
        now != kind || now == "" { flush(); kind = now }
        now == "" { print; next }
        { held[++count] = $0 }
        END { flush() }' "target/boot/$mode.log" | cut -c 1-240 |
        sed -E 's/^(    \| )[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [^ ]+ /\1/'
}

case $mode in
    arm64)
        need_packages mmdebstrap qemu-system-arm qemu-user-static arch-test e2fsprogs cpio
        arm64_kernel
        tar=$(root_tarball $suite $arch)
        begin=$SECONDS
        prepare_root "$work/root" "$tar"
        boot_vm "$work/root"
        ;;
    *)
        need_packages mmdebstrap systemd-container
        nspawn_is_possible
        tar=$(root_tarball $suite $arch)
        begin=$SECONDS
        prepare_root "$work/root" "$tar"
        boot_nspawn "$work/root"
        ;;
esac
say "booted, tried and stopped in $((SECONDS - begin)) s; with the preparation $SECONDS s; log: target/boot/$mode.log"

{
    date -u '+date: %Y-%m-%d %H:%M UTC'
    sed -n 's/^model name[^:]*: */machine: /p' /proc/cpuinfo | sort | uniq -c | sed 's/^ *\([0-9]*\) machine: /machine: \1 x /'
    echo "load at the end: $(cut -d' ' -f1-3 /proc/loadavg)"
    [ -z "${BOOT_STEPS:-}" ] || echo "only: $BOOT_STEPS"
    verdicts < "target/boot/$mode.log"
    echo "seconds: $((SECONDS - begin)) with booting and stopping"
} > "target/boot/$mode.txt"
short_log > "target/boot/$mode.short"
[ -s "$work/failures" ] || fail "the steps did not come to their end: target/boot/$mode.console"
[ "$(cat "$work/failures")" = 0 ] || fail "$(grep -c '^FAILED' "target/boot/$mode.log") steps failed: target/boot/$mode.log"
