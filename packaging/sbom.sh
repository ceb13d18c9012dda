#!/usr/bin/env bash
# Writes the list of everything that is in the program, with versions, licences and hashes, as CycloneDX JSON:
#
#     packaging/sbom.sh FILE [TARGET] [feature arguments]
#     packaging/sbom.sh target/cooltwin.cdx.json
#     packaging/sbom.sh target/cooltwin.cdx.json aarch64-unknown-linux-gnu --no-default-features --features daemon
#
# From the lock file, for the features and the target named (else the defaults and this machine's). The same commit gives
# the same bytes, wherever it lies. Installs cargo-cyclonedx into target/tools if it is not there.
set -euo pipefail

VERSION=0.5.9
if [ $# = 0 ]; then
    echo 'usage: packaging/sbom.sh FILE [TARGET] [feature arguments]' >&2
    exit 64
fi
mkdir -p "$(dirname "$1")"
out=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    target=$1
    shift
fi

tools=target/tools
if [ "$($tools/bin/cargo-cyclonedx cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $VERSION" ]; then
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
        CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install --quiet --locked --root $tools --target-dir $tools/target "cargo-cyclonedx@$VERSION"
    rm -rf $tools/target
fi

# The time of the commit, not of this moment.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# The tool writes beside Cargo.toml and knows no other place.
draft=cooltwin-sbom-$$
trap 'rm -f "$draft.json"' EXIT
$tools/bin/cargo-cyclonedx cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --no-build-deps \
    --override-filename "$draft" "$@"
# It names the folder of this checkout, which is nobody's business and differs everywhere.
sed "s|path+file://$PWD|path+file:///cooltwin|g" "$draft.json" >"$out"

if grep -E '"name": "(openssl-sys|aws-lc-sys|native-tls)"' "$out"; then
    echo "packaging/sbom.sh: TLS is to be rustls with ring alone" >&2
    exit 1
fi
components=$(grep -c '"purl": "pkg:cargo/[^"]*",\?$' "$out")
echo "$out: $components components for $target"
