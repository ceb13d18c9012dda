#!/usr/bin/env bash
# Runs the packaged programs as old and new processors would, with the C library of Debian 11 (glibc 2.31, as Ubuntu 20.04
# and JetPack 5 have it):
#
#     cross/emulate.sh [TRIPLE...]       # after cross/build.sh; default: all three
#
# For each processor `cooltwin check`, which replays the bundle's golden vectors to the bit, and `cooltwin predict` on
# simulated readings, whose documents must be those of the x86-64 program on this machine, byte for byte. An instruction
# that a processor lacks ends the program (SIGILL); that kernels detect NEON and AVX when they run shows in both.
# QEMU has no Cortex-A78AE; it executes what Cortex-A76 does (ARMv8.2-A with LSE and dot products).
# Debian packages it needs: qemu-user, apt, debian-archive-keyring.
set -euo pipefail
cd "$(dirname "$0")/.."

ROWS=60

say() { echo "cross/emulate.sh: $*" >&2; }
triples=("$@")
[ $# -gt 0 ] || triples=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf)
native=target/x86_64-unknown-linux-gnu/dist/cooltwin
[ -x $native ] || { say "no $native; cross/build.sh x86_64-unknown-linux-gnu makes it"; exit 1; }

out=target/tools/emulate
mkdir -p $out
$native simulate --units 2 --rows $ROWS >$out/readings.csv
$native predict $out/readings.csv >$out/expected.jsonl 2>/dev/null
[ "$(wc -l <$out/expected.jsonl)" -gt $ROWS ] || { say "only $(wc -l <$out/expected.jsonl) predictions"; exit 1; }

for triple in "${triples[@]}"; do
    case $triple in
        x86_64-*) arch=amd64 emulator=qemu-x86_64 processors=(qemu64 Nehalem Haswell) ;;
        aarch64-*) arch=arm64 emulator=qemu-aarch64 processors=(cortex-a53 cortex-a72 cortex-a76) ;;
        armv7-*) arch=armhf emulator=qemu-arm processors=(cortex-a7 'cortex-a7,neon=off' cortex-a15) ;;
        *) say "no target $triple"; exit 64 ;;
    esac
    command -v $emulator >/dev/null || { say "no $emulator; on Debian: apt-get install qemu-user"; exit 1; }
    root=target/tools/bullseye-$arch
    SECURITY=0 cross/debian.sh bullseye $arch "$root" libc6
    program=target/$triple/dist/cooltwin
    [ -x "$program" ] || { say "no $program; cross/build.sh $triple makes it"; exit 1; }
    for processor in "${processors[@]}"; do
        run=("$emulator" -L "$root" -cpu "$processor" "$program")
        if ! "${run[@]}" check >$out/log 2>&1 || ! "${run[@]}" predict $out/readings.csv >$out/predictions.jsonl 2>>$out/log; then
            cat $out/log >&2
            say "$triple, $processor: failed"
            exit 1
        fi
        cmp $out/predictions.jsonl $out/expected.jsonl || { say "$triple, $processor: other predictions"; exit 1; }
        echo "$triple, $processor, glibc 2.31: check, $(wc -l <$out/predictions.jsonl) predictions equal to the byte"
    done
done
