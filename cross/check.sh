#!/usr/bin/env bash
# Checks that a program runs wherever its package may be installed, by reading it:
#
#     cross/check.sh target/aarch64-unknown-linux-gnu/dist/cooltwin 2.31
#
# - machine and byte order are one of the three that are packaged, with that machine's usual loader
# - no symbol is needed from a glibc later than the one named, and no library besides glibc's
# - no search path for libraries is built in; code is position independent, the stack not executable, relocations
#   read-only from the start; no symbols or debug information are left
# - 32-bit ARM needs nothing above ARMv7-A with VFPv3; x86-64 claims no level above the first
# - no path of the machine that built it stands in it
#
# What a disassembly cannot show, that no instruction is executed which an old processor lacks, cross/emulate.sh tries.
# Debian package it needs: binutils (reads every architecture).
set -euo pipefail

if [ $# != 2 ]; then
    echo 'usage: cross/check.sh BINARY MAX_GLIBC' >&2
    exit 64
fi
binary=$1
most=$2
command -v readelf >/dev/null || { echo "$0: no readelf; on Debian: apt-get install binutils" >&2; exit 1; }
[ -f "$binary" ] || { echo "$0: no file $binary; cross/build.sh makes it" >&2; exit 1; }

failures=0
wrong() {
    echo "$0: $binary: $*" >&2
    failures=$((failures + 1))
}

header=$(readelf --file-header --wide "$binary")
segments=$(readelf --program-headers --wide "$binary")
dynamic=$(readelf --dynamic --wide "$binary")
sections=$(readelf --section-headers --wide "$binary")
machine=$(sed -n 's/^ *Machine: *//p' <<<"$header")

case $machine in
    'Advanced Micro Devices X86-64') loader=/lib64/ld-linux-x86-64.so.2 folder=x86_64 ;;
    AArch64) loader=/lib/ld-linux-aarch64.so.1 folder=aarch64 ;;
    ARM) loader=/lib/ld-linux-armhf.so.3 folder=armv7 ;;
    *) loader=unknown folder= ; wrong "is for the machine '$machine', which no package is for" ;;
esac
case $binary in
    */"$folder"-*/* | "$folder"-*/*) ;;
    */*-linux-gnu*/*) wrong "lies in the folder of another target: it is for $machine" ;;
esac
grep -q 'little endian' <<<"$header" || wrong 'is not little endian'
grep -q '^ *Type: *DYN ' <<<"$header" || wrong 'is not position independent'
interpreter=$(sed -n 's/.*\[Requesting program interpreter: \(.*\)\]/\1/p' <<<"$segments")
[ "$interpreter" = $loader ] || wrong "asks for the loader '$interpreter' instead of $loader"
grep -q ' GNU_STACK .* RW  *' <<<"$segments" || wrong 'has an executable stack'
grep -q ' GNU_RELRO ' <<<"$segments" || wrong 'has writable relocations (no GNU_RELRO)'
grep -Eq 'BIND_NOW|Flags:.* NOW' <<<"$dynamic" || wrong 'resolves symbols late (no BIND_NOW)'
grep -Eq '\((RPATH|RUNPATH)\)' <<<"$dynamic" && wrong 'searches libraries in folders of its own (RPATH)'
grep -Eq ' \.(symtab|debug_[a-z]+) ' <<<"$sections" && wrong 'is not stripped'

while read -r library; do
    case $library in
        libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2 | librt.so.1 | libutil.so.1 | "${loader##*/}") ;;
        *) wrong "needs the library $library, which is not glibc's" ;;
    esac
done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")

# "Name: GLIBC_2.17  Flags: none  Version: 4" in the section of needed versions; the program defines none itself.
versions=$(readelf --version-info --wide "$binary" | sed -n 's/.* Name: \([A-Za-z_0-9.]*\) .*/\1/p' | sort -uV)
highest=$(grep -E '^GLIBC_[0-9.]+$' <<<"$versions" | tail -n 1 || true)
[ -n "$highest" ] || wrong 'needs no version of glibc at all: is it statically linked?'
while read -r version; do
    case $version in
        GLIBC_[0-9]*)
            [ "$(printf '%s\n' "${version#GLIBC_}" "$most" | sort -V | tail -n 1)" = "$most" ] ||
                wrong "needs $version: $(readelf --dyn-syms --wide "$binary" | grep -o "[^ ]*@$version" | tr '\n' ' ')" ;;
        *) wrong "needs $version" ;;
    esac
done <<<"$versions"

if [ "$machine" = ARM ]; then
    attributes=$(readelf --arch-specific "$binary")
    grep -q 'Tag_CPU_arch: v7$' <<<"$attributes" || wrong "needs $(grep Tag_CPU_arch: <<<"$attributes"), not v7"
    grep -q '^ *Flags:.*hard-float ABI' <<<"$header" || wrong 'does not pass numbers in VFP registers (armhf)'
    # NEON stands in the attributes for the parts of ring and tract that are entered only where the processor has it.
    grep -Eq 'Tag_FP_arch: VFPv3(-D16)?$' <<<"$attributes" || wrong "needs $(grep Tag_FP_arch <<<"$attributes"), not VFPv3"
    grep -q 'Tag_Advanced_SIMD_arch: NEONv1 with' <<<"$attributes" && wrong 'needs more than the first NEON'
fi
if readelf --notes --wide "$binary" 2>/dev/null | grep -q 'ISA needed: .*x86-64-v[234]'; then
    wrong 'needs an x86-64 level above the first'
fi
# Home folders, and the folder it was built in.
paths=$(strings -a "$binary" | grep -Eo "/(home|root|Users)/[a-zA-Z.]+/[^ :]{1,80}|$PWD" | sort -u || true)
[ -z "$paths" ] || wrong "names paths of the machine that built it, such as $(head -n 3 <<<"$paths" | xargs)"

[ $failures = 0 ] || exit 1
printf '%s: %s, %s, highest symbol %s (at most GLIBC_%s), %d bytes\n' "$binary" "$machine" \
    "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" | tr '\n' ' ')" "$highest" "$most" "$(stat -c %s "$binary")"
