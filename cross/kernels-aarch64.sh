#!/usr/bin/env bash
# Builds the tests of the tree kernels for aarch64 and runs them under qemu-user, NEON included:
#
#     cross/kernels-aarch64.sh [arguments of the test program]
#
# Debian packages it needs: qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross; and Rust by rustup.
set -euo pipefail
cd "$(dirname "$0")/.."

triple=aarch64-unknown-linux-gnu
for program in qemu-aarch64 aarch64-linux-gnu-gcc; do
    if ! command -v $program >/dev/null; then
        echo "$0: no $program; on Debian: apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
        exit 1
    fi
done

environment=$(cross/toolchain.sh $triple)
eval "$environment"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu'

# What is tested is optimised a little, since emulation is slow; for the dependencies that costs more than it gains.
out=target/tools/kernels-aarch64.log
mkdir -p target/tools
CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 cargo test --config 'profile.dev.package."*".opt-level=0' \
    --locked --no-default-features --lib --target $triple -- "${@:-inference::}" | tee $out

# Tests that were renamed away must not look like tests that passed.
if [ $# = 0 ] && ! grep -q '^test inference::kernel.* ok$' $out; then
    echo "$0: no test of inference::kernel ran" >&2
    exit 1
fi
