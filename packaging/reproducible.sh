#!/usr/bin/env bash
# Shows that the program is the same whoever builds it: builds the present commit twice, in two folders with names of
# different length, and compares the hashes.
#
#     packaging/reproducible.sh                    # as packages are built: profile dist
#     packaging/reproducible.sh --profile release
#     packaging/reproducible.sh --profile dev --config 'profile.dev.package."*".opt-level=0'     # soon done
#
# All arguments go to `cargo build`. The versions of Rust and of the C compiler are part of what is built; they are printed with
# the result. TMPDIR says where the folders lie (they take 1 to 3 GB), KEEP=1 leaves them there.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=("$@")
[ $# -gt 0 ] || arguments=(--profile dist)
work=$(mktemp -d)
[ "${KEEP:-0}" = 1 ] || trap 'rm -rf "$work"' EXIT
cargo_home=${CARGO_HOME:-$HOME/.cargo}
hashes=()

for name in a another-folder-with-a-longer-name; do
    folder=$work/$name
    mkdir "$folder"
    git archive HEAD | tar -x -C "$folder"
    # Source places stand in messages of panics and in debug information: the same ones, wherever the sources lie.
    remap="--remap-path-prefix=$folder=/cooltwin --remap-path-prefix=$cargo_home=/cargo"
    echo "==> building in $folder"
    (
        cd "$folder"
        # ring has parts in C and assembler.
        env -u CARGO_TARGET_DIR RUSTFLAGS="$remap" CFLAGS="-ffile-prefix-map=$folder=/cooltwin -ffile-prefix-map=$cargo_home=/cargo" \
            CARGO_INCREMENTAL=0 SOURCE_DATE_EPOCH="$(git -C "$OLDPWD" log -1 --format=%ct)" \
            cargo build --quiet --locked --bin cooltwin "${arguments[@]}"
    )
    program=$(find "$folder/target" -maxdepth 3 -type f -name cooltwin -perm -u+x)
    if strings "$program" | grep -F "$work" >&2; then
        echo "packaging/reproducible.sh: the program names the folder it was built in" >&2
        exit 1
    fi
    hashes+=("$(sha256sum <"$program" | cut -d' ' -f1)")
done

rustc -V
cc --version | head -n 1
printf '%s  %s\n' "${hashes[0]}" "first build" "${hashes[1]}" "second build"
if [ "${hashes[0]}" != "${hashes[1]}" ]; then
    echo 'packaging/reproducible.sh: the builds differ; KEEP=1 keeps them for a look with diffoscope' >&2
    exit 1
fi
echo "equal: commit $(git rev-parse --short HEAD), cargo build ${arguments[*]}"
