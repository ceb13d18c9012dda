#!/usr/bin/env bash
# A Rust compiler with the standard library of an ARM target; prints the environment that selects it:
#
#     eval "$(cross/toolchain.sh aarch64-unknown-linux-gnu)" && cargo build --target aarch64-unknown-linux-gnu
#
# Targets: aarch64-unknown-linux-gnu, armv7-unknown-linux-gnueabihf.
# Where rustup can fetch the target, that is all there is to it. Where it cannot (or with CROSS_FROM=debian), Debian's
# current compiler (rustc-web) with its libraries for ARM is downloaded by a private apt and unpacked, not installed,
# under target/tools/rust-cross, where the next run finds it: 300 MB to fetch, 1 GB on disk, one to two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "cross/toolchain.sh: $*" >&2; }

case ${1:-} in
    aarch64-unknown-linux-gnu) arch=arm64 ;;
    armv7-unknown-linux-gnueabihf) arch=armhf ;;
    *) say "usage: cross/toolchain.sh aarch64-unknown-linux-gnu|armv7-unknown-linux-gnueabihf"; exit 64 ;;
esac
triple=$1

# Where a standard library for the target lies if the ordinary compiler has one.
has_library() { compgen -G "$(rustc --print sysroot)/lib/rustlib/$triple/lib/libstd-*.rlib" >/dev/null; }

if [ "${CROSS_FROM:-}" != debian ] && ! has_library && command -v rustup >/dev/null; then
    # A minute is ample where there is a way to the server.
    timeout 60 rustup target add "$triple" >/dev/null 2>&1 || say "rustup cannot fetch $triple; taking Debian's"
fi
if [ "${CROSS_FROM:-}" != debian ] && has_library; then
    exit 0
fi

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || { say 'this part needs Debian on amd64'; exit 1; }
tools=$PWD/target/tools/rust-cross
# shellcheck source=/dev/null
. cross/apt.sh

# The security suite of bookworm has the newest compiler, but nothing for armhf; trixie has that.
suites() {
    [ $arch != armhf ] || echo 'armhf debian trixie'
    echo 'amd64,arm64 debian bookworm'
    echo 'amd64,arm64 debian-security bookworm-security'
}

# The newest version of package $1 for architecture $2 that has $3 in it.
newest() {
    local found
    found=$(apt-cache madison "$1:$2" | awk -F' *\\| *' -v p="$3" 'index($2, p) { print $2; exit }')
    [ -n "$found" ] || { say "Debian has no package $1 for $2 of version $3"; return 1; }
    echo "$found"
}

# Unpacks packages "name:arch=version" into the toolchain.
unpack() {
    local into=$tools/root.new
    rm -rf "$into" "$tools/debs"
    mkdir -p "$into" "$tools/debs"
    (cd "$tools/debs" && apt-get -qq download "$@" >&2)
    local deb
    for deb in "$tools"/debs/*.deb; do dpkg -x "$deb" "$into"; done
    rm -rf "$tools/debs"
    cp -a "$into/." "$tools/root"
    rm -rf "$into"
}

mkdir -p "$tools/root" "$tools/bin"
if [ ! -f "$tools/have-amd64" ] || [ ! -f "$tools/have-$arch" ]; then
    private_apt "$tools/apt" amd64 arm64 armhf < <(suites)
fi
if [ ! -f "$tools/have-amd64" ]; then
    version=$(newest rustc-web amd64 deb12)
    IFS=. read -r major minor _ <<< "$version"
    short=$major.$minor
    llvm=$(apt-cache show "rustc-web:amd64=$version" | grep -o 'libllvm[0-9]*' | head -n 1 || true)
    [ -n "$llvm" ] || llvm=$(apt-cache show "libstd-rust-web-$short:amd64=$version" | grep -o 'libllvm[0-9]*' | head -n 1)
    unpack "rustc-web:amd64=$version" "libstd-rust-web-$short:amd64=$version" \
        "libstd-rust-web-dev:amd64=$version" "$llvm:amd64"
    for program in rustc rustdoc; do
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
            "'$tools/root/usr/lib/x86_64-linux-gnu'" "'$tools/root/usr/bin/$program'" > "$tools/bin/$program"
        chmod +x "$tools/bin/$program"
    done
    echo "$version" > "$tools/have-amd64"
fi
if [ ! -f "$tools/have-$arch" ]; then
    # The same upstream version, whatever Debian release carries it for this architecture.
    upstream=$(sed 's/-[^-]*$//' "$tools/have-amd64")
    version=$(newest libstd-rust-web-dev "$arch" "$upstream-")
    unpack "libstd-rust-web-dev:$arch=$version"
    touch "$tools/have-$arch"
fi

# A library of another build of the compiler is refused at the first crate; better said here.
echo 'pub fn f() {}' | "$tools/bin/rustc" --target "$triple" --crate-type rlib --crate-name probe -o "$tools/probe.rlib" -
rm -f "$tools/probe.rlib"
printf 'export RUSTC=%q RUSTDOC=%q\n' "$tools/bin/rustc" "$tools/bin/rustdoc"
