#!/usr/bin/env bash
# Checks the service as it is shipped, without starting it:
#
#     systemd/check.sh
#
# - cooltwin@.service is what template.sed makes of cooltwin.service
# - both units and every drop-in in examples/ are free of warnings, each drop-in on both units
# - with each of them both units keep their exposure by `systemd-analyze security`
# - the journal takes the catalogue, every entry of it
#
# Takes seconds, and root or sudo only if systemd-analyze must be installed. Nothing of this machine's systemd is touched:
# all is done in a folder that looks like the root of a machine.
set -euo pipefail
cd "$(dirname "$0")"

# Highest exposure by systemd-analyze, times ten.
MOST_EXPOSED=12
# Directives that came after systemd 245, the oldest supported, with their version. Older ones ignore them with a line
# in the journal, so nothing may rest on them alone. A directive that systemd here does not know must stand in this list.
NEWER='LoadCredential:247 ProtectProc:247 ProcSubset:247 PrivateIPC:248'

fail() {
    printf 'systemd/check.sh: %s\n' "$*" >&2
    exit 1
}

need_systemd() {
    command -v systemd-analyze >/dev/null && return
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    command -v apt-get >/dev/null || fail 'there is no systemd-analyze; install systemd'
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
units=$root/usr/lib/systemd/system
admin=$root/etc/systemd/system

# What the units name must be there: programs, and the targets that every service depends on.
make_root() {
    local program target
    mkdir -p "$units" "$admin"
    for program in usr/bin/cooltwin bin/kill bin/sh; do
        install -D -m 755 /bin/true "$root/$program"
    done
    for target in sysinit basic shutdown network-online time-sync; do
        printf '[Unit]\nDescription=%s\n' $target >"$units/$target.target"
    done
    install -m 644 cooltwin.service cooltwin@.service "$units"
}

# What systemd has to say about a unit, without the directives that it is too old for.
complaints() {
    local output status=0 version newer=() entry
    version=$(systemd-analyze --version | awk 'NR == 1 { print $2 }')
    for entry in $NEWER; do
        [ "$version" -ge "${entry#*:}" ] || newer+=(-e "Unknown key \(name \)\?'${entry%:*}' in section")
    done
    output=$(systemd-analyze verify --root="$root" --man=no "$1" 2>&1) || status=$?
    [ ${#newer[@]} = 0 ] || output=$(grep -v "${newer[@]}" <<<"$output" || true)
    [ -z "$output" ] || printf '%s\n' "$output"
    [ $status = 0 ] || printf '%s: systemd-analyze verify ends with %d\n' "$1" $status
}

# Checks a unit, with a drop-in or with none.
check_unit() {
    local unit=$1 dropin=${2:-} folder found exposure
    # Drop-ins of a template count for its instances.
    folder=$admin/${unit/@*./@.}.d
    rm -rf "$admin"/*.d
    if [ -n "$dropin" ]; then
        install -D -m 644 "$dropin" "$folder/$(basename "$dropin")"
    fi
    found=$(complaints "$unit")
    [ -z "$found" ] || fail "$unit${dropin:+ with $dropin} is not clean:"$'\n'"$found"
    exposure=$(systemd-analyze security --offline=true --root="$root" --threshold=$MOST_EXPOSED --no-pager "$unit" 2>&1) ||
        fail "$unit${dropin:+ with $dropin} is exposed too much, above $MOST_EXPOSED tenths:"$'\n'"$exposure"
    printf '%-22s %-52s %s\n' "$unit" "${dropin:-as shipped}" "$(grep -o 'exposure level.*' <<<"$exposure")"
}

need_systemd
diff <(sed -f template.sed cooltwin.service) cooltwin@.service ||
    fail "cooltwin@.service is out of date: sed -f systemd/template.sed systemd/cooltwin.service >'systemd/cooltwin@.service'"
make_root
for unit in cooltwin.service cooltwin@roof.service; do
    check_unit $unit
    for dropin in examples/*.conf; do
        check_unit $unit "$dropin"
    done
done

# Compiles the catalogue and reads it back.
check_catalog() {
    local found entries taken
    install -D -m 644 cooltwin.catalog "$root/usr/lib/systemd/catalog/cooltwin.catalog"
    mkdir -p "$root/var/lib/systemd/catalog"
    found=$(journalctl --root="$root" --update-catalog 2>&1) || fail "the catalogue cannot be compiled: $found"
    [ -z "$found" ] || fail "the catalogue is not clean: $found"
    entries=$(grep -c '^-- ' cooltwin.catalog)
    taken=$(journalctl --root="$root" --dump-catalog | grep -c -x '^-- [0-9a-f]\{32\}')
    [ "$entries" = "$taken" ] || fail "the journal took $taken of $entries entries of the catalogue"
    printf '%-22s %d entries\n' cooltwin.catalog "$taken"
}
check_catalog

# A check must be able to fail.
must_fail() {
    local unit
    printf '[Service]\n%s\n' "$1" >"$root/wrong.conf"
    for unit in cooltwin.service cooltwin@roof.service; do
        if (check_unit $unit "$root/wrong.conf") >/dev/null 2>&1; then fail "$1 goes unseen with $unit"; fi
    done
}
must_fail NoSuchThing=yes
must_fail $'ProtectSystem=no\nSystemCallFilter='
printf 'systemd/check.sh: everything holds\n'
