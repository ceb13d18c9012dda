#!/usr/bin/env bash
# Shows that the packaged program is the same whoever builds it, and wherever: builds the present commit with
# cross/build.sh in folders with names of different length, and compares the hashes.
#
#     packaging/reproducible.sh                                       # twice, for x86-64
#     packaging/reproducible.sh aarch64-unknown-linux-gnu
#     packaging/reproducible.sh x86_64-unknown-linux-gnu PROGRAM      # once, against a program that somebody built
#
# With a PROGRAM it tells whether that one was made from this commit, as from a package: dpkg-deb -x FILE.deb folder.
# Every build starts from nothing and takes 20 minutes of processor time or more; zig and cargo-zigbuild are shared with
# target/tools. TMPDIR says where the folders lie (1 GB each), KEEP=1 leaves them there, for a look with diffoscope.
# FEATURES and JOBS are those of cross/build.sh; the compilers it chose are part of what is built, it prints them.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "packaging/reproducible.sh: $*" >&2
    exit 1
}

triple=${1:-x86_64-unknown-linux-gnu}
names=(a another-folder-with-a-longer-name)
programs=()
if [ $# -gt 1 ]; then
    [ -f "$2" ] || fail "there is no program $2"
    programs=("$2")
    names=("${names[1]}")
fi
[ -z "$(git status --porcelain)" ] || fail 'there are changes without a commit; they would not be built'

work=$(mktemp -d)
[ "${KEEP:-0}" = 1 ] || trap 'rm -rf "$work"' EXIT
mkdir -p target/tools
for name in "${names[@]}"; do
    folder=$work/$name
    git clone --quiet --no-hardlinks . "$folder"
    mkdir "$folder/target"
    ln -s "$PWD/target/tools" "$folder/target/tools"
    echo "==> building in $folder"
    "$folder/cross/build.sh" "$triple"
    programs+=("$folder/target/$triple/dist/cooltwin")
done

for program in "${programs[@]}"; do
    # What tells where it was built differs elsewhere, even if the two folders here should agree.
    if grep --text --only-matching --fixed-strings --max-count 1 -e "$work" -e "$PWD" "$program"; then
        fail "$program names the folder it was built in"
    fi
done
sha256sum "${programs[@]}"
cmp "${programs[@]}" || fail 'the programs differ'
echo "equal: commit $(git rev-parse --short HEAD), $triple"
