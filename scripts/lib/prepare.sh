#!/bin/sh
# Sourced by the scripts that build and test: sees to it that what they run is there. Not installed.

# missing NEED...: the Debian packages of what is not there, each once. A need is COMMAND:PACKAGE, or FILE:PACKAGE.
missing() {
    for need in "$@"; do
        case $need in
        /*) [ -e "${need%%:*}" ] || echo "${need#*:}" ;;
        *) command -v "${need%%:*}" >/dev/null || echo "${need#*:}" ;;
        esac
    done | sort -u
}

# prepare NAME NEED...: as root installs what is missing, after a line that names it; otherwise names it. Ends the
# script with 69 where something cannot be had.
prepare() {
    name=$1
    shift
    # shellcheck disable=SC2046 # one word a package
    set -- "$(missing "$@" | tr '\n' ' ')" "$@"
    [ -n "$1" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$name: missing: $1" >&2
        echo "$name: as root: apt-get install --no-install-recommends $1" >&2
        exit 69
    fi
    echo "$name: installing with apt-get: $1"
    install_log=$(mktemp) || exit 69
    # shellcheck disable=SC2086 # one word a package
    (
        export DEBIAN_FRONTEND=noninteractive
        set -- apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $1
        "$@" || { apt-get -qq update && "$@"; }
    ) </dev/null >"$install_log" 2>&1 || cat "$install_log" >&2
    rm -f "$install_log"
    shift
    still=$(missing "$@" | tr '\n' ' ')
    [ -z "$still" ] || { echo "$name: could not install: $still" >&2; exit 69; }
}

# Ends the script with 69 where there is no Rust.
need_cargo() {
    PATH=$PATH:${CARGO_HOME:-${HOME-/root}/.cargo}/bin
    command -v cargo >/dev/null && return
    echo "$1: no cargo: install Rust 1.88 or later first, for example from https://rustup.rs" >&2
    exit 69
}
