# shellcheck shell=bash
# shellcheck disable=SC2154 # what it uses is set by run.sh
# Minimal Debian roots and the kernel for the boot test; sourced by run.sh, which sets `work`, `say`, `fail`.
# Everything fetched or made is kept under target/boot and taken up again by the next run; BOOT_FRESH=yes makes it anew.

cache=target/boot
# What the steps need in the root beside systemd: a broker with its clients, and tools to look around with.
ROOT_PACKAGES=systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,procps,iproute2,udev,jq,bash-completion

# shellcheck source=/dev/null
. cross/apt.sh

# Installs what a mode needs by package name. A machine that has all of it is not touched.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || fail "no apt-get here; needed are the Debian packages: ${missing[*]}"
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Lets this machine run arm64 programs, for the scripts of the packages in an arm64 root. `undo_binfmt` takes it back.
binfmt=/proc/sys/fs/binfmt_misc
do_binfmt() {
    [ "$(dpkg --print-architecture)" = arm64 ] && return
    if [ ! -e $binfmt/register ]; then
        mount -t binfmt_misc binfmt_misc $binfmt || fail 'binfmt_misc cannot be mounted: needs root with CAP_SYS_ADMIN'
        echo mounted > "$work/binfmt-mounted"
    fi
    if [ ! -e $binfmt/qemu-aarch64 ]; then
        cat /usr/lib/binfmt.d/qemu-aarch64.conf > $binfmt/register
        echo registered > "$work/binfmt-registered"
    fi
}
undo_binfmt() {
    if [ -e "$work/binfmt-registered" ] && [ -e $binfmt/qemu-aarch64 ]; then echo -1 > $binfmt/qemu-aarch64; fi
    # Busy when somebody else uses it by now; then it is theirs.
    if [ -e "$work/binfmt-mounted" ]; then umount $binfmt 2>/dev/null || true; fi
    rm -f "$work/binfmt-registered" "$work/binfmt-mounted"
}

# The tarball of a root: suite, architecture. Prints its path.
root_tarball() {
    local suite=$1 arch=$2 mirror tar begin=$SECONDS
    tar=$cache/root-$suite-$arch-$(echo "$suite $ROOT_PACKAGES" | sha256sum | head -c 8).tar
    if [ ! -e "$tar" ] || [ -n "${BOOT_FRESH:-}" ]; then
        mirror=$(debian_mirror) || exit 1
        [ "$arch" != arm64 ] || do_binfmt
        say "making a Debian root: $suite, $arch"
        mkdir -p "$work/tmp"
        # Nothing here needs to survive a power cut, and syncing after every file is what costs the time.
        TMPDIR=$work/tmp mmdebstrap --quiet --format=tar --variant=minbase --architectures="$arch" --include=$ROOT_PACKAGES \
            --keyring="$debian_keyring" --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
            --aptopt='Acquire::Retries "3"' --aptopt='Acquire::Check-Valid-Until "false"' \
            "$suite" "$tar.new" \
            "deb $mirror/debian $suite main" \
            "deb $mirror/debian-security $suite-security main" >&2 || fail "mmdebstrap: no root for $suite, $arch"
        mv "$tar.new" "$tar"
        [ "$arch" != arm64 ] || undo_binfmt
        say "root made in $((SECONDS - begin)) s"
    fi
    echo "$tar"
}

# Debian's kernel for virtual machines on arm64 and an initrd that can find a virtio disk: $cache/vmlinuz, $cache/initrd.
# trixie's, because it has ext4 and virtio_pci built in; the root stays Debian 12.
arm64_kernel() (
    [ ! -e $cache/initrd ] || [ -n "${BOOT_FRESH:-}" ] || exit 0
    say 'fetching the kernel for arm64'
    private_apt "$PWD/$cache/apt" arm64 <<SUITES
arm64 debian trixie
arm64 debian-security trixie-security
SUITES
    image=$(apt-cache depends linux-image-cloud-arm64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$image" ] || fail 'Debian has no kernel linux-image-cloud-arm64'
    rm -rf "$work/kernel"
    mkdir -p "$work/kernel/debs" "$work/kernel/initrd"/{bin,dev,proc,new}
    (cd "$work/kernel/debs" && apt-get -qq download "$image" busybox-static >&2)
    for deb in "$work"/kernel/debs/*.deb; do dpkg -x "$deb" "$work/kernel/root"; done
    cp "$work"/kernel/root/boot/vmlinuz-* $cache/vmlinuz
    cp "$(find "$work/kernel/root" -path '*/bin/busybox' -type f | head -n 1)" "$work/kernel/initrd/bin/busybox"
    find "$work/kernel/root" -name 'virtio_blk.ko*' -exec cp {} "$work/kernel/initrd/" \;
    [ ! -e "$work/kernel/initrd/virtio_blk.ko.xz" ] || xz -d "$work/kernel/initrd/virtio_blk.ko.xz"
    cat > "$work/kernel/initrd/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox insmod /virtio_blk.ko
while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /new
/bin/busybox mount -o move /dev /new/dev
exec /bin/busybox switch_root /new /sbin/init
INIT
    chmod +x "$work/kernel/initrd/init"
    (cd "$work/kernel/initrd" && find . | cpio --quiet -o -H newc | gzip -9) > $cache/initrd.new
    mv $cache/initrd.new $cache/initrd
    rm -rf "$work/kernel"
)
