# shellcheck shell=bash
# Rust's name for an architecture of Debian; sourced.
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
