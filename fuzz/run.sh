#!/usr/bin/env bash
# Coverage-guided fuzzing with libFuzzer on the stable compiler:
#
#     fuzz/run.sh TARGET [libFuzzer arguments]
#     fuzz/run.sh onnx -runs=10000000
#     ASAN=1 fuzz/run.sh onnx -max_total_time=600      # with AddressSanitizer, half as fast
#
# Targets are the files of fuzz/fuzz_targets. Each starts from the inputs in fuzz/seeds/TARGET, keeps what it learns in
# fuzz/corpus/TARGET for the next time, and leaves what made it fail in fuzz/artifacts/TARGET; `SHOW_PANICS=1 fuzz/run.sh TARGET FILE` runs such a file again.
# `onnx` is any bytes as a model, `ensemble` is sound tree ensembles whose predictions are compared with a plain walk.
# Without arguments that bound it, it runs until it finds something. Give way to others with nice.
#
# It needs Rust and a C++ compiler (Debian: apt-get install g++). The coverage comes from LLVM's pass, which stable rustc
# can be asked for as well; only AddressSanitizer is behind a switch that stable compilers hide (its run-time library is shipped
# with them).
set -euo pipefail
cd "$(dirname "$0")"

targets() { basename -s .rs fuzz_targets/*.rs | tr '\n' ' '; }
if [ $# = 0 ] || [ ! -f "fuzz_targets/$1.rs" ]; then
    echo "usage: fuzz/run.sh TARGET [libFuzzer arguments]; targets: $(targets)" >&2
    exit 64
fi
target=$1
shift
if ! command -v c++ >/dev/null; then
    echo 'fuzz/run.sh: no C++ compiler; on Debian: apt-get install g++' >&2
    exit 1
fi

# What `cargo fuzz` passes too, less what only a nightly compiler knows.
flags='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
flags+=' -Cllvm-args=-sanitizer-coverage-trace-compares'
build=target
if [ "${ASAN:-0}" = 1 ]; then
    flags+=' -Zsanitizer=address'
    build=target/asan
    export RUSTC_BOOTSTRAP=1
    # A leak check at every exit is not what is asked for; tract keeps what it interns.
    export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
fi

# The versions of the product, not newer ones.
cp ../Cargo.lock Cargo.lock
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target the flags are for the target's code only, not for build scripts and macros.
features=()
case $target in config | packet | request) features=(--features daemon) ;; esac
RUSTFLAGS=$flags cargo build --quiet --release --bin "$target" "${features[@]}" --target "$host" --target-dir "$build"
program=$build/$host/release/$target

mkdir -p "corpus/$target" "artifacts/$target"
# Models to start from, and corpus/onnx.dict, the names in them.
if [ "$target" = onnx ]; then
    COOLTWIN_SEEDS=corpus/onnx "$program" 2>&1 | tail -n 1
fi

# A file given by name is run again, without a corpus.
for argument in "$@"; do
    [ -f "$argument" ] && exec "$program" -rss_limit_mb=2048 "$@"
done
# Without -entropic=0 most of the time goes into weighing the corpus: tract has half a million places to reach.
# The timeout is of the clock on the wall, and here for a hang outside the inputs; of an input's processor time there is a
# watchdog in the targets that have something to hang in (src/watchdog.rs).
limits=(-timeout=7200 -rss_limit_mb=512 -max_len=4096 -entropic=0 -len_control=0 -artifact_prefix="artifacts/$target/" -print_final_stats=1)
# AddressSanitizer's shadow and quarantine are not the program's memory.
[ "${ASAN:-0}" = 1 ] && limits+=(-rss_limit_mb=2048)
[ -f "corpus/$target.dict" ] && limits+=(-dict="corpus/$target.dict")
# What it starts from beside that; nothing is written there.
seeds=()
[ -d "seeds/$target" ] && seeds=("seeds/$target")
exec "$program" "${limits[@]}" "$@" "corpus/$target" "${seeds[@]}"
