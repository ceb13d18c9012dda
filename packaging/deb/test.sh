#!/usr/bin/env bash
# Shows in plain Debian roots what installing, upgrading, downgrading, removing and purging the package does where no
# systemd runs (containers, chroots, images being made), and that the package is the same whenever it is built:
#
#     packaging/deb/test.sh                 # Debian 12 and Debian 11, whose glibc 2.31 is the oldest that is supported
#     packaging/deb/test.sh bullseye
#
# As root, on amd64, with the program for amd64 in place (cross/build.sh x86_64-unknown-linux-gnu). Needs mmdebstrap; the roots
# are kept in target/roots, 170 MB each. What a running systemd makes of the package is shown by tests/boot.
set -euo pipefail
cd "$(dirname "$0")/../.."

roots=target/roots
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm bullseye)

# shellcheck source=/dev/null
. cross/apt.sh
die() { echo "packaging/deb/test.sh: $*" >&2; exit 1; }
say() { echo "==> $*"; }

[ "$(id -u)" = 0 ] || die 'must be root: it unpacks and enters Debian roots'
for program in mmdebstrap dpkg-deb chroot; do
    command -v $program >/dev/null || die "$program is missing: apt-get install mmdebstrap dpkg coreutils"
done

# --- The package -----------------------------------------------------------------------------------------------------

build_twice() {
    local version first
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
    deb=target/packages/cooltwin_${version}_amd64.deb
    packaging/deb/build.sh amd64
    cp "$deb" "$work/first.deb"
    first=$(sha256sum <"$deb")
    # Another time zone, language, mask and moment.
    (umask 077; TZ=Pacific/Chatham LC_ALL=C.UTF-8 LINTIAN=0 packaging/deb/build.sh amd64) >/dev/null
    [ "$(sha256sum <"$deb")" = "$first" ] || die 'building twice gives two packages; compare them with diffoscope'
    say "built twice, equal: ${first%% *}"
}

# The same package under another version, with the shipped configuration changed if asked for. $1: version, $2: result,
# $3: a line to add to the configuration.
repack() {
    local folder=$work/repack
    rm -rf "$folder"
    dpkg-deb -R "$work/first.deb" "$folder"
    sed -i "s/^Version: .*/Version: $1/" "$folder/DEBIAN/control"
    [ -z "${3:-}" ] || echo "$3" >>"$folder/etc/cooltwin/cooltwin.toml"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$folder" "$2" >/dev/null
    rm -rf "$folder"
}

# --- A root ----------------------------------------------------------------------------------------------------------

new_root() {
    local suite=$1 mirror
    if [ ! -f "$roots/$suite.tar" ]; then
        say "$suite: making the root"
        mkdir -p $roots
        mirror=$(debian_mirror)
        mmdebstrap --quiet --format=tar --variant=minbase --dpkgopt=force-unsafe-io "$suite" "$roots/$suite.tar.new" \
            "deb $mirror/debian $suite main"
        mv "$roots/$suite.tar.new" "$roots/$suite.tar"
    fi
    rm -rf "$root"
    mkdir "$root"
    tar -x -C "$root" -f "$roots/$suite.tar"
    [ ! -e "$root/run/systemd/system" ] || die "$suite: the root looks as if systemd were running in it"
    cp "$work"/*.deb "$root/tmp/"
    # As systemd would have made it for whatever service came first.
    mkdir -m 0700 "$root/var/lib/private"
}

# Units that only have the name in common with ours.
foreign_units() {
    printf '[Service]\nExecStart=/usr/local/bin/cooltwin-of-ours run\n' >"$root/etc/systemd/system/cooltwin@own.service"
    printf '[Service]\nExecStart=/bin/true\n' >"$root/etc/systemd/system/cooltwin-watch.service"
}

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

# dpkg must go through without asking: there is nobody to answer.
dpkg_inside() {
    inside dpkg "$@" </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; die "$suite: dpkg $* failed"; }
}

# shellcheck disable=SC2016 # dpkg-query is to expand it
status() { inside dpkg-query -W -f '${Status} ${Version}' cooltwin 2>/dev/null || true; }
expect_status() { [ "$(status)" = "$1" ] || die "$suite: status is '$(status)', not '$1'"; }
expect_file() { [ -e "$root$1" ] || [ -L "$root$1" ] || die "$suite: $1 is missing $2"; }
expect_no_file() { if [ -e "$root$1" ] || [ -L "$root$1" ]; then die "$suite: $1 is there $2"; fi; }
configuration=/etc/cooltwin/cooltwin.toml
enabled=/etc/systemd/system/multi-user.target.wants/cooltwin.service

# Every file but dpkg's own books.
listing() { (cd "$root" && find . ! -path './var/lib/dpkg/*' ! -path './var/log/*' -printf '%y %m %p\n') | sort; }

# --- What must hold --------------------------------------------------------------------------------------------------

installs() {
    dpkg_inside -i /tmp/first.deb
    expect_status "install ok installed $version"
    expect_file $enabled 'after the installation: the service would not start at boot'
    [ -z "$(inside dpkg --verify cooltwin)" ] || die "$suite: installed files differ from the package's"
    # The default configuration, from a folder without a bundle of its own: the packaged one is found.
    inside cooltwin check --config $configuration >"$work/check.log" || die "$suite: the default configuration is refused"
    grep -q /usr/share/cooltwin/models/unit-cooler "$work/check.log" || die "$suite: check does not name the packaged bundle"
    inside sh -c 'cooltwin simulate --rows 20 >/tmp/readings.csv && cooltwin predict /tmp/readings.csv >/tmp/out.jsonl'
    [ "$(wc -l <"$root/tmp/out.jsonl")" = 20 ] || die "$suite: no predictions from simulated readings"
    inside bash -n /usr/share/bash-completion/completions/cooltwin
    rm -f "$root"/tmp/{readings.csv,out.jsonl}
    say "$suite: installed, enabled, checks, predicts (glibc $(inside ldd --version | sed -n '1s/.* //p'))"
}

upgrades() {
    echo '# ours' >>"$root$configuration"
    dpkg_inside -i /tmp/second.deb
    expect_status "install ok installed $version+2"
    grep -q '^# ours$' "$root$configuration" || die "$suite: the upgrade lost the edited configuration"
    expect_no_file $configuration.dpkg-dist 'though the shipped configuration is the same'
    # Both have changed it: with the usual answer of unattended upgrades the edited one stays, the new one lies beside it.
    dpkg_inside --force-confdef --force-confold -i /tmp/third.deb
    expect_status "install ok installed $version+3"
    grep -q '^# ours$' "$root$configuration" || die "$suite: the upgrade lost the edited configuration"
    grep -q '^# theirs$' "$root$configuration.dpkg-dist" || die "$suite: the new configuration is not beside the edited one"
    say "$suite: upgraded twice, the edited configuration is kept"
}

downgrades() {
    dpkg_inside --force-confdef --force-confold -i /tmp/first.deb
    expect_status "install ok installed $version"
    grep -q '^# ours$' "$root$configuration" || die "$suite: the downgrade lost the edited configuration"
    inside cooltwin check --config $configuration >/dev/null || die "$suite: the configuration is refused after the downgrade"
    say "$suite: downgraded, the edited configuration is kept"
}

stays_disabled() {
    # What `systemctl disable` does.
    local link
    link=$(readlink "$root$enabled")
    rm "$root$enabled"
    dpkg_inside -i /tmp/second.deb
    expect_no_file $enabled 'after an upgrade of a disabled service'
    ln -s "$link" "$root$enabled"
    say "$suite: a disabled service stays disabled over an upgrade"
}

# What service, instances and operator leave in the course of time.
use_it() {
    local name
    for name in cooltwin cooltwin-second; do
        mkdir -p "$root/var/lib/private/$name/models/site"
        ln -s "private/$name" "$root/var/lib/$name"
    done
    mkdir -p "$root/etc/cooltwin/models/site"
    echo 'secret' >"$root/etc/cooltwin/mqtt-password"
    echo '# second' >"$root/etc/cooltwin/second.toml"
    use_systemctl
}

# What systemctl leaves, as it would: edit, edit --full, set-property, enable, mask, add-wants, add-requires.
use_systemctl() {
    local etc=$root/etc/systemd/system control=$root/etc/systemd/system.control
    local template=/usr/lib/systemd/system/cooltwin@.service
    mkdir -p "$etc"/cooltwin{,@,@second}.service.d "$etc/gateway.target.requires" "$etc/cooltwin.service.wants" \
        "$control/cooltwin.service.d"
    echo '[Service]' | tee "$etc/cooltwin.service.d/override.conf" "$etc/cooltwin@.service.d/override.conf" \
        "$control/cooltwin.service.d/50-CPUWeight.conf" >"$etc/cooltwin@second.service.d/override.conf"
    cp "$root$template" "$etc/cooltwin@third.service"
    ln -s /dev/null "$etc/cooltwin@fourth.service"
    ln -s "$template" "$etc/multi-user.target.wants/cooltwin@second.service"
    ln -s "$template" "$etc/multi-user.target.wants/cooltwin@fourth.service"
    ln -s "$template" "$etc/gateway.target.requires/cooltwin@third.service"
    ln -s /usr/lib/systemd/system/cooltwin.service "$etc/gateway.target.requires/cooltwin.service"
    ln -s /usr/lib/systemd/system/mosquitto.service "$etc/cooltwin.service.wants/mosquitto.service"
}

# A systemctl that knows what is enabled and masked by looking at the links, says that nothing runs, and writes down what
# it is asked to start; with it the scripts believe that systemd runs.
pretend_systemd() {
    mkdir -p "$root/run/systemd/system"
    cat >"$root/usr/bin/systemctl" <<'SYSTEMCTL'
#!/bin/sh
verb=
for word; do
    case $word in -*) continue ;; esac
    if [ -z "$verb" ]; then verb=$word; continue; fi
    case $verb in
        start | restart | stop | reset-failed) echo "$verb $word" >>/tmp/asked ;;
        is-enabled)
            if [ "$(readlink "/etc/systemd/system/$word")" = /dev/null ]; then echo masked; exit 1; fi
            for link in /etc/systemd/system/*.wants/"$word" /etc/systemd/system/*.requires/"$word"; do
                if [ -L "$link" ]; then echo enabled; exit 0; fi
            done
            echo disabled; exit 1 ;;
        is-active) exit 3 ;;
    esac
done
SYSTEMCTL
    chmod +x "$root/usr/bin/systemctl"
}
pretend_no_systemd() { rm -rf "$root/run/systemd" "$root/usr/bin/systemctl" "$root/tmp/asked"; }

# Runs dpkg or a script of the package; what it asks systemctl to do must be $1.
expect_asked() {
    local wanted=$1
    shift
    rm -f "$root/tmp/asked"
    "$@"
    grep -E "^(start|restart|reset-failed) " "$root/tmp/asked" 2>/dev/null | sort >"$work/asked" || true
    [ "$(cat "$work/asked")" = "$wanted" ] || die "$suite: $*: systemctl was asked for '$(cat "$work/asked")', not '$wanted'"
}

# Instances that are enabled are started by an installation after a removal, and by a removal that is called off; not those
# that are disabled or masked, and none where policy-rc.d forbids it. A removal leaves nothing listed as failed.
starts_instances() {
    local postinst=/var/lib/dpkg/info/cooltwin.postinst
    pretend_systemd
    # Its file is there, and it is not enabled.
    echo '# fifth' >"$root/etc/cooltwin/fifth.toml"
    expect_asked $'start cooltwin.service\nstart cooltwin@second.service\nstart cooltwin@third.service' \
        inside $postinst abort-remove
    expect_asked $'reset-failed cooltwin.service\nreset-failed cooltwin@*.service' dpkg_inside -r cooltwin
    expect_asked $'restart cooltwin.service\nrestart cooltwin@second.service\nrestart cooltwin@third.service' \
        dpkg_inside -i /tmp/second.deb
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    expect_asked '' dpkg_inside -i /tmp/second.deb
    rm "$root/usr/sbin/policy-rc.d" "$root/etc/cooltwin/fifth.toml"
    pretend_no_systemd
    say "$suite: instances that are enabled are started again, others are not"
}

removes() {
    dpkg_inside -r cooltwin
    expect_status "deinstall ok config-files $version+2"
    expect_no_file /usr/bin/cooltwin 'after the removal'
    expect_no_file /usr/lib/systemd/system/cooltwin.service 'after the removal'
    expect_no_file /usr/share/cooltwin 'after the removal'
    grep -q '^# ours$' "$root$configuration" || die "$suite: the removal took the configuration"
    expect_file /etc/cooltwin/second.toml 'after the removal'
    expect_file /var/lib/private/cooltwin/models/site 'after the removal'
    dpkg_inside -i /tmp/second.deb
    expect_status "install ok installed $version+2"
    grep -q '^# ours$' "$root$configuration" || die "$suite: installing again took the configuration"
    expect_file $enabled 'after installing again'
    expect_no_file /etc/systemd/system/cooltwin.service 'after installing again: the service is still masked'
    say "$suite: removed and installed again, configuration and state are kept"
}

purges() {
    dpkg_inside -P cooltwin
    [ -z "$(status)" ] || die "$suite: dpkg still knows: $(status)"
    listing >"$work/after"
    diff "$work/before" "$work/after" >&2 || die "$suite: the purge leaves what stands above"
    # Removed before, then purged: the scripts then run without the program.
    dpkg_inside -i /tmp/first.deb
    dpkg_inside -r cooltwin
    dpkg_inside -P cooltwin
    listing | diff "$work/before" - >&2 || die "$suite: removal and purge leave what stands above"
    say "$suite: purged, nothing is left"
}

[ "$(dpkg --print-architecture)" = amd64 ] || die 'runs on amd64'
build_twice
version=$(dpkg-deb -f "$work/first.deb" Version)
repack "$version+2" "$work/second.deb"
repack "$version+3" "$work/third.deb" '# theirs'
for suite in "${suites[@]}"; do
    root=$work/root
    new_root "$suite"
    foreign_units
    listing >"$work/before"
    installs
    upgrades
    downgrades
    stays_disabled
    use_it
    starts_instances
    removes
    purges
done
say "all holds: $deb on ${suites[*]}"
