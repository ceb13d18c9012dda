#!/usr/bin/env bash
# Debian packages from the programs that cross/build.sh has made:
#
#     cross/build.sh x86_64-unknown-linux-gnu && packaging/deb/build.sh amd64
#     packaging/deb/build.sh amd64 arm64 armhf
#
# Leaves target/packages/cooltwin_VERSION_ARCH.deb. What goes where stands in Cargo.toml, [package.metadata.deb]; what is
# not in the repository as it is (manual pages, completions, changelog, licences) is made here, in target/packages/stage.
# The same commit and the same program give the same bytes: times are the commit's (or SOURCE_DATE_EPOCH), owners are root,
# the order is fixed. Installs cargo-deb into target/tools if it is not there; needs python3, gzip, xz, dpkg and lintian
# (LINTIAN=0 leaves that check out, for a quick try).
#
# Manual pages and completions come from the program for this machine; PAGES_FROM=target/debug/cooltwin names another that
# runs here, where only other architectures are built.
set -euo pipefail
cd "$(dirname "$0")/../.."

VERSION=3.8.0
PROFILE=dist
# What the service promises to a small computer: see packaging/README.md.
MAX_PACKAGE_BYTES=$((6 * 1000 * 1000))
MAX_INSTALLED_KIB=$((28 * 1000 * 1000 / 1024))
tools=target/tools
out=target/packages
stage=$out/stage
unset CARGO_TARGET_DIR

die() { echo "packaging/deb/build.sh: $*" >&2; exit 1; }

[ $# -gt 0 ] || { echo 'usage: packaging/deb/build.sh amd64|arm64|armhf...' >&2; exit 64; }
for program in python3 gzip xz dpkg-deb readelf; do
    command -v $program >/dev/null || die "$program is missing: apt-get install python3 gzip xz-utils dpkg binutils"
done
[ "${LINTIAN:-1}" = 0 ] || command -v lintian >/dev/null || die 'lintian is missing: apt-get install lintian'

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

if [ "$($tools/bin/cargo-deb --version 2>/dev/null)" != "cargo-deb $VERSION" ]; then
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
        CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install --quiet --locked --root $tools --target-dir $tools/target "cargo-deb@$VERSION"
    rm -rf $tools/target
fi

# shellcheck source=/dev/null
. cross/triple.sh
read -r -a features <<<"$(packaged_features)"

# The program that says its manual pages and completions: one for all architectures.
host_program() {
    local host program
    host=$(rustc -vV | sed -n 's/^host: //p')
    program=${PAGES_FROM:-target/$host/$PROFILE/cooltwin}
    [ -x "$program" ] || die "$program is missing, and manual pages are made with it: cross/build.sh $host, or PAGES_FROM"
    echo "$program"
}

# What all architectures share.
stage_common() {
    local program
    program=$(host_program)
    rm -rf $stage
    mkdir -p $stage/{man,completions,doc}
    "$program" man $stage/man
    for shell in bash zsh fish; do
        "$program" completions $shell >$stage/completions/cooltwin.$shell
    done
    "$program" config | cmp - config/cooltwin.toml || die "$program is older than config/cooltwin.toml: build it again"
    python3 packaging/deb/changelog.py CHANGELOG.md >$stage/doc/changelog
    gzip -9n $stage/man/*.[15] $stage/doc/changelog
}

# cargo-deb compresses with the xz it finds. This one takes the options that make the package smallest and that liblzma 5.2
# of Ubuntu 20.04 reads (its dpkg knows no zstd): for x86 and 32-bit ARM the filter that makes jumps alike, 3 % of the package
# (the one for arm64 came with 5.4); four bits of the byte before
# as context, another 0.3 %; a dictionary as large as the content, which is what unpacking takes of memory.
# $1: architecture.
stage_compressor() {
    local filter=
    case $1 in
        amd64) filter=--x86 ;;
        armhf) filter=--arm ;;
    esac
    mkdir -p $stage/bin
    printf '#!/bin/sh\nexec %q --format=xz --check=crc32 --threads=1 %s --lzma2=preset=9e,dict=32MiB,lc=4 --stdout\n' \
        "$(command -v xz)" "$filter" >$stage/bin/xz
    chmod +x $stage/bin/xz
}

# One package. $1: architecture.
package() {
    local arch=$1 triple program deb
    triple=$(triple_of "$arch")
    program=target/$triple/$PROFILE/cooltwin
    [ -x "$program" ] || die "$program is missing: cross/build.sh $triple"
    # Not compressed by itself: as a part of the whole it takes half the bytes.
    python3 packaging/deb/notices.py "$triple" "${features[@]}" >$stage/doc/third-party-notices
    deb=$out/cooltwin_$(version)_$arch.deb
    # Stripped by the profile already; another strip would have to be the architecture's.
    stage_compressor "$arch"
    PATH=$PWD/$stage/bin:$PATH $tools/bin/cargo-deb --quiet --no-build --no-strip --target "$triple" --profile $PROFILE \
        --compress-system --output "$deb" >/dev/null
    check "$deb" "$program"
}

version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# What must hold for a package before anybody gets it. $1: the package, $2: the program in it.
check() {
    local deb=$1 program=$2 bytes installed
    bytes=$(stat -c %s "$deb")
    installed=$(dpkg-deb -f "$deb" Installed-Size)
    [ "$bytes" -le $MAX_PACKAGE_BYTES ] || die "$deb has $bytes bytes, more than $MAX_PACKAGE_BYTES"
    [ "$installed" -le $MAX_INSTALLED_KIB ] || die "$deb takes $installed KiB, more than $MAX_INSTALLED_KIB"
    if readelf -d "$program" | grep -q 'NEEDED.*libgcc_s'; then
        die "$program needs libgcc_s.so.1, and the package does not depend on libgcc-s1"
    fi
    [ "${LINTIAN:-1}" = 0 ] || lintian --fail-on error,warning "$deb"
    printf '%s: %s bytes, installed %s KiB, sha256 %s\n' "$deb" "$bytes" "$installed" "$(sha256sum <"$deb" | cut -d' ' -f1)"
}

for arch; do triple_of "$arch" >/dev/null; done
stage_common
for arch; do package "$arch"; done
