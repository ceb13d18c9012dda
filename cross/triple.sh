# shellcheck shell=bash
# What scripts know of the packaged programs; sourced.

# Prints what cargo is told to build: all but `cooltwin demo`, whose broker makes the packages larger than they may be; who
# has a package has a broker. FEATURES names others; empty, it builds the demo in.
packaged_features() { echo "${FEATURES---no-default-features --features daemon}"; }

# Rust's name for an architecture of Debian.
triple_of() {
    case $1 in
        amd64) echo x86_64-unknown-linux-gnu ;;
        arm64) echo aarch64-unknown-linux-gnu ;;
        armhf) echo armv7-unknown-linux-gnueabihf ;;
        *)
            echo "$0: no such architecture: $1 (amd64, arm64 or armhf)" >&2
            return 1
            ;;
    esac
}
