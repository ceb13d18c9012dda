#!/usr/bin/env bash
# Runs the commands of the guides as they stand there, in order, in a booted Debian with the package and a broker:
#
#     tests/guides/run.sh [PACKAGE.deb [SUITE]]
#
# SUITE is the Debian: bookworm, or bullseye for what Ubuntu 20.04 and JetPack 5 are like (glibc 2.31, systemd 247).
# Taken from docs/install.md and docs/operations.md, by the comment before a block:
#   <!-- run -->            run it; a command that fails is a defect of the guide
#   <!-- run & -->          the same beside the next block, which must make it end well
#   <!-- fails N -->        run it; it must end with exit code N
#   <!-- write FILE -->     the block is the content of a file
#   <!-- prepare ... -->    commands that the reader does not need
#
# Prints `ok FILE:LINE` or `FAILED FILE:LINE` a block; the log is target/boot/guides.log. Without PACKAGE the newest
# target/packages/cooltwin_*_amd64.deb. Needs what tests/boot/run.sh amd64 needs (root, systemd-nspawn), and openssl.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "tests/guides/run.sh: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
[ "$(id -u)" = 0 ] || fail 'needs root: it boots a system'
[ "$(uname -m)" = x86_64 ] || fail 'boots amd64 programs: needs an x86-64 machine'
suite=${2:-bookworm}
package='' work=''
# shellcheck source=/dev/null
. tests/boot/machine.sh
find_package amd64 "${1:-}"
export PATH="$PATH:/usr/sbin:/sbin"

# shellcheck disable=SC2034 # nspawn.sh uses them
mode=guides limit=600
claim_work $mode
# shellcheck source=/dev/null
. tests/boot/root.sh
# shellcheck source=/dev/null
. tests/boot/nspawn.sh
begin_work
mkdir -p "$work/tls"

# The marked blocks as one script: a function `block KIND NAME` reads each from its standard input.
extract() {
    awk -v file="$(basename "$1")" '
        function begin(kind, name) { printf "block %s %s <<\"END-OF-BLOCK\"\n", kind, name; inside = 1 }
        /^<!-- prepare/ { begin("prepare", file ":" NR); hidden = 1; next }
        hidden && /^-->/ { print "END-OF-BLOCK"; hidden = 0; inside = 0; next }
        hidden { print; next }
        /^<!-- run -->/ { kind = "run"; next }
        /^<!-- run & -->/ { kind = "beside"; next }
        /^<!-- fails [0-9]+ -->/ { kind = "fails-" $3; next }
        /^<!-- write .* -->/ { kind = "write:" $3; next }
        /^```/ && inside { print "END-OF-BLOCK"; inside = 0; next }
        /^```/ && kind != "" { begin(kind, file ":" NR); kind = ""; next }
        inside { print }
    ' "$1"
}

# An authority and a certificate for localhost, for the broker with TLS that the guide connects to.
certificates() (
    cd "$work/tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=guides' \
        -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' \
        -keyout broker.key -out broker.csr 2>/dev/null
    openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out broker.pem \
        -extfile <(echo 'subjectAltName = DNS:localhost') 2>/dev/null
    rm ca.key broker.csr
)

prepare_root() {
    local root=$1 tar=$2 version
    mkdir -p "$root"
    tar -C "$root" --numeric-owner -xf "$tar"
    mkdir -p "$root"/guides/newer "$root/boot-test"
    version=$(dpkg-deb -f "$package" Version)
    cp "$package" "$root/root/cooltwin_${version}_amd64.deb"
    dpkg-deb -R "$package" "$work/newer"
    sed -i "s/^Version: .*/Version: $version+guides/" "$work/newer/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/newer" "$root/guides/newer/cooltwin_${version}+guides_amd64.deb" >/dev/null
    rm -rf "$work/newer"
    cp -r "$work/tls" "$root/guides/tls"
    { cat tests/guides/inside.sh; extract docs/install.md; extract docs/operations.md; echo finish; } > "$root/guides/steps.sh"
    # The guides say sudo where root is needed; here all is root.
    # shellcheck disable=SC2016 # expanded there
    printf '#!/bin/sh\nexec env "$@"\n' > "$root/usr/local/bin/sudo"
    chmod +x "$root/usr/local/bin/sudo"
    # Nobody answers apt's questions here.
    echo 'APT::Get::Assume-Yes "true";' > "$root/etc/apt/apt.conf.d/90guides"
    printf 'guides\n' > "$root/etc/hostname"
    printf '127.0.0.1 localhost guides\n::1 localhost\n' > "$root/etc/hosts"
    : > "$root/etc/machine-id"
    cat > "$root/etc/systemd/system/guides.service" <<UNIT
[Unit]
Description=Commands of the guides
After=multi-user.target mosquitto.service

[Service]
Type=simple
ExecStart=/bin/bash /guides/steps.sh

[Install]
WantedBy=multi-user.target
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../guides.service "$root/etc/systemd/system/multi-user.target.wants/guides.service"
}

# What the console shows, without the messages of the boot; nspawn.sh calls it.
verdicts() { tr -d '\r' | grep --line-buffered -aE '^(ok|FAILED|every step|steps that failed)' || true; }

need_packages mmdebstrap systemd-container openssl
nspawn_is_possible
tar=$(root_tarball "$suite" amd64)
certificates
prepare_root "$work/root" "$tar"
boot_nspawn "$work/root"
[ -s "$work/failures" ] || fail 'the commands did not come to their end: target/boot/guides.console'
[ "$(cat "$work/failures")" = 0 ] || fail "$(grep -c '^FAILED' target/boot/guides.log) blocks failed: target/boot/guides.log"
