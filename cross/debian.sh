#!/usr/bin/env bash
# Unpacks Debian packages of any release and architecture into a folder, without installing anything:
#
#     cross/debian.sh bullseye arm64 target/tools/bullseye-arm64 libc6
#
# The newest versions of the release, its security updates included, by an apt of our own beside the machine's, with the
# mirror the machine uses already (or DEBIAN_MIRROR, as in scheme://host) and Debian's signatures checked. Packages that
# are named are taken, not what they depend on. FOLDER.packages says name, version and SHA-256 of each; where it names
# the same packages already, nothing is done again.
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

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || { say "no $keyring; apt-get install debian-archive-keyring"; exit 1; }
# shellcheck disable=SC2016 # apt is to expand it
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    sed -n 's,/debian/*$,,p' | head -n 1)}
[ -n "$mirror" ] || { say 'apt knows no Debian mirror; name one in DEBIAN_MIRROR, as in scheme://host'; exit 1; }

apt=$PWD/target/tools/apt-$release-$arch
mkdir -p "$apt"/{etc/preferences.d,etc/apt.conf.d,state/lists/partial,cache/archives/partial,debs} "$(dirname "$folder")"
: >"$apt/state/status"
for suite in "debian $release" "debian-security $release-security"; do
    echo "deb [signed-by=$keyring arch=$arch] $mirror/$suite main"
done >"$apt/etc/sources.list"
cat >"$apt/apt.conf" <<CONF
Dir::Etc "$apt/etc";
Dir::State "$apt/state";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
Acquire::Languages "none";
Acquire::Retries "3";
CONF
export APT_CONFIG=$apt/apt.conf
apt-get -qq update
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
