#!/usr/bin/env bash
# Container image for amd64 and arm64 from the programs that cross/build.sh has made:
#
#     cross/build.sh x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu && packaging/image/build.sh
#     packaging/image/build.sh amd64            # for one alone
#
# Leaves target/packages/cooltwin_VERSION_image.tar, an OCI archive with one index. From scratch: the program with the
# loader and the libraries of glibc that it names (a static glibc cannot look up names reliably), certificates, the
# default configuration and the reference bundle. Built by buildah, without a daemon; packaging/image/pack.py then
# compresses the layers and writes the archive. The same commit, programs and Debian packages give the same bytes.
# It needs root (or `buildah unshare`), the Debian packages buildah, zstd, python3, binutils, apt and
# debian-archive-keyring.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Whose glibc and certificates.
RELEASE=trixie
# The bars of packaging/README.md.
MAX_UNPACKED=28000000
MAX_COMPRESSED=8000000

say() { echo "packaging/image/build.sh: $*" >&2; }
# shellcheck source=/dev/null
. cross/triple.sh
read -r -a features <<<"$(packaged_features)"
for program in buildah zstd python3 readelf; do
    command -v $program >/dev/null ||
        { say "no $program; on Debian: apt-get install --no-install-recommends buildah zstd python3 binutils"; exit 1; }
done
architectures=("$@")
[ $# -gt 0 ] || architectures=(amd64 arm64)

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
packages=target/packages
out=$packages/cooltwin_${version}_image.tar
work=$PWD/target/tools/image
# Storage of our own: what the machine's users keep stays as it is.
buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")

# glibc's part of the image for the program $2, from the unpacked packages $1, into $3.
libraries() {
    local from=$1 program=$2 root=$3 libraries loader library
    libraries=$(find "$from/usr/lib" -mindepth 1 -maxdepth 1 -name '*-linux-gnu*' -printf '%f\n')
    loader=$(readelf --program-headers --wide "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
    mkdir -p "$root/usr/lib/$libraries"
    ln -s usr/lib "$root/lib"
    [ "${loader%/*}" = /lib ] || { mkdir -p "$root/usr${loader%/*}"; ln -s "usr${loader%/*}" "$root${loader%/*}"; }
    cp --dereference "$from/usr$loader" "$root/usr$loader"
    while read -r library; do
        [ "$library" = "${loader##*/}" ] || cp --dereference "$from/usr/lib/$libraries/$library" "$root/usr/lib/$libraries/"
    done < <(readelf --dynamic --wide "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
}

# What goes into the image for architecture $1 with the program $2 for target $4, as folder $3.
fill() {
    local arch=$1 program=$2 root=$3 from=target/tools/image-files-$1 package
    cross/debian.sh $RELEASE "$arch" "$from" libc6 ca-certificates
    mkdir -p "$root"/{etc/cooltwin/models,etc/ssl/certs,tmp,var/lib,usr/bin,usr/share/cooltwin/models,usr/share/doc/cooltwin}
    chmod 1777 "$root/tmp"
    libraries "$from" "$program" "$root"
    install -m 755 "$program" "$root/usr/bin/cooltwin"
    install -m 644 config/cooltwin.toml "$root/etc/cooltwin/"
    cp -R models/unit-cooler "$root/usr/share/cooltwin/models/"
    # As Debian's update-ca-certificates puts it together.
    find "$from/usr/share/ca-certificates/mozilla" -name '*.crt' -print0 | LC_ALL=C sort -z | xargs -0 cat \
        >"$root/etc/ssl/certs/ca-certificates.crt"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    echo 'cooltwin:x:65532:65532::/var/lib/cooltwin:/nonexistent' >"$root/etc/passwd"
    echo 'cooltwin:x:65532:' >"$root/etc/group"
    for package in libc6 ca-certificates; do
        install -D -m 644 "$from/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
    done
    # The licences of what is in, and which packages of Debian that is.
    install -m 644 LICENSE-APACHE LICENSE-MIT "$root/usr/share/doc/cooltwin/"
    install -m 644 "$from.packages" "$root/usr/share/doc/cooltwin/debian-packages"
    python3 packaging/deb/notices.py "$4" "${features[@]}" | gzip -9n >"$root/usr/share/doc/cooltwin/third-party-notices.gz"
    chmod -R u=rwX,go=rX "$root"
    chmod 1777 "$root/tmp"
}

rm -rf "$work"
mkdir -p "$packages" "$work"
"${buildah[@]}" manifest create cooltwin >/dev/null
for arch in "${architectures[@]}"; do
    case $arch in
        amd64 | arm64) triple=$(triple_of "$arch") ;;
        *) say "no architecture $arch; there are amd64 and arm64"; exit 64 ;;
    esac
    program=target/$triple/dist/cooltwin
    [ -x "$program" ] || { say "no $program; cross/build.sh $triple makes it"; exit 1; }
    context=$work/$arch
    mkdir -p "$context/state"
    # Whatever the umask here is.
    chmod 755 "$context/state"
    fill "$arch" "$program" "$context/root" "$triple"
    unpacked=$(find "$context/root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
    [ "$unpacked" -le $MAX_UNPACKED ] || { say "$arch: $unpacked bytes unpacked, more than $MAX_UNPACKED"; exit 1; }
    echo "$arch: $unpacked bytes unpacked"
    # Docker's format, since OCI's has no place for the health check; pack.py takes it over.
    "${buildah[@]}" build --quiet --isolation chroot --format docker --arch "$arch" --timestamp "$SOURCE_DATE_EPOCH" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" --tag "cooltwin:$arch" \
        --manifest cooltwin --file packaging/image/Containerfile "$context" >/dev/null
    "${buildah[@]}" inspect --type image "cooltwin:$arch" >"$work/inspect.json"
done
"${buildah[@]}" manifest push --quiet --all --format oci cooltwin "oci:$work/layout:cooltwin:$version" >/dev/null
python3 packaging/image/pack.py "$work/layout" "$work/inspect.json" $MAX_COMPRESSED "$out"
rm -rf "$work"
printf '%s: %s bytes, sha256 %s\n' "$out" "$(stat -c %s "$out")" "$(sha256sum <"$out" | cut -d' ' -f1)"
