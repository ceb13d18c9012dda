#!/usr/bin/env bash
# Counts the aarch64 instructions of one row through three models of 300 trees with 31 leaves, kernel by kernel, and
# ESTIMATES from them the time on processors that are not at hand:
#
#     cross/instructions.sh
#
# The count is exact: qemu-user executes the optimised program with a plugin that counts (cross/instructions.c), once
# with 64 rows and once with 192; the difference over 128 is a row. The time is an estimate and no measurement: instructions
# over an assumed number of them a cycle, from a careless to a good one, since neither misses of the cache nor
# mispredicted branches show in a count:
#
#     Cortex-A72  at 1.5 GHz (Raspberry Pi 4):     0.7 to 1.5 a cycle; three can be decoded
#     Cortex-A78AE at 1.5 GHz (Jetson Orin Nano):  1.2 to 2.8 a cycle; four can be decoded
#
# The walks wait for memory and for branches, so take the lower end for them; the quickscorer does neither.
#
# Debian packages it needs: gcc, qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross; and Rust by rustup.
set -euo pipefail
cd "$(dirname "$0")/.."

triple=aarch64-unknown-linux-gnu
for program in gcc qemu-aarch64 aarch64-linux-gnu-gcc; do
    if ! command -v $program >/dev/null; then
        echo "$0: no $program; on Debian: apt-get install gcc qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
        exit 1
    fi
done
environment=$(cross/toolchain.sh $triple)
eval "$environment"

out=target/tools/instructions
mkdir -p $out
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
program=$(cargo test --locked --release --no-default-features --lib --target $triple --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
emulate=(qemu-aarch64 -L /usr/aarch64-linux-gnu)

# The interface's version that this QEMU takes.
plugin=
for version in 1 2 3 4 5 6; do
    gcc -O2 -shared -fPIC -DVERSION=$version -o $out/count-$version.so cross/instructions.c
    if "${emulate[@]}" -plugin $out/count-$version.so "$program" --list 2>&1 | grep -q '^instructions [0-9]'; then
        plugin=$out/count-$version.so
        break
    fi
done
[ -n "$plugin" ] || { echo "$0: this QEMU takes no plugin" >&2; exit 1; }

# Instructions of the test $1.
count() {
    local log=$out/log
    if ! "${emulate[@]}" -plugin "$plugin" "$program" --ignored --exact --test-threads=1 "$1" >$log 2>&1 ||
        ! grep -q '^test result: ok. 1 passed' $log; then
        cat $log >&2
        return 1
    fi
    sed -n 's/^instructions //p' $log
}

module=inference::kernel::instructions
kernels=$("${emulate[@]}" "$program" --ignored --list |
    sed -n "s/^$module::\(.*\)::rows_64: test\$/\1/p")
[ -n "$kernels" ] || { echo "$0: no test in $module" >&2; exit 1; }

printf '%-28s %14s   %s\n' 'three targets, one row' 'instructions' 'ESTIMATED microseconds, Cortex-A72, Cortex-A78AE'
for kernel in $kernels; do
    few=$(count "$module::$kernel::rows_64")
    many=$(count "$module::$kernel::rows_192")
    awk -v kernel="$kernel" -v few="$few" -v many="$many" 'BEGIN {
        row = (many - few) / 128
        printf "%-28s %14.0f   %5.0f to %.0f, %5.0f to %.0f\n", kernel, row,
            row / 1.5 / 1500, row / 0.7 / 1500, row / 2.8 / 1500, row / 1.2 / 1500
    }'
done
