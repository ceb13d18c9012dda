#!/usr/bin/env bash
# Runs the tests of the tree kernels, the only unsafe code, with AddressSanitizer:
#
#     fuzz/kernels-asan.sh [arguments of the test program]
#
# The sanitizer's run-time library is shipped with stable Rust; only the switch is hidden there, so the compiler is told
# that it may be used. Heap, stack and globals are watched, reads and writes: a load that a kernel makes one byte beyond
# a table ends the test.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
out=target/tools/kernels-asan.log
mkdir -p target/tools
# With --target the flags are for the tests only, not for build scripts and macros.
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only \
    cargo test --config 'profile.dev.package."*".opt-level=0' --locked --no-default-features --lib --target "$host" \
    --target-dir target/asan -- "${@:-inference::}" | tee $out
if [ $# = 0 ] && ! grep -q '^test inference::kernel.* ok$' $out; then
    echo "$0: no test of inference::kernel ran" >&2
    exit 1
fi
