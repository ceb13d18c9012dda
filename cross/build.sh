#!/usr/bin/env bash
# Builds the program for the three kinds of computer it is packaged for, all from one x86-64 Linux machine:
#
#     cross/build.sh                                # all three
#     cross/build.sh aarch64-unknown-linux-gnu      # Raspberry Pi OS 64 bit, Jetson, ARM servers
#     cross/build.sh armv7-unknown-linux-gnueabihf  # Raspberry Pi OS 32 bit on a Pi 2 or later
#     cross/build.sh x86_64-unknown-linux-gnu       # gateways, servers
#
# Leaves target/TRIPLE/dist/cooltwin, stripped, checked by cross/check.sh: it needs no glibc later than 2.31 (Debian 11,
# Ubuntu 20.04, JetPack 5) and no library but glibc's. zig is the linker and the C compiler, since it carries the symbol
# versions of every glibc; the Rust libraries come from rustup, or where it cannot, from Debian (cross/toolchain.sh).
# The same commit gives the same bytes, in whatever folder.
#
# Without `cooltwin demo` (cross/triple.sh says why); FEATURES= (empty) builds it in. JOBS limits the processes.
# It needs Python 3 with venv and Rust by rustup; zig and cargo-zigbuild come by pip into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

GLIBC=2.31
ZIG=0.17.1
ZIGBUILD=0.24.0

say() { echo "cross/build.sh: $*" >&2; }

triples=("$@")
[ $# -gt 0 ] || triples=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf)
for triple in "${triples[@]}"; do
    case $triple in
        x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu | armv7-unknown-linux-gnueabihf) ;;
        *) say "no target $triple; there are x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu and" \
            'armv7-unknown-linux-gnueabihf'; exit 64 ;;
    esac
done
# shellcheck source=/dev/null
. cross/triple.sh
read -r -a features <<<"$(packaged_features)"

tools=$PWD/target/tools
venv=$tools/zig-$ZIG-$ZIGBUILD
if [ ! -f "$venv/ready" ]; then
    rm -rf "$venv"
    mkdir -p "$tools"
    python3 -m venv "$venv" || { say 'no venv; on Debian: apt-get install python3-venv'; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD"
    printf '#!/bin/sh\nexec %s -m ziglang "$@"\n' "'$venv/bin/python'" >"$venv/bin/zig"
    # Places of sources stand in messages of panics: the same ones, wherever the sources lie. Through a wrapper and not
    # RUSTFLAGS, which cargo counts into the names of what it builds; link time optimisation goes by those.
    cat >"$venv/bin/rustc-remapped" <<'WRAPPER'
#!/bin/sh
exec "$@" --remap-path-prefix="$COOLTWIN_SOURCES=/cooltwin" --remap-path-prefix="$COOLTWIN_CRATES=/cargo"
WRAPPER
    chmod +x "$venv/bin/zig" "$venv/bin/rustc-remapped"
    touch "$venv/ready"
fi
export PATH=$venv/bin:$PATH CARGO_ZIGBUILD_ZIG_PATH=$venv/bin/zig
export ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache CARGO_ZIGBUILD_CACHE_DIR=$tools/zigbuild-cache

# Any time, but a fixed one: with the commit's, every commit would build what has parts in C anew.
SOURCE_DATE_EPOCH=1577836800
COOLTWIN_SOURCES=$PWD
COOLTWIN_CRATES=${CARGO_HOME:-$HOME/.cargo}
export SOURCE_DATE_EPOCH COOLTWIN_SOURCES COOLTWIN_CRATES
export RUSTC_WRAPPER=$venv/bin/rustc-remapped CARGO_INCREMENTAL=0
# ring has parts in C and assembler.
export CFLAGS="-ffile-prefix-map=$COOLTWIN_SOURCES=/cooltwin -ffile-prefix-map=$COOLTWIN_CRATES=/cargo"
# Flags of somebody's environment must not reach the packages.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
jobs=()
[ -z "${JOBS:-}" ] || jobs=(--jobs "$JOBS")

build() {
    local triple=$1 selected=
    if [ "$triple" != x86_64-unknown-linux-gnu ]; then
        selected=$(cross/toolchain.sh "$triple")
    fi
    (
        eval "$selected"
        say "$triple: $("${RUSTC:-rustc}" -V), zig $ZIG, glibc $GLIBC"
        cargo zigbuild --locked --profile dist --bin cooltwin --target "$triple.$GLIBC" "${jobs[@]}" "${features[@]}"
    )
    cross/check.sh "target/$triple/dist/cooltwin" "$GLIBC"
}

for triple in "${triples[@]}"; do build "$triple"; done
