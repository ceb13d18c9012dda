#!/usr/bin/env bash
# Makes everything a release consists of, from the present commit, by one command:
#
#     packaging/release.sh                # then look through target/packages and publish it
#
# Leaves in target/packages, for version V of Cargo.toml:
#   cooltwin_V_{amd64,arm64,armhf}.deb       packages for Debian and its kin     (packaging/deb/build.sh)
#   cooltwin_V_{amd64,arm64,armhf}.tar.xz    the same for other distributions: program, configuration, units, bundle
#   cooltwin_V_image.tar                     container image, amd64 and arm64    (packaging/image/build.sh)
#   cooltwin_V_{amd64,arm64,armhf}.cdx.json  what is in the programs             (packaging/sbom.sh)
#   cooltwin_V_notes.md                      the changelog's section of this version, sizes, how to check the files
#   SHA256SUMS                               of all these
#
# Programs are built by cross/build.sh and tried by cross/emulate.sh before they are packed, the image is run by
# packaging/image/test.sh. The same commit, with the same versions of Debian's packages, gives the same bytes: times are the
# commit's. A tree with changes is refused. It needs root, and the Debian packages of those scripts: binutils buildah
# debian-archive-keyring lintian mosquitto mosquitto-clients python3-venv python3-yaml qemu-user xz-utils zstd; and Rust by
# rustup.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "packaging/release.sh: $*" >&2; }
if [ $# -gt 0 ]; then
    say 'usage: packaging/release.sh'
    exit 64
fi
if [ -n "$(git status --porcelain)" ]; then
    git status --short >&2
    say 'the tree has changes; what is released must be a commit'
    exit 1
fi
missing=()
for program in buildah lintian mosquitto mosquitto_sub python3 qemu-aarch64 readelf xz zstd; do
    command -v $program >/dev/null || missing+=("$program")
done
[ ${#missing[@]} = 0 ] || { say "missing: ${missing[*]}; the Debian packages stand at the top of this script"; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
out=target/packages
base=$out/cooltwin_$version
architectures=(amd64 arm64 armhf)
# shellcheck source=/dev/null
. cross/triple.sh
read -r -a features <<<"$(packaged_features)"

times=()
step() {
    local begin=$SECONDS name=$1
    shift
    echo "==> $name"
    "$@"
    times+=("$(printf '%6d s  %s' $((SECONDS - begin)) "$name")")
}

# What a distribution without .deb needs, in the order and with the times that every run gives.
archives() {
    local arch stage=$out/archive
    for arch in "${architectures[@]}"; do
        local folder=$stage/cooltwin-$version-$arch
        rm -rf $stage
        mkdir -p "$folder"/{bin,config,models,systemd}
        cp "target/$(triple_of "$arch")/dist/cooltwin" "$folder/bin/"
        cp config/cooltwin.toml "$folder/config/"
        cp -R models/unit-cooler "$folder/models/"
        cp systemd/*.service "$folder/systemd/"
        cp CHANGELOG.md LICENSE-APACHE LICENSE-MIT README.md "$folder/"
        python3 packaging/deb/notices.py "$(triple_of "$arch")" "${features[@]}" >"$folder/THIRD-PARTY-NOTICES"
        chmod -R u=rwX,go=rX "$folder"
        # One thread: the number of them would change the bytes.
        tar --create --directory $stage --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
            --numeric-owner "cooltwin-$version-$arch" | xz -6 --threads=1 >"${base}_$arch.tar.xz"
    done
    rm -rf $stage
}

boms() {
    local arch
    for arch in "${architectures[@]}"; do packaging/sbom.sh "${base}_$arch.cdx.json" "$(triple_of "$arch")" "${features[@]}"; done
}

# The section of this version; before one bears its number, that of what is not released yet.
changes() {
    local heading=Unreleased
    ! grep -Eq "^## \\[?${version//./\\.}\\b" CHANGELOG.md || heading=$version
    awk -v heading="$heading" '/^## / { inside = ($2 == heading || $2 == "[" heading "]"); next } inside' CHANGELOG.md
}

notes() {
    local arch file
    {
        echo "# cooltwin $version"
        changes
        printf '\n## Files\n\n| file | bytes |\n|---|---|\n'
        for file in "${files[@]}"; do echo "| ${file##*/} | $(stat -c %s "$file") |"; done
        printf '\nFrom commit %s, by packaging/release.sh.\n' "$(git rev-parse HEAD)"
        printf 'Check what you downloaded:\n\n    sha256sum --check --ignore-missing SHA256SUMS\n'
        printf '\nThe programs are reproducible: in a clone of the commit, packaging/reproducible.sh TRIPLE PROGRAM builds one\n'
        printf 'anew and compares it with the one in a package.\n'
        printf '\nEach program was read before it was packed:\n\n```text\n'
        for arch in "${architectures[@]}"; do cross/check.sh "target/$(triple_of "$arch")/dist/cooltwin" 2.31; done
        printf '```\n'
    } >"${base}_notes.md"
}

# Before anything is built. Not through a pipe: a reader that has seen enough would end the writer with an error.
grep -q '^- ' <<<"$(changes)" || { say "CHANGELOG.md says nothing about $version"; exit 1; }

mkdir -p $out
rm -f "$out"/cooltwin_* $out/SHA256SUMS
step 'programs' cross/build.sh
step 'programs, emulated' cross/emulate.sh
step 'packages' packaging/deb/build.sh "${architectures[@]}"
step 'archives' archives
step 'image' packaging/image/build.sh
step 'image, run' packaging/image/test.sh
step 'bills of materials' boms
files=("$base"_*)
step 'notes' notes
if [ -n "$(git status --porcelain)" ]; then
    say 'the tree has changed meanwhile'
    exit 1
fi
(cd $out && sha256sum cooltwin_* >SHA256SUMS)

echo
cat $out/SHA256SUMS
ls -l $out
printf '%s\n' "${times[@]}"
