#!/usr/bin/env bash
# Sets this machine up, builds the HAProxy image from its lock, boots clones of it and tests that they balance.
# Needs Debian 12 or 13 (or Proxmox VE 8 or 9), root or sudo, about 6 GB of disk and 3 GB of memory.
#
# Usage:
#   scripts/try.sh [FOLDER]    the folder for the image (default: out/haproxy in this checkout)
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

seeder() {
  "$checkout/scripts/seeder" "$@"
}

build() {
  seeder build haproxy --out "$1" && return
  # A mirror keeps only the newest packages, so the lock of an old checkout may name files that are gone.
  printf '\nIf the mirror has moved on, a new lock helps. Writing one and trying again\n'
  seeder lock haproxy
  seeder build haproxy --out "$1"
}

main() {
  # Before anything is installed for it.
  if [[ $# -gt 1 || ${1-} == -* ]]; then
    echo 'usage: scripts/try.sh [FOLDER]' >&2
    exit 2
  fi
  local out=${1:-$checkout/out/haproxy}
  "$checkout/scripts/setup.sh"
  printf '\nBuilding the HAProxy image\n'
  build "$out"
  printf '\nTesting it: clones boot on a private network, with real traffic\n'
  seeder test "$out"
  printf '\nThe image\n'
  seeder inspect "$out"
  printf '  folder        %s\n' "$out"
}

main "$@"
