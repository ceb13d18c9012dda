#!/usr/bin/env bash
# Unpacks Debian packages of any release and architecture into a folder, without installing anything:
#
#     cross/debian.sh bullseye arm64 target/tools/bullseye-arm64 libc6
#
# The newest versions of the release, its security updates included, by an apt of our own beside the machine's, with the
# mirror the machine uses already (or DEBIAN_MIRROR, as in scheme://host) and Debian's signatures checked. Packages that
# are named are taken, not what they depend on. FOLDER.packages says name, version and SHA-256 of each; where it names
# the same packages already, nothing is done again.
# SECURITY=0 leaves the security updates out, for what is tried and never shipped: mirrors drop them for some architectures
# of a release that grows old, and then name files that are gone.
# Debian packages it needs: apt, debian-archive-keyring.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "cross/debian.sh: $*" >&2; }
if [ $# -lt 4 ]; then
    say 'usage: cross/debian.sh RELEASE amd64|arm64|armhf FOLDER PACKAGE...'
    exit 64
fi
release=$1
arch=$2
folder=$(realpath -m "$3")
shift 3
packages=("$@")
record=$folder.packages
if [ -d "$folder" ] && [ "$(awk '{ print $1 }' "$record" 2>/dev/null | xargs)" = "${packages[*]}" ]; then
    exit 0
fi

# shellcheck source=/dev/null
. cross/apt.sh
apt=$PWD/target/tools/apt-$release-$arch
mkdir -p "$apt/debs" "$(dirname "$folder")"
suites="$arch debian $release"
[ "${SECURITY:-1}" = 0 ] || suites+=$'\n'"$arch debian-security $release-security"
private_apt "$apt" "$arch" <<<"$suites"
rm -rf "$folder" "$record" "$apt"/debs/*
(cd "$apt/debs" && apt-get -qq download "${packages[@]}" >&2)
mkdir -p "$folder"
for package in "${packages[@]}"; do
    deb=("$apt/debs/${package}"_*.deb)
    dpkg-deb --extract "${deb[0]}" "$folder"
    echo "$package $(dpkg-deb --field "${deb[0]}" Version) $(sha256sum "${deb[0]}" | cut -d' ' -f1)" >>"$record"
done
# Links such as /lib/x86_64-linux-gnu/ld-2.31.so stay in the folder.
while IFS= read -r -d '' link; do
    ln -sfnr "$folder$(readlink "$link")" "$link"
done < <(find "$folder" -type l -lname '/*' -print0)
rm -rf "$apt"
