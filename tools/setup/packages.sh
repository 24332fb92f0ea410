#!/bin/sh
# Installs the Debian packages of the named groups that are not there yet; says so first, and does
# nothing (no apt, no network) when all are. sudo only when not root.
# usage: packages.sh GROUP...    groups: build test model fuzz aarch64
set -eu
. "$(dirname "$0")/common.sh"

group() {
  case $1 in
    build) echo g++ cmake ninja-build pkg-config catch2 libcli11-dev libedit-dev libfmt-dev \
                libpcre2-dev libutf8proc-dev libxsimd-dev libxxhash-dev libzstd-dev \
                nlohmann-json3-dev python3 ;;
    test) echo abigail-tools clang-format-14 dpkg-dev file strace tmux ;;
    model) echo python3 python3-pip ;;
    fuzz) echo clang-14 libclang-rt-14-dev ;;
    aarch64) echo g++-aarch64-linux-gnu qemu-user ;;
    *) die "packages.sh: unknown group $1" 'groups: build test model fuzz aarch64' ;;
  esac
}

wanted=
for g in "$@"; do wanted="$wanted $(group "$g")"; done

missing=
if command -v dpkg-query >/dev/null; then
  # shellcheck disable=SC2086  # a list of words
  installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^ii *//p')
  for p in $wanted; do
    printf '%s\n' "$installed" | grep -qxF "$p" || missing="$missing $p"
  done
  [ -n "$missing" ] || exit 0
fi

if ! command -v apt-get >/dev/null; then
  command -v cmake >/dev/null && command -v ninja >/dev/null && exit 0
  die 'this machine has no apt-get to install packages with' \
    "install what Debian calls:$wanted"
fi

as_root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null ||
    die "packages are missing and there is no sudo:$missing" "as root: apt-get install$missing"
  as_root=sudo
fi

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
say "installing Debian packages${as_root:+ with sudo}:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { apt update && apt install -y --no-install-recommends $missing; } 2>"$log"; then
  reason=$(sed -n 's/^E: //p' "$log" | tail -n 1)
  die "the packages$missing could not be installed: ${reason:-apt-get gave no reason}" \
    'check the network, or install them yourself and run this again'
fi
