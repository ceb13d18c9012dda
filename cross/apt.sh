# shellcheck shell=bash
# An apt of our own beside the machine's, for other releases and architectures of Debian without touching its
# configuration; sourced. It needs apt and debian-archive-keyring.

# Signs Debian's archives.
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Prints the mirror that this machine uses already, or the one named in DEBIAN_MIRROR, as in scheme://host.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016 # apt is to expand it
    mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's,/debian/*$,,p' | head -n 1)}
    if [ -z "$mirror" ]; then
        echo "$0: apt knows no Debian mirror; name one in DEBIAN_MIRROR, as in scheme://host" >&2
        return 1
    fi
    echo "$mirror"
}

# From here on apt works in folder $1 and for the architectures that follow, the first of them its own. Standard input
# names suites, a line each: architectures with commas, archive, suite, as in `amd64,arm64 debian bookworm`.
private_apt() {
    local apt=$1 mirror archs archive suite
    shift
    if [ ! -f "$debian_keyring" ]; then
        echo "$0: no $debian_keyring; apt-get install debian-archive-keyring" >&2
        return 1
    fi
    mirror=$(debian_mirror) || return 1
    mkdir -p "$apt"/{etc/preferences.d,etc/apt.conf.d,state/lists/partial,cache/archives/partial}
    : >"$apt/state/status"
    while read -r archs archive suite; do
        echo "deb [signed-by=$debian_keyring arch=$archs] $mirror/$archive $suite main"
    done >"$apt/etc/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc "$apt/etc";
Dir::State "$apt/state";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
APT::Architecture "$1";
APT::Architectures { $(printf '"%s"; ' "$@")};
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    export APT_CONFIG=$apt/apt.conf
    apt-get -qq update
}
